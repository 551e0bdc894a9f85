//! Text for a terminal: one line, truncated to the width, without control characters.

/// The text in one line, without characters that control the terminal (escape sequences, direction marks).
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let word = word.chars().filter(|c| !c.is_control() && !is_direction(*c));
        let before = line.len();
        if before > 0 {
            line.push(' ');
        }
        line.extend(word);
        if line.len() == before + 1 && before > 0 {
            line.pop();
        }
    }
    line
}

/// The text in one line, truncated to `width` columns. Wide characters count as two.
pub(crate) fn truncate(text: &str, width: usize) -> String {
    // More than any terminal shows. The rest need not be measured.
    let start: String = text.chars().take(4 * width + 80).collect();
    console::truncate_str(&one_line(&start), width, "…").into_owned()
}

/// `1 memory`, `2 memories`.
pub(crate) fn pluralize(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Marks that change the direction of the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        for (text, line) in
            [("a\n b\t c", "a b c"), ("\u{1b}[31mred\u{7}", "[31mred"), ("\u{202E}abc \u{1b} d", "abc d"), ("", "")]
        {
            assert_eq!(one_line(text), line, "{text:?}");
        }
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(truncate("我喜欢喝茶", 10), "我喜欢喝茶");
        assert_eq!(truncate("我喜欢喝茶", 7), "我喜欢…");
        assert_eq!(truncate("plain words", 8), "plain w…");
        assert_eq!(truncate(&"a".repeat(10_000), 5), "aaaa…");
    }
}
