//! Languages of the Latin script, and which of them a text is in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::fold::{Folded, without_accents};
use super::stems;
use crate::stopwords::{ENGLISH, is_stopword};
use crate::tokenize::{Runs, term_id};
use crate::unicode::is_word;

/// A language of the Latin script other than English.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(usize);

/// A language and its rules.
struct Description {
    code: &'static str,
    stemmer: Option<Algorithm>,
    /// Letters that English lacks.
    letters: &'static str,
    /// Whether words are glued to longer ones.
    glues_words: bool,
    /// Whether words have so many forms that stems of the same word differ.
    has_many_forms: bool,
    /// Frequent words that say nothing.
    function_words: &'static str,
}

const fn language(code: &'static str, letters: &'static str, function_words: &'static str) -> Description {
    Description { code, stemmer: None, letters, glues_words: false, has_many_forms: false, function_words }
}

/// In each list first the words of sentences, then question words.
#[rustfmt::skip]
const LANGUAGES: [Description; 16] = [
    Description { stemmer: Some(Algorithm::German), glues_words: true, ..language("de", "äöüß",
        "der die das den dem des ein eine einen einem einer und oder aber ich du er sie es wir ihr mich mir dich dir uns mein \
         meine meinen meinem meiner dein deine sein seine ihre unser unsere ist sind war bin hat habe haben hatte wird nicht \
         kein keine auf in im am an mit von vom zu zum zur für bei beim nach aus über unter seit um als auch noch nur sehr so \
         wenn dass sich gibt \
         wer was wo wann wie warum wohin woher welche welcher welches welchen wem wen heißt") },
    Description { stemmer: Some(Algorithm::Dutch), glues_words: true, ..language("nl", "ëï",
        "de het een en of maar ik jij je hij zij ze wij we mij hem haar ons mijn jouw zijn onze is was ben heeft heb hebben had \
         niet geen op in aan met van te voor bij naar uit over onder sinds om als ook nog dan dat die dit er \
         wie wat waar wanneer hoe waarom welke welk heet") },
    Description { stemmer: Some(Algorithm::Swedish), glues_words: true, ..language("sv", "åäö",
        "en ett den det de och eller men jag du han hon vi ni mig dig oss min mitt mina din ditt sin sitt vår är var har hade \
         inte ingen på i med av till för hos från ut över under sedan om som också bara mycket att när \
         vem vad var vart när hur varför vilken vilket vilka heter") },
    Description { stemmer: Some(Algorithm::Danish), glues_words: true, ..language("da", "æøå",
        "en et den det de og eller men jeg du han hun vi mig dig os min mit mine din dit sin sit vores er var har havde ikke \
         ingen på i med af til for hos fra ud over under siden om som også kun meget at når \
         hvem hvad hvor hvornår hvordan hvorfor hvilken hvilket hvilke hedder") },
    Description { stemmer: Some(Algorithm::Norwegian), glues_words: true, ..language("no", "æøå",
        "en et ei den det de og eller men jeg du han hun vi meg deg oss min mitt mine din ditt sin sitt vår er var har hadde \
         ikke ingen på i med av til for hos fra ut over under siden om som også bare mye å når \
         hvem hva hvor når hvordan hvorfor hvilken hvilket hvilke heter") },
    Description { stemmer: Some(Algorithm::Finnish), glues_words: true, has_many_forms: true, ..language("fi", "äö",
        "ja tai mutta minä sinä hän me te he minun sinun hänen meidän minulla minulle meillä minua on oli olen ole ovat ei en \
         se ne tämä että kun jos kuin myös vain hyvin joka jotka niin \
         kuka mikä missä milloin miten miksi mitä mihin minne mistä kenen kenelle kuinka millainen mitkä") },
    Description { stemmer: Some(Algorithm::Hungarian), glues_words: true, has_many_forms: true, ..language("hu", "áéíóöőúüű",
        "a az egy és vagy de én te ő mi ti ők engem nekem neked neki van volt vagyok nem ne ez hogy ha mint is csak nagyon \
         meg el ki be minden \
         ki mi hol mikor hogyan miért hova hová honnan melyik kinek mit kit hány mennyi milyen") },
    Description { stemmer: Some(Algorithm::French), ..language("fr", "àâçèéêëîïôùûœ",
        "le la les un une des du de et ou mais je tu il elle nous vous ils elles me te se mon ma mes ton ta tes son sa ses \
         notre votre leur est sont était suis ai as a avons ont avait ne pas plus au aux en dans avec par pour sur sous chez \
         depuis que qui ce cette ces très aussi l d j m n s c qu y \
         quoi où quand comment pourquoi quel quelle quels quelles combien est-ce appelle") },
    Description { stemmer: Some(Algorithm::Spanish), ..language("es", "áéíóúñ",
        "el la los las un una unos unas de del y e o u pero yo tú él ella nosotros ellos me te se le lo nos mi mis tu tus su \
         sus nuestro nuestra es son era soy está están estoy he ha hay tengo tiene no al en con por para sobre desde que como \
         muy también más cuando este esta ese esa \
         qué quién quiénes dónde cuándo cómo cuál cuáles cuánto cuántos cuánta cuántas adónde llama") },
    Description { stemmer: Some(Algorithm::Portuguese), ..language("pt", "áâãàçéêíóôõú",
        "o a os as um uma uns umas de do da dos das e ou mas eu tu ele ela nós eles me te se lhe meu minha meus minhas teu tua \
         seu sua nosso nossa é são era sou está estão estou tenho tem há não ao à no na nos nas em com por para sobre desde \
         que como muito também mais quando este esta esse essa \
         quem onde quando como qual quais quanto quantos quanta quantas aonde chama") },
    Description { stemmer: Some(Algorithm::Italian), ..language("it", "àèéìòù",
        "il lo la i gli le un uno una di del dello della dei degli delle e o ma io tu lui lei noi voi loro mi ti si ci vi mio \
         mia miei mie tuo tua suo sua nostro nostra è sono era ho ha hai abbiamo hanno non al allo alla ai agli alle in nel \
         nella con per su da dal dalla che molto anche più questo questa l \
         cosa chi dove dov quando come perché quale quali quanto quanti quanta quante chiama") },
    Description { stemmer: Some(Algorithm::Romanian), ..language("ro", "ăâîșțşţ",
        "un o niște și sau dar eu tu el ea noi voi ei ele mă te se îmi îți ne meu mea mei mele tău ta său sa nostru noastră \
         este e sunt era am ai are avem au nu la în din cu de pe pentru prin despre că ca foarte mai și lui al a \
         cine ce unde când cum care cât câți câte cui numește") },
    Description { stemmer: Some(Algorithm::Turkish), has_many_forms: true, ..language("tr", "çğıöşü",
        "ve veya ama ben sen o biz siz onlar beni bana benim senin onun bizim bir bu şu var yok değil ile için gibi kadar çok \
         daha en de da ki mi mı mu mü her \
         kim ne nerede nereye nereden nere zaman nasıl neden niçin niye hangi kaç kimin kime") },
    Description { has_many_forms: true, ..language("pl", "ąćęłńóśźż",
        "i a lub ale ja ty on ona my wy oni mnie mi ci go jej jego ich nas nam mój moja moje mojego mojej moim twój jest są był \
         była było jestem mam ma mieć nie w we na z ze do od po za u o dla przez przy pod nad że się to ten ta te tego tej jak \
         bardzo też tylko już \
         kto co gdzie kiedy jak dlaczego czemu który która które czyj kogo komu czego ile dokąd skąd czym") },
    Description { has_many_forms: true, ..language("cs", "áčďéěíňóřšťúůýž",
        "a i nebo ale já ty on ona my vy oni mě mi mne ji jeho jejich nás nám můj moje mého mé mým tvůj je jsou byl byla bylo \
         jsem mám má nemám ne v ve na z ze do od po za u o pro přes při pod nad že se si to ten ta ty tento jak velmi také jen \
         kdo co kde kdy jak proč který která které čí koho komu čeho kolik kam odkud čím") },
    language("vi", "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ",
        "tôi bạn anh chị em của là và hoặc nhưng có không được cho với trong ở tại từ đến một những các này đó rất cũng \
         đã đang sẽ thì mà rằng bị khi vào ra lên \
         ai gì đâu nào sao thế mấy bao nhiêu"),
];

