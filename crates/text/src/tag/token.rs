//! Splits text into tokens at the same places as spaCy's English tokenizer.
//!
//! Punctuation is split off both ends of a run of non-blank characters. The rest is split at hyphens and similar characters
//! between letters. Contractions and abbreviations are known forms. URLs are not split.

use super::forms::special;

/// A token: a byte range of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether it is white space in addition to the single blank between two words.
    pub(crate) is_space: bool,
}

impl Token {
    pub(crate) fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }
}

/// All tokens of `text`, in order.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Tokens { list: Vec::with_capacity(text.len() / 4 + 1), suffixes: Vec::new() };
    let mut start = 0;
    let mut in_space = text.chars().next().is_some_and(char::is_whitespace);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() == in_space {
            continue;
        }
        tokens.push_run(text, start, at, in_space);
        // One blank after a word is not part of a token.
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
            // No known form of this length consists of letters only.
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

    /// Pushes a run without affixes, split at its infixes.
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
            count => count,
        },
        Some('+') => usize::from(!chars.next().is_some_and(|c| c.is_ascii_digit())),
        Some(c) if is_edge_punctuation(c) || matches!(c, '§' | '%' | '=' | '—' | '–') || is_currency(c) => {
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
            let two_capitals = before.is_uppercase() && back.next().is_some_and(char::is_uppercase);
            usize::from(
                two_capitals
                    || before.is_ascii_digit()
                    || (before.is_alphabetic() && !before.is_uppercase())
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
    #[rustfmt::skip]
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
            if before.is_ascii_digit() && after(1).is_some_and(|c| c.is_ascii_digit() || c == '-') =>
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
        // In scripts without blanks, punctuation between clauses ends a token.
        '。' | '、' | '，' | '？' | '！' | '；' | '：' => Some(c.len_utf8()),
        _ => None,
    }
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '\'' | '"'
            | '”'
            | '“'
            | '`'
            | '‘'
            | '´'
            | '’'
            | '‚'
            | ','
            | '„'
            | '»'
            | '«'
            | '「'
            | '」'
            | '『'
            | '』'
            | '（'
            | '）'
            | '〔'
            | '〕'
            | '【'
            | '】'
            | '《'
            | '》'
            | '〈'
            | '〉'
            | '⟦'
            | '⟧'
    )
}

/// Characters that are split off both ends of a word.
pub(crate) fn is_edge_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return matches!(
            c,
            ',' | ':'
                | ';'
                | '!'
                | '?'
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | '<'
                | '>'
                | '_'
                | '#'
                | '*'
                | '&'
                | '\''
                | '"'
                | '`'
        );
    }
    is_quote(c)
        || is_icon(c)
        || matches!(
            c,
            '…' | '¿'
                | '؟'
                | '¡'
                | '。'
                | '？'
                | '！'
                | '，'
                | '、'
                | '；'
                | '：'
                | '～'
                | '·'
                | '।'
                | '،'
                | '۔'
                | '؛'
                | '٪'
        )
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '£' | '€' | '¥' | '¢' | '฿' | '﷼' | '₠'..='₿' | '៛')
}

/// Symbols such as emoji, arrows and boxes.
pub(crate) fn is_icon(c: char) -> bool {
    matches!(c, '¦' | '©' | '®' | '°' | '\u{2190}'..='\u{21FF}' | '\u{2300}'..='\u{23FF}'
        | '\u{2500}'..='\u{27BF}' | '\u{2900}'..='\u{297F}' | '\u{2B00}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Whether a run is an address, which is one token: a URL, a host name with a domain, or a mail address.
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
            label.starts_with(is_host_char)
                && label.ends_with(is_host_char)
                && label.chars().all(|c| is_host_char(c) || c == '-' || c == '_')
        })
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c >= '\u{a1}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let words: Vec<&str> = tokenize(text).iter().map(|token| token.of(text)).collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn punctuation_is_split_off_both_ends() {
        check("(see \"this\").", &["(", "see", "\"", "this", "\"", ")", "."]);
        check("wait...what?!", &["wait", "...", "what", "?", "!"]);
        check("U.S. Ph.D. e.g. Mr. Smith.", &["U.S.", "Ph.D.", "e.g.", "Mr.", "Smith", "."]);
        check("سكر.", &["سكر", "."]);
    }

    #[test]
    fn contractions_are_split() {
        check("I'm sure they'd've won't", &["I", "'m", "sure", "they", "'d", "'ve", "wo", "n't"]);
        check("don’t dont cannot", &["do", "n’t", "do", "nt", "can", "not"]);
        check("Maria's the kids'", &["Maria", "'s", "the", "kids", "'"]);
        check("C'mon y'all let's", &["C'm", "on", "y'", "all", "let", "'s"]);
    }

    #[test]
    fn hyphens_and_slashes_between_letters_split() {
        check("co-op and/or foo/bar", &["co", "-", "op", "and/or", "foo", "/", "bar"]);
        check("covid-19 2023-05-01", &["covid-19", "2023", "-", "05", "-", "01"]);
        check("7pm 10km 5% $5.99", &["7", "pm", "10", "km", "5", "%", "$", "5.99"]);
    }

    #[test]
    fn addresses_are_not_split() {
        check("(www.foo.com)", &["(", "www.foo.com", ")"]);
        check("https://x.org/a?b=c-d. a.b@c.org", &["https://x.org/a?b=c-d", ".", "a.b@c.org"]);
        check("end.Next node.js", &["end", ".", "Next", "node.js"]);
    }

    #[test]
    fn white_space_beyond_one_blank_is_a_token() {
        check(" a  b\n\nc ", &[" ", "a", " ", "b", "\n\n", "c"]);
        check("", &[]);
    }
}
