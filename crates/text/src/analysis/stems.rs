//! Base forms of words in alphabets that determine how a word is inflected, and of languages without a Snowball stemmer.

use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::fold::without_accents;

/// The alphabet of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Also digits and words without letters.
    Latin,
    Cyrillic,
    Greek,
    Arabic,
    Hebrew,
    Devanagari,
    Tamil,
    /// No rule is known.
    Other,
}

impl Alphabet {
    /// The alphabet of a word's first letter.
    pub(super) fn of(word: &str) -> Self {
        let Some(first) = word.chars().find(|c| c.is_alphabetic()) else { return Self::Latin };
        match first {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{590}'..='\u{5ff}' => Self::Hebrew,
            '\u{600}'..='\u{77f}' => Self::Arabic,
            '\u{900}'..='\u{97f}' => Self::Devanagari,
            '\u{b80}'..='\u{bff}' => Self::Tamil,
            _ => Self::Other,
        }
    }
}

/// The base form of a word, and other forms under which it may be found. None for an alphabet without rules.
pub(super) fn forms(word: &str, alphabet: Alphabet) -> Vec<String> {
    static RUSSIAN: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Russian));
    static GREEK: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Greek));
    static ARABIC: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Arabic));
    static TAMIL: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Tamil));
    let plain = without_accents(word);
    let snowball = |stemmer: &Stemmer, word: &str| {
        let stem = stemmer.stem(word);
        let stem = if stem.is_empty() { word } else { &stem };
        vec![without_accents(stem).into_owned()]
    };
    match alphabet {
        Alphabet::Cyrillic => snowball(&RUSSIAN, &plain),
        Alphabet::Greek => snowball(&GREEK, &plain),
        Alphabet::Arabic => arabic(&ARABIC, &plain),
        Alphabet::Tamil => snowball(&TAMIL, word),
        Alphabet::Hebrew => hebrew(&plain),
        Alphabet::Devanagari => vec![devanagari(&plain).to_owned()],
        Alphabet::Latin | Alphabet::Other => Vec::new(),
    }
}

/// The Snowball stem, and the word without its article and conjunction, since the stem of a plural differs.
fn arabic(stemmer: &Stemmer, word: &str) -> Vec<String> {
    let mut forms = vec![without_accents(&stemmer.stem(word)).into_owned()];
    let mut bare = word;
    for prefix in ["وال", "بال", "كال", "فال", "لل", "ال"] {
        if let Some(rest) = bare.strip_prefix(prefix).filter(|rest| rest.chars().count() >= 3) {
            bare = rest;
            break;
        }
    }
    // Pronouns and plurals at the end.
    for suffix in ["هما", "كما", "ها", "هم", "نا", "ات", "ون", "ين", "ان", "ي", "ه", "ك"] {
        if let Some(rest) = bare.strip_suffix(suffix).filter(|rest| rest.chars().count() >= 3) {
            bare = rest;
            break;
        }
    }
    forms.push(bare.to_owned());
    forms.dedup();
    if forms[0].is_empty() {
        forms.remove(0);
    }
    forms
}

/// The word, the word without one or two of the letters that are glued to its beginning, and each without its plural ending.
fn hebrew(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    let mut bare = word;
    for _ in 0..2 {
        let Some(rest) = bare.strip_prefix(['ה', 'ו', 'ב', 'ל', 'מ', 'ש', 'כ']) else { break };
        if rest.chars().count() < 3 {
            break;
        }
        bare = rest;
        forms.push(bare.to_owned());
    }
    for at in 0..forms.len() {
        for suffix in ["ים", "ות", "יה", "ה", "ת", "י"] {
            if let Some(stem) = forms[at].strip_suffix(suffix).filter(|stem| stem.chars().count() >= 3) {
                forms.push(stem.to_owned());
                break;
            }
        }
    }
    forms
}

