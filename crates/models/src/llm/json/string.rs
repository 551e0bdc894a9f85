//! Strings: where they end, and their escapes.

/// Quotes that open and close strings in some answers although they are not JSON's. Each line is a family: a string that
/// one of them opens may end at any other of the same family, or at the ASCII quote at its end.
const FAMILIES: [&str; 6] = [
    "\u{201c}\u{201d}\u{201e}\u{201f}\u{ff02}\u{301d}\u{301e}\u{301f}\u{2033}\u{2036}\"",
    "\u{2018}\u{2019}\u{201a}\u{201b}\u{ff07}\u{2032}\u{2035}\u{b4}'",
    "«»‹›\"",
    "「」『』\"",
    "《》〈〉\"",
    "`\u{b4}'",
];

/// Whether a character opens a string.
pub(super) fn is_quote(char: char) -> bool {
    FAMILIES.iter().any(|family| family.contains(char))
}

/// Whether a string that the first quote opens may end at the second one.
fn are_related(open: char, close: char) -> bool {
    FAMILIES.iter().find(|family| family.contains(open)).is_some_and(|family| family.contains(close))
}

/// Where the content of a string ends, and the position after its closing quote; `None` if the string is not closed. A
/// string that ASCII quotes open ends at the next such quote. One that other quotes open, and every one if `tolerant`,
/// ends only where the JSON around it can go on: there may be quotes in it.
pub(super) fn end(text: &str, quote: char, tolerant: bool) -> Option<(usize, usize)> {
    let is_other = !matches!(quote, '"' | '\'');
    let closes = |char: char| {
        char == quote
            || is_other && are_related(quote, char)
            || tolerant && quote == '"' && are_related('\u{201c}', char)
    };
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if closes(char) {
            let after = at + char.len_utf8();
            if !(tolerant || is_other) || goes_on(&text[after..]) {
                return Some((at, after));
            }
        }
    }
    None
}

/// Whether this can follow a string.
fn goes_on(rest: &str) -> bool {
    let trimmed = rest.trim_start();
    match trimmed.chars().next().map(punctuation) {
        None => true,
        Some(',' | ':' | '}' | ']' | '/') => true,
        // The comma before the next string is missing.
        Some(char) => is_quote(char) && trimmed.len() < rest.len(),
    }
}

/// The ASCII form of punctuation of JSON that is written in full width, as in East Asian texts.
pub(super) fn punctuation(char: char) -> char {
    match char {
        '\u{ff5b}' => '{',
        '\u{ff5d}' => '}',
        '\u{ff3b}' => '[',
        '\u{ff3d}' => ']',
        '\u{ff1a}' => ':',
        '\u{ff0c}' => ',',
        other => other,
    }
}

/// The content of a string without its escapes. The backslash of an invalid escape is left out; half of a surrogate pair
/// becomes U+FFFD. An escape that is cut at the end is left out.
pub(super) fn unescaped(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut chars = content.char_indices();
    while let Some((_, char)) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next().map(|(_, char)| char) {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('u') => text.push(escaped(&mut chars)),
            Some(other) => text.push(other),
            None => break,
        }
    }
    text
}

/// Reads the digits of `\uXXXX`, or of a surrogate pair of two such escapes.
fn escaped(chars: &mut std::str::CharIndices<'_>) -> char {
    let Some(first) = code_unit(chars) else { return char::REPLACEMENT_CHARACTER };
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = chars.clone();
    let second = match (ahead.next(), ahead.next()) {
        (Some((_, '\\')), Some((_, 'u'))) => code_unit(&mut ahead).filter(|unit| (0xDC00..0xE000).contains(unit)),
        _ => None,
    };
    let Some(second) = second else { return char::REPLACEMENT_CHARACTER };
    *chars = ahead;
    char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Reads four hexadecimal digits; reads nothing if there are none.
fn code_unit(chars: &mut std::str::CharIndices<'_>) -> Option<u32> {
    let mut ahead = chars.clone();
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + ahead.next()?.1.to_digit(16)?;
    }
    *chars = ahead;
    Some(unit)
}
