//! The character classes of Python's `re` module, on which mem0's tokenizer is built.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

/// Whether Python's `\w` matches: letters, numbers and the underscore, but no combining marks.
///
/// The `\w` of the regex crate also has marks, joiners and all connectors, so it would split words differently.
pub fn is_word(c: char) -> bool {
    static WORD: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"[\p{L}\p{N}]"));
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { contains(&WORD, c) }
}

/// Whether a character is a combining mark (general category M).
pub fn is_mark(c: char) -> bool {
    static MARK: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"\p{M}"));
    // U+0300 is the first mark.
    c >= '\u{300}' && contains(&MARK, c)
}

/// The value of a decimal digit of any script (Python's `\d`), else `None`.
pub(crate) fn decimal(c: char) -> Option<u32> {
    static DECIMAL: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"\p{Nd}"));
    if c.is_ascii() {
        return c.to_digit(10);
    }
    // In Unicode, decimal digits come in runs of ten from 0 to 9. Some runs are adjacent.
    find(&DECIMAL, c).map(|(first, _)| (u32::from(c) - u32::from(first)) % 10)
}

fn contains(ranges: &[(char, char)], c: char) -> bool {
    find(ranges, c).is_some()
}

fn find(ranges: &[(char, char)], c: char) -> Option<(char, char)> {
    let after = ranges.partition_point(|&(first, _)| first <= c);
    ranges[..after].last().copied().filter(|&(_, last)| c <= last)
}

/// The code points of a character class, as sorted ranges.
fn ranges(class: &str) -> Vec<(char, char)> {
    let hir = regex_syntax::parse(class).map(regex_syntax::hir::Hir::into_kind);
    let class = match hir {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        // Reached only if this file misspells a class, which its tests would show.
        _ => ClassUnicode::empty(),
    };
    class.ranges().iter().map(|r| (r.start(), r.end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_characters_are_those_of_python() {
        for c in ['a', 'Z', '0', '_', 'é', 'ß', 'Я', '中', 'ก', '٣', '²', 'Ⅷ', 'ª', 'ー'] {
            assert!(is_word(c), "{c:?}");
        }
        for c in [' ', '-', '\'', '’', '‿', '\u{301}', '\u{e31}', 'ⓐ', '\u{200d}', '€', '😀', '\0'] {
            assert!(!is_word(c), "{c:?}");
        }
    }

    #[test]
    fn decimal_digits_of_all_scripts_have_values() {
        for (c, value) in [('7', Some(7)), ('٣', Some(3)), ('９', Some(9)), ('𝟠', Some(8)), ('²', None), ('x', None)]
        {
            assert_eq!(decimal(c), value, "{c:?}");
        }
    }

    #[test]
    fn combining_marks_are_recognised() {
        assert!(is_mark('\u{301}') && is_mark('\u{e31}') && is_mark('\u{93f}'));
        assert!(!is_mark('e') && !is_mark('中'));
    }
}
