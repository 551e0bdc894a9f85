//! Windows: the new messages that one prompt contains.

use crate::message::Message;

/// Characters of new messages in one prompt.
pub(super) const WINDOW_CHARS: usize = 24_000;
/// A text of fewer characters is not divided.
const MIN_CHARS: usize = 400;

/// A message, or a part of a long one.
#[derive(Clone, Copy)]
pub(super) struct Part<'q> {
    /// Index of the message.
    pub(super) index: usize,
    pub(super) message: &'q Message,
    pub(super) text: &'q str,
}

/// Divides messages into windows, one for each prompt; a message that is longer than a window is divided into parts.
pub(super) fn windows(messages: &[Message]) -> Vec<Vec<Part<'_>>> {
    let mut windows: Vec<Vec<Part<'_>>> = Vec::new();
    let mut window_chars = WINDOW_CHARS;
    for (index, message) in messages.iter().enumerate() {
        let mut rest = message.content.as_str();
        while !rest.trim().is_empty() {
            let text = first_part(rest, WINDOW_CHARS);
            rest = &rest[text.len()..];
            let chars = text.chars().count();
            if window_chars + chars > WINDOW_CHARS {
                windows.push(Vec::new());
                window_chars = 0;
            }
            window_chars += chars;
            if let Some(window) = windows.last_mut() {
                window.push(Part { index, message, text });
            }
        }
    }
    windows
}

/// The beginning of a text, at most so many characters. It ends after the last whole line, else after the last whole
/// sentence, else after the last whole word, unless that would leave less than half of it.
fn first_part(text: &str, chars: usize) -> &str {
    let head = first_chars(text, chars);
    if head.len() == text.len() {
        return text;
    }
    let sentence = head.rmatch_indices(['.', '!', '?', '。', '！', '？']).find_map(|(at, mark)| {
        let end = at + mark.len();
        (!mark.is_ascii() || head[end..].starts_with(' ')).then_some(end)
    });
    let after = |char: char| head.rfind(char).map(|at| at + 1);
    let end = [after('\n'), sentence, after(' ')].into_iter().flatten().find(|end| *end > head.len() / 2);
    end.map_or(head, |end| &head[..end])
}

/// Two windows of about half the size: the messages are divided, or the text if there is only one. `None` if the text is
/// too short for that.
pub(super) fn halves<'q>(window: &[Part<'q>]) -> Option<[Vec<Part<'q>>; 2]> {
    let chars = |part: &Part<'_>| part.text.chars().count();
    if let [part] = window {
        let half = chars(part).div_ceil(2);
        if half < MIN_CHARS / 2 {
            return None;
        }
        let text = first_part(part.text, half);
        let rest = &part.text[text.len()..];
        return (!rest.trim().is_empty()).then(|| [vec![Part { text, ..*part }], vec![Part { text: rest, ..*part }]]);
    }
    let total: usize = window.iter().map(chars).sum();
    let mut before = 0;
    let middle = window.iter().position(|part| {
        before += chars(part);
        before * 2 >= total
    })?;
    let (first, second) = window.split_at((middle + 1).min(window.len() - 1));
    Some([first.to_vec(), second.to_vec()])
}

/// A window for each message, if there are several.
pub(super) fn single_messages<'q>(window: &[Part<'q>]) -> Option<Vec<Vec<Part<'q>>>> {
    let messages: Vec<Vec<Part<'q>>> = window.chunk_by(|a, b| a.index == b.index).map(<[Part<'q>]>::to_vec).collect();
    (messages.len() > 1).then_some(messages)
}

/// The first characters of a text.
pub(crate) fn first_chars(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str) -> Message {
        Message { content: content.into(), ..Message::default() }
    }

    #[test]
    fn long_messages_are_divided_without_loss() {
        let long: String = (0..12_000).map(|n| format!("word{n} ")).collect();
        let messages = [message("short"), message(&long), message("end")];
        let windows = windows(&messages);
        assert!(windows.len() > 3);
        for window in &windows {
            assert!(window.iter().map(|part| part.text.chars().count()).sum::<usize>() <= WINDOW_CHARS);
        }
        let text: String = windows.iter().flatten().filter(|part| part.index == 1).map(|part| part.text).collect();
        assert_eq!(text, long);
        assert_eq!(windows.last().and_then(|window| window.last()).map(|part| part.index), Some(2));
    }

    #[test]
    fn a_part_ends_after_a_line_sentence_or_word() {
        for (text, expected) in [
            ("one two three\nfour five six", "one two three\n"),
            ("a\nOne is two. Three is 3.5 and more", "a\nOne is two."),
            ("we are one 猫が好き。犬も好きです", "we are one 猫が好き。"),
            ("abcdefghijkl mnopqrstuvwxyz", "abcdefghijkl "),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst"),
            ("all of it.", "all of it."),
        ] {
            assert_eq!(first_part(text, 20), expected);
        }
    }

    #[test]
    fn a_window_is_halved_until_its_texts_are_short() {
        let long = "word ".repeat(2000);
        let messages = [message("short"), message(&long), message("end")];
        let window: Vec<Part<'_>> = windows(&messages).remove(0);
        let mut pending = vec![window];
        let mut smallest: Vec<Vec<Part<'_>>> = Vec::new();
        while let Some(window) = pending.pop() {
            match halves(&window) {
                Some([first, second]) => pending.extend([second, first]),
                None => smallest.push(window),
            }
        }
        assert!(smallest.iter().all(|window| window.len() == 1 && window[0].text.len() < MIN_CHARS));
        let texts: String = smallest.iter().flatten().map(|part| part.text).collect();
        assert_eq!(texts, format!("short{long}end"));
        let window: Vec<Part<'_>> = windows(&messages).remove(0);
        assert_eq!(single_messages(&window).map(|windows| windows.len()), Some(3));
        assert!(single_messages(&window[..1]).is_none());
    }
}