/// The languages that have a function word, one bit for each; the highest bit is English.
static WORDS: LazyLock<HashMap<String, u32>> = LazyLock::new(|| {
    let mut words: HashMap<String, u32> = HashMap::new();
    for (at, language) in LANGUAGES.iter().enumerate() {
        for word in language.function_words.split_whitespace() {
            *words.entry(word.to_owned()).or_default() |= 1 << at;
            // People leave out accents; short words would then be words of other languages.
            let plain = without_accents(word);
            if plain != word && plain.chars().count() >= MIN_WITHOUT_ACCENTS {
                *words.entry(plain.into_owned()).or_default() |= 1 << at;
            }
        }
    }
    for word in ENGLISH.into_iter().chain(MORE_ENGLISH.split_whitespace()) {
        *words.entry(word.to_owned()).or_default() |= ENGLISH_BIT;
    }
    words
});

const ENGLISH_BIT: u32 = 1 << 31;
/// Frequent English words outside the list of stopwords; some are function words of another language, with or without accents.
const MORE_ENGLISH: &str =
    "would could might may go goes going get got take took like want let man men die made make one two ok okay";
/// What a function word and a letter of a language count.
const POINTS: [usize; 2] = [2, 1];
/// Minimum number of points: two function words, or one and a letter.
const MIN_POINTS: usize = 3;
/// Minimum length of a function word that is also recognised without its accents.
const MIN_WITHOUT_ACCENTS: usize = 4;

