//! Splits text into tokens where spaCy's English tokenizer splits it.
//!
//! A run of non-blank characters loses punctuation at both ends, then is cut at hyphens and the
//! like between letters; contractions and abbreviations are known forms. URLs stay whole.

/// A token: a byte range of the text it was cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// White space beyond the single blank between two words.
    pub(crate) is_space: bool,
}

impl Token {
    pub(crate) fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }
}

/// All tokens of `text`, in order.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Tokens {
        list: Vec::with_capacity(text.len() / 4 + 1),
        suffixes: Vec::new(),
    };
    let mut start = 0;
    let mut in_space = text.chars().next().is_some_and(char::is_whitespace);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() == in_space {
            continue;
        }
        tokens.push_run(text, start, at, in_space);
        // One blank after a word belongs to no token.
        start = if c == ' ' { at + 1 } else { at };
        in_space = !in_space;
    }
    tokens.push_run(text, start, text.len(), in_space);
    tokens.list
}

struct Tokens {
    list: Vec<Token>,
    suffixes: Vec<Token>,
}

impl Tokens {
    fn push(&mut self, start: usize, end: usize) {
        if start < end {
            self.list.push(Token { start, end, is_space: false });
        }
    }

    fn push_run(&mut self, text: &str, start: usize, end: usize, is_space: bool) {
        if start >= end {
            return;
        }
        if is_space {
            self.list.push(Token { start, end, is_space });
        } else {
            self.push_word(text, start, end);
        }
    }

    fn push_word(&mut self, text: &str, mut start: usize, mut end: usize) {
        if text.as_bytes()[start..end].iter().all(u8::is_ascii_alphabetic) && end - start > 9 {
            // No long special form is letters only.
            self.push(start, end);
            return;
        }
        self.suffixes.clear();
        let mut splits = None;
        while start < end {
            splits = special(&text[start..end]);
            if splits.is_some() {
                break;
            }
            let prefix = prefix_len(&text[start..end]);
            if prefix > 0 && start + prefix < end {
                splits = special(&text[start + prefix..end]);
                if splits.is_some() {
                    self.push(start, start + prefix);
                    start += prefix;
                    break;
                }
            }
            let suffix = suffix_len(&text[start + prefix..end]);
            if suffix > 0 && start + prefix + suffix < end {
                splits = special(&text[start + prefix..end - suffix]);
            }
            if prefix == 0 && suffix == 0 {
                break;
            }
            self.push(start, start + prefix);
            start += prefix;
            if suffix > 0 {
                self.suffixes.push(Token { start: end - suffix, end, is_space: false });
                end -= suffix;
            }
            if splits.is_some() {
                break;
            }
        }
        match splits {
            Some(splits) => {
                let mut from = start;
                for at in splits {
                    if at > 0 {
                        self.push(from, start + at);
                        from = start + at;
                    }
                }
                self.push(from, end);
            }
            None => self.push_core(text, start, end),
        }
        while let Some(suffix) = self.suffixes.pop() {
            self.list.push(suffix);
        }
    }

    /// Pushes a run without affixes, cut at its infixes.
    fn push_core(&mut self, text: &str, start: usize, end: usize) {
        let core = &text[start..end];
        if core.bytes().all(|b| b.is_ascii_alphanumeric()) || is_url(core) {
            self.push(start, end);
            return;
        }
        let mut from = start;
        let mut before = None;
        let mut skip_to = 0;
        for (at, c) in core.char_indices() {
            if at >= skip_to
                && let Some(len) = infix_len(before, c, &core[at..])
            {
                self.push(from, start + at);
                self.push(start + at, start + at + len);
                from = start + at + len;
                skip_to = at + len;
            }
            before = Some(c);
        }
        self.push(from, end);
    }
}

fn prefix_len(s: &str) -> usize {
    let mut chars = s.chars();
    match chars.next() {
        Some('.') => match dots(s) {
            1 => 0,
            many => many,
        },
        Some('+') => usize::from(!chars.next().is_some_and(|c| c.is_ascii_digit())),
        Some(c)
            if is_edge_punctuation(c)
                || matches!(c, '§' | '%' | '=' | '—' | '–')
                || is_currency(c) =>
        {
            c.len_utf8()
        }
        _ => 0,
    }
}