/// The word without the ending of its case, number or tense: Ramanathan and Rao 2003, "A lightweight stemmer for Hindi".
fn devanagari(word: &str) -> &str {
    const SUFFIXES: [&[&str]; 4] = [
        &["ाएंगी", "ाएंगे", "ाऊंगी", "ाऊंगा", "ाइयां", "ाइयों"],
        &[
            "ाएगी",
            "ाएगा",
            "ाओगी",
            "ाओगे",
            "एंगी",
            "ेंगी",
            "एंगे",
            "ेंगे",
            "ूंगी",
            "ूंगा",
            "ातीं",
            "नाओं",
            "नाएं",
            "ताओं",
            "ताएं",
            "ियां",
            "ियों",
            "ियाँ",
        ],
        &[
            "ाकर",
            "ाइए",
            "ाईं",
            "ाया",
            "ेगी",
            "ेगा",
            "ोगी",
            "ोगे",
            "ाने",
            "ाना",
            "ाते",
            "ाती",
            "ाता",
            "तीं",
            "ाओं",
            "ाएं",
            "ुओं",
            "ुएं",
            "ुआं",
        ],
        &["कर", "ाओ", "िए", "ाई", "ाए", "ने", "नी", "ना", "ते", "ीं", "ती", "ता", "ां", "ों", "ें"],
    ];
    let enough = |stem: &&str| stem.chars().count() >= 2;
    let of = |suffixes: &[&str]| suffixes.iter().find_map(|suffix| word.strip_suffix(suffix).filter(enough));
    SUFFIXES
        .iter()
        .find_map(|suffixes| of(suffixes))
        .unwrap_or_else(|| word.strip_suffix(['ो', 'े', 'ू', 'ु', 'ी', 'ि', 'ा']).filter(enough).unwrap_or(word))
}

/// The word without the ending of its case and number, for Polish and Czech. The letters at the end of the stem are brought
/// into one form as well: `ł` and `l`, `r` and `ř`.
pub(super) fn west_slavic(word: &str) -> String {
    const SUFFIXES: [&str; 41] = [
        "iego", "iemu", "iach", "iami", "ego", "emu", "ach", "ami", "ich", "ych", "imi", "ymi", "owi", "ovi", "ové",
        "ého", "ému", "ích", "ých", "ími", "ými", "iej", "iem", "iom", "ám", "ům", "ów", "om", "em", "ej", "im", "ym",
        "ie", "ia", "ią", "ię", "iu", "ou", "ém", "ím", "ým",
    ];
    let long_enough = |stem: &&str| stem.chars().count() >= 3;
    let by_suffix = SUFFIXES.iter().filter_map(|suffix| word.strip_suffix(suffix)).filter(long_enough);
    let stem = by_suffix.min_by_key(|stem| stem.len()).or_else(|| {
        word.strip_suffix(['a', 'ą', 'e', 'ę', 'i', 'o', 'u', 'y', 'á', 'é', 'ě', 'í', 'ů', 'ý']).filter(long_enough)
    });
    without_accents(stem.unwrap_or(word)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_a_base_form() {
        let check = |words: &[&str]| {
            let found: Vec<Vec<String>> = words.iter().map(|word| forms(word, Alphabet::of(word))).collect();
            for other in &found[1..] {
                assert!(other.iter().any(|form| found[0].contains(form)), "{words:?}: {found:?}");
            }
        };
        check(&["кошка", "кошки", "кошкой", "кошку"]);
        check(&["θάλασσα", "θάλασσας"]);
        check(&["كتاب", "الكتاب", "كتابي", "والكتاب"]);
        check(&["כלב", "הכלב", "כלבים"]);
        check(&["किताब", "किताबें", "किताबों"]);
        check(&["घोड़ा", "घोड़े"]);
    }

    #[test]
    fn forms_of_polish_and_czech_words_share_a_stem() {
        for words in [["kawa", "kawy"], ["krakow", "krakowie"], ["orzech", "orzechami"], ["praha", "prahou"]] {
            let [a, b] = words.map(west_slavic);
            assert_eq!(a, b, "{words:?}");
        }
    }
}