impl Language {
    /// All languages.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LANGUAGES.len()).map(Self)
    }

    /// The language of a text by its function words and letters; `None` if it is English, of another script, or unknown.
    pub fn of(text: &str) -> Option<Self> {
        Self::of_folded(&Folded::new(text))
    }

    /// [`Language::of`] for a text in the form in which texts are compared.
    pub(super) fn of_folded(text: &Folded<'_>) -> Option<Self> {
        let mut points = [0; LANGUAGES.len()];
        let mut english = 0;
        for_each_word(text, |word| {
            let languages = languages_of(word);
            english += usize::from(languages & ENGLISH_BIT != 0);
            for (at, points) in points.iter_mut().enumerate() {
                *points += POINTS[0] * (languages >> at & 1) as usize;
            }
        });
        if !text.is_ascii() {
            for (language, points) in LANGUAGES.iter().zip(&mut points) {
                let letters = language.letters.chars().filter(|letter| text.contains(*letter)).count();
                *points += POINTS[1] * letters;
            }
        }
        // Of several with the same number of points the first.
        let (best, &most) = points.iter().enumerate().rev().max_by_key(|(_, points)| **points)?;
        (most >= MIN_POINTS && (english == 0 || most >= POINTS[0] * (english + 1))).then_some(Self(best))
    }

    /// The two letters of its ISO 639-1 code.
    pub fn code(self) -> &'static str {
        LANGUAGES[self.0].code
    }

    /// A term of every memory whose text is in this language, and of no word.
    pub fn marker(self) -> u32 {
        term_id(&format!("\u{1}{}", self.code()))
    }

    /// Whether a word in lower case is a function word.
    pub(super) fn has_function_word(self, word: &str) -> bool {
        languages_of(word) >> self.0 & 1 == 1
    }

    /// The stem of a word in lower case, without accents.
    pub(super) fn stem(self, word: &str) -> Cow<'_, str> {
        static STEMMERS: LazyLock<Vec<Option<Stemmer>>> =
            LazyLock::new(|| LANGUAGES.iter().map(|language| Some(Stemmer::create(language.stemmer?))).collect());
        let stem = match &STEMMERS[self.0] {
            Some(stemmer) => stemmer.stem(word).into_owned(),
            None if self.tones_matter() => word.to_owned(),
            None => stems::west_slavic(word),
        };
        Cow::Owned(without_accents(if stem.is_empty() { word } else { &stem }).into_owned())
    }

    pub(super) fn glues_words(self) -> bool {
        LANGUAGES[self.0].glues_words
    }

    pub(super) fn has_many_forms(self) -> bool {
        LANGUAGES[self.0].has_many_forms
    }

    /// Whether words that differ in accents only are different words, as in Vietnamese.
    pub(super) fn tones_matter(self) -> bool {
        self.code() == "vi"
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether a text has a function word of English.
pub(super) fn has_english_words(text: &str) -> bool {
    let mut found = false;
    for_each_word(text, |word| found |= is_stopword(word));
    found
}

fn languages_of(word: &str) -> u32 {
    WORDS.get(word).copied().unwrap_or(0)
}

fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    for (_, word) in Runs::new(text, is_word) {
        if word.bytes().any(|b| b.is_ascii_uppercase()) {
            each(&word.to_ascii_lowercase());
        } else {
            each(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_recognised() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Language::of(text).map(Language::code), expected, "{text:?}");
        };
        check("Ich wohne seit drei Jahren in Köln.", Some("de"));
        check("Wo wohnt mein Bruder?", Some("de"));
        check("J'habite à Lyon depuis trois ans.", Some("fr"));
        check("Mi hermana vive en Bilbao.", Some("es"));
        check("Moja siostra mieszka w Krakowie.", Some("pl"));
        check("Tôi thích uống cà phê sữa đá.", Some("vi"));
        check("Asun Tampereella, ja minulla on koira.", Some("fi"));
        for text in [
            "I live in Cologne.",
            "Santa Fe",
            "Köln",
            "Los Angeles is a big city",
            "We met at the Café de la Paix.",
            "Wow, La Paz!",
            "Maria and I die for a good tan in May",
            "",
        ] {
            check(text, None);
        }
        // Capitals and decomposed accents are the same text.
        check("WO WOHNT FRAU MÜLLER?", Some("de"));
        check("Ou\u{300} est la cle\u{301} ?", Some("fr"));
    }

    #[test]
    fn markers_differ() {
        let markers: std::collections::HashSet<u32> = Language::all().map(Language::marker).collect();
        assert_eq!(markers.len(), LANGUAGES.len());
    }
}