fn dots(s: &str) -> usize {
    s.bytes().take_while(|b| *b == b'.').count()
}

fn suffix_len(s: &str) -> usize {
    let mut back = s.chars().rev();
    let Some(last) = back.next() else { return 0 };
    let before = back.next();
    match last {
        '.' => {
            let run = s.bytes().rev().take_while(|b| *b == b'.').count();
            if run > 1 {
                return run;
            }
            let Some(before) = before else { return 0 };
            let two_capitals =
                before.is_uppercase() && back.next().is_some_and(char::is_uppercase);
            usize::from(
                two_capitals
                    || before.is_ascii_digit()
                    || before.is_lowercase()
                    || matches!(before, '%' | '²' | '-' | '+')
                    || is_edge_punctuation(before),
            )
        }
        's' | 'S' if matches!(before, Some('\'' | '’')) => 1 + before.map_or(0, char::len_utf8),
        '—' | '–' => last.len_utf8(),
        '+' if before.is_some_and(|c| c.is_ascii_digit()) => 1,
        c if is_edge_punctuation(c) => c.len_utf8(),
        c if is_currency(c) && before.is_some_and(|c| c.is_ascii_digit()) => c.len_utf8(),
        _ => unit_len(s),
    }
}

/// The length of a unit right after a digit, as in "10km".
fn unit_len(s: &str) -> usize {
    const UNITS: [&str; 42] = [
        "%", "G", "GB", "K", "KB", "M", "MB", "Pa", "T", "TB", "b", "cm", "cm²", "cm³", "dm", "g", "gb", "h",
        "hPa", "ha", "kb", "kg", "km", "km/h", "km²", "kmh", "l", "lb", "m", "m/s", "m²", "m³", "mb", "mbar",
        "mg", "mm", "mph", "nm", "oz", "t", "tb", "µg",
    ];
    let Some((at, c)) = s.char_indices().rev().take(5).find(|(_, c)| c.is_ascii_digit()) else {
        return 0;
    };
    let unit = &s[at + c.len_utf8()..];
    if UNITS.contains(&unit) { unit.len() } else { 0 }
}

fn infix_len(before: Option<char>, c: char, rest: &str) -> Option<usize> {
    if c == '.' && dots(rest) > 1 {
        return Some(dots(rest));
    }
    if c == '…' || is_icon(c) {
        return Some(c.len_utf8());
    }
    let before = before?;
    let after = |len: usize| rest[len..].chars().next();
    match c {
        '+' | '*' | '^' | '-'
            if before.is_ascii_digit()
                && after(1).is_some_and(|c| c.is_ascii_digit() || c == '-') =>
        {
            Some(1)
        }
        '.' if (before.is_lowercase() || is_quote(before))
            && after(1).is_some_and(|c| c.is_uppercase() || is_quote(c)) =>
        {
            Some(1)
        }
        ',' if before.is_alphabetic() && after(1).is_some_and(char::is_alphabetic) => Some(1),
        '-' | '–' | '—' | '~' if before.is_alphanumeric() => {
            let run = if c == '-' { rest.bytes().take(3).take_while(|b| *b == b'-').count() } else { c.len_utf8() };
            after(run).is_some_and(char::is_alphabetic).then_some(run)
        }
        ':' | '<' | '>' | '=' | '/' if before.is_alphanumeric() => {
            after(1).is_some_and(char::is_alphabetic).then_some(1)
        }
        // Scripts without blanks: a clause mark ends a token.
        '。' | '、' | '，' | '？' | '！' | '；' | '：' => Some(c.len_utf8()),
        _ => None,
    }
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '\'' | '"' | '”' | '“' | '`' | '‘' | '´' | '’' | '‚' | ',' | '„' | '»' | '«' | '「' | '」' | '『' | '』'
            | '（' | '）' | '〔' | '〕' | '【' | '】' | '《' | '》' | '〈' | '〉' | '⟦' | '⟧'
    )
}

