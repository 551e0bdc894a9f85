//! Removes a model's reasoning from its answer, and the code fence around it.

/// Opening and closing tags of reasoning.
const TAGS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// Removes reasoning from a text that arrives in parts.
#[derive(Debug, Default)]
pub(super) struct ReasoningFilter {
    /// Text that was not returned yet, because it may be the beginning of a tag.
    held: String,
    /// The closing tag, while inside reasoning.
    until: Option<&'static str>,
    /// Whether some text was returned.
    has_text: bool,
}

impl ReasoningFilter {
    /// Adds a part. Returns the text that is certainly not reasoning and was not returned yet.
    pub(super) fn push(&mut self, part: &str) -> String {
        self.held.push_str(part);
        let mut text = String::new();
        loop {
            match self.until {
                Some(end) => match find(&self.held, end) {
                    Some(at) => {
                        self.held.drain(..at + end.len());
                        self.until = None;
                    }
                    None => {
                        let kept = tag_prefix_len(&self.held, &[end]);
                        self.held.drain(..self.held.len() - kept);
                        break;
                    }
                },
                None => {
                    let found =
                        TAGS.iter().filter_map(|(open, end)| Some((find(&self.held, open)?, *open, *end))).min();
                    match found {
                        Some((at, open, end)) => {
                            text.push_str(&self.held[..at]);
                            self.held.drain(..at + open.len());
                            self.until = Some(end);
                        }
                        None => {
                            let kept = tag_prefix_len(&self.held, &TAGS.map(|(open, _)| open));
                            text.extend(self.held.drain(..self.held.len() - kept));
                            break;
                        }
                    }
                }
            }
        }
        self.trim(text)
    }

    /// Returns the rest of the text. Reasoning without a closing tag is dropped.
    pub(super) fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        if self.until.is_some() { String::new() } else { self.trim(rest) }
    }

    /// Removes white space before the first text.
    fn trim(&mut self, text: String) -> String {
        if self.has_text {
            return text;
        }
        let text = text.trim_start();
        self.has_text = !text.is_empty();
        text.to_owned()
    }
}

/// A complete answer without reasoning and without a code fence around the whole text.
pub(super) fn clean_answer(text: &str) -> String {
    // With some chat templates the prompt ends with the opening tag, so that the answer begins inside the reasoning.
    let opened = |open: &str, close_at: usize| find(text, open).is_some_and(|at| at < close_at);
    let ends_of_reasoning = TAGS.iter().filter_map(|(open, end)| {
        let at = find(text, end)?;
        (!opened(open, at)).then_some(at + end.len())
    });
    let text = ends_of_reasoning.max().map_or(text, |from| &text[from..]);
    let mut filter = ReasoningFilter::default();
    let text = filter.push(text) + &filter.finish();
    without_fence(text.trim()).to_owned()
}

/// The content of a code fence, if the text is one.
fn without_fence(text: &str) -> &str {
    let content = || {
        let rest = text.strip_prefix("```")?;
        let (language, body) = rest.split_once('\n')?;
        let body = body.trim_end().strip_suffix("```")?;
        (!body.contains("```") && language.trim().chars().all(char::is_alphanumeric)).then_some(body.trim())
    };
    content().unwrap_or(text)
}

/// The position of an ASCII needle, ignoring case.
fn find(text: &str, needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    text.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

/// The length of the longest end of the text that is the beginning of one of the tags.
fn tag_prefix_len(text: &str, tags: &[&str]) -> usize {
    let begins = |len: usize| {
        let end = &text.as_bytes()[text.len() - len..];
        tags.iter().any(|tag| tag.len() > len && tag.as_bytes()[..len].eq_ignore_ascii_case(end))
    };
    let longest = tags.iter().map(|tag| tag.len()).max().unwrap_or(1) - 1;
    (1..=longest.min(text.len())).rev().find(|len| begins(*len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_and_fences_are_removed() {
        for (text, expected) in [
            ("Hello.", "Hello."),
            ("<think>hm</think>Hello.", "Hello."),
            ("<think>\nhm\n</think>\n```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
            ("<THINK>hm</Think> Hello <b>you</b>.", "Hello <b>you</b>."),
            ("Yes. <thinking>or no?</thinking>Yes.", "Yes. Yes."),
            ("hm, the user greets\n</think>\n\nHello.", "Hello."),
            ("<think>never closed {\"memory\": []}", ""),
            ("```\nfn main() {}\n```", "fn main() {}"),
            ("Look:\n```\ncode\n```", "Look:\n```\ncode\n```"),
            ("```json\n{\"cut\": [", "```json\n{\"cut\": ["),
            ("", ""),
        ] {
            assert_eq!(clean_answer(text), expected, "{text}");
        }
    }

    #[test]
    fn parts_of_any_size_give_the_same_text() {
        let text = "<think>one <b> two</think>\n Hello <there>, ä<think>x</think>you <thin";
        for size in 1..8 {
            let mut filter = ReasoningFilter::default();
            let chars: Vec<char> = text.chars().collect();
            let mut filtered: String =
                chars.chunks(size).map(|part| filter.push(&part.iter().collect::<String>())).collect();
            filtered += &filter.finish();
            assert_eq!(filtered, "Hello <there>, äyou <thin", "parts of {size}");
        }
    }
}