/// Characters cut from both ends of a word.
pub(crate) fn is_edge_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return matches!(
            c,
            ',' | ':' | ';' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '_' | '#' | '*' | '&'
                | '\'' | '"' | '`'
        );
    }
    is_quote(c)
        || is_icon(c)
        || matches!(
            c,
            '…' | '¿' | '؟' | '¡' | '。' | '？' | '！' | '，' | '、' | '；' | '：' | '～' | '·' | '।' | '،' | '۔'
                | '؛' | '٪'
        )
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '£' | '€' | '¥' | '¢' | '฿' | '﷼' | '₠'..='₿' | '៛')
}

/// Symbols without a word: emoji, arrows, boxes.
pub(crate) fn is_icon(c: char) -> bool {
    matches!(c, '¦' | '©' | '®' | '°' | '\u{2190}'..='\u{21FF}' | '\u{2300}'..='\u{23FF}'
        | '\u{2500}'..='\u{27BF}' | '\u{2900}'..='\u{297F}' | '\u{2B00}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Whether a run is an address that stays one token: with a scheme, a host and its domain, or a
/// mail address.
fn is_url(s: &str) -> bool {
    if !s.contains('.') {
        return false;
    }
    let rest = match s.split_once("://") {
        Some((scheme, rest)) if scheme.len() >= 2 => rest,
        _ => s,
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..authority_end];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    if !(2..=5).contains(&port.len()) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let Some((name, domain)) = host.rsplit_once('.') else { return false };
    if name.split('.').count() == 3 && host.split('.').all(|n| n.parse::<u8>().is_ok()) {
        return true;
    }
    domain.chars().all(char::is_lowercase)
        && domain.chars().nth(1).is_some()
        && name.split('.').all(|label| {
            label.starts_with(is_host_char) && label.ends_with(is_host_char)
                && label.chars().all(|c| is_host_char(c) || c == '-' || c == '_')
        })
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c >= '\u{a1}'
}

/// Where a known form is cut, in bytes; 0 stands for no cut.
type Splits = [usize; 2];

const PRONOUNS: [&str; 18] = [
    "he", "how", "i", "it", "she", "that", "there", "these", "they", "this", "those", "we", "what", "when",
    "where", "who", "why", "you",
];
const NEGATED: [&str; 24] = [
    "ai", "are", "ca", "could", "dare", "did", "do", "does", "had", "has", "have", "is", "may", "might", "must",
    "need", "ought", "sha", "should", "was", "were", "wo", "would", "",
];
/// Contractions written without the apostrophe, and other forms of two words.
const FUSED: [(&str, usize); 62] = [
    ("arent", 3), ("cannot", 3), ("cant", 2), ("couldnt", 5), ("didnt", 3), ("doesnt", 4), ("dont", 2),
    ("gonna", 3), ("gotta", 3), ("hadnt", 3), ("hasnt", 3), ("havent", 4), ("hed", 2), ("hes", 2), ("howd", 3),
    ("hows", 3), ("id", 1), ("im", 1), ("isnt", 2), ("itd", 2), ("itll", 2), ("ive", 1), ("mightnt", 5),
    ("mustnt", 4), ("neednt", 4), ("shant", 3), ("shes", 3), ("shouldnt", 6), ("thatd", 4), ("thatll", 4),
    ("thats", 4), ("thered", 5), ("therell", 5), ("theres", 5), ("theyd", 4), ("theyll", 4), ("theyre", 4),
    ("theyve", 4), ("thisll", 4), ("wasnt", 3), ("wed", 2), ("werent", 4), ("weve", 2), ("whatd", 4),
    ("whatll", 4), ("whatre", 4), ("whats", 4), ("whens", 4), ("whered", 5), ("wheres", 5), ("whod", 3),
    ("wholl", 3), ("whos", 3), ("whove", 3), ("whys", 3), ("wont", 2), ("wouldnt", 5), ("yall", 1), ("youd", 3),
    ("youll", 3), ("youre", 3), ("youve", 3),
];
const ABBREVIATIONS: [&str; 104] = [
    "Adm.", "Ak.", "Ala.", "Apr.", "Ariz.", "Ark.", "Aug.", "Bros.", "Calif.", "Co.", "Colo.", "Conn.", "Corp.",
    "D.C.", "Dec.", "Del.", "Dr.", "E.G.", "E.g.", "Feb.", "Fla.", "Ga.", "Gen.", "Gov.", "I.E.", "I.e.", "Ia.",
    "Id.", "Ill.", "Inc.", "Ind.", "Jan.", "Jr.", "Jul.", "Jun.", "Kan.", "Kans.", "Ky.", "La.", "Ltd.", "Mar.",
    "Mass.", "Md.", "Messrs.", "Mich.", "Minn.", "Miss.", "Mo.", "Mont.", "Mr.", "Mrs.", "Ms.", "Mt.", "N.C.",
    "N.D.", "N.H.", "N.J.", "N.M.", "N.Y.", "Neb.", "Nebr.", "Nev.", "Nov.", "Oct.", "Okla.", "Ore.", "Pa.",
    "Ph.D.", "Prof.", "Rep.", "Rev.", "S.C.", "Sen.", "Sep.", "Sept.", "St.", "Tenn.", "Va.", "Wash.", "Wis.",
    "a.m.", "and/or", "co.", "e.g.", "i.e.", "ma'am", "o'clock", "p.m.", "v.s.", "vs.", "w/o", "'cause", "'em",
    "'til", "'bout", "'re", "'ll", "'ve", "'d", "'s", "C++", "c++", "n't", "''",
];

fn special(s: &str) -> Option<Splits> {
    if s.len() > 14 || s.len() < 2 {
        return None;
    }
    let bytes = s.as_bytes();
    if !s.is_ascii() && !s.contains('’') {
        return None;
    }
    // Known in lower and in title case only.
    let mut lower = [0u8; 14];
    let lower = &mut lower[..bytes.len()];
    lower.copy_from_slice(bytes);
    lower[0] = lower[0].to_ascii_lowercase();
    let lower = std::str::from_utf8(lower).ok()?;

    if bytes.iter().all(u8::is_ascii_alphabetic) {
        return FUSED
            .binary_search_by(|(form, _)| (*form).cmp(lower))
            .ok()
            .map(|at| [FUSED[at].1, 0]);
    }
    if ABBREVIATIONS.contains(&s) || (s.len() == 2 && bytes[1] == b'.' && bytes[0].is_ascii_lowercase()) {
        return Some([0, 0]);
    }
    if bytes[0].is_ascii_digit() {
        let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let hour = s[..digits].parse::<u8>().is_ok_and(|hour| (1..=12).contains(&hour));
        return (hour && matches!(&s[digits..], "a.m." | "am" | "p.m." | "pm")).then_some([digits, 0]);
    }
    contraction(lower)
}

fn contraction(lower: &str) -> Option<Splits> {
    let apostrophe = lower.find(['\'', '’'])?;
    let (base, tail) = lower.split_at(apostrophe);
    let clitic = tail.trim_start_matches(['\'', '’']);
    let mark = tail.len() - clitic.len();
    if let Some(negated) = base.strip_suffix('n')
        && NEGATED.contains(&negated)
        && clitic.starts_with('t')
    {
        let at = negated.len();
        let second = apostrophe + mark + 1;
        return match &clitic[1..] {
            "" => Some([at, 0]),
            "'ve" | "’ve" => Some([at, second]),
            _ => None,
        };
    }
    if matches!((base, clitic), ("let", "s") | ("c", "mon") | ("y", "all")) {
        let at = if base == "let" { 3 } else { 1 + mark + usize::from(base == "c") };
        return Some([at, 0]);
    }
    if clitic == "ve" && matches!(base, "could" | "might" | "must" | "should" | "would" | "not") {
        return Some([apostrophe, 0]);
    }
    if !PRONOUNS.contains(&base) {
        return None;
    }
    match clitic {
        "m" | "ll" | "d" | "ve" | "re" | "s" => Some([apostrophe, 0]),
        "ll've" | "ll’ve" => Some([apostrophe, apostrophe + mark + 2]),
        "d've" | "d’ve" => Some([apostrophe, apostrophe + mark + 1]),
        _ => None,
    }
}
