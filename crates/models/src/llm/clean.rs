//! What a model thought before it answered is no part of the answer.

/// Tags that thoughts stand in.
const TAGS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// Leaves out thoughts from a text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// What may yet turn out to be a tag.
    held: String,
    /// The tag that ends the thought, while one goes on.
    until: Option<&'static str>,
    /// Whether something was said.
    said: bool,
}

impl Thoughts {
    /// What of the text so far is known to be said.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let mut said = String::new();
        loop {
            match self.until {
                Some(end) => match find(&self.held, end) {
                    Some(at) => {
                        self.held.drain(..at + end.len());
                        self.until = None;
                    }
                    None => {
                        let kept = tail(&self.held, &[end]);
                        self.held.drain(..self.held.len() - kept);
                        break;
                    }
                },
                None => {
                    let found =
                        TAGS.iter().filter_map(|(open, end)| Some((find(&self.held, open)?, *open, *end))).min();
                    match found {
                        Some((at, open, end)) => {
                            said.push_str(&self.held[..at]);
                            self.held.drain(..at + open.len());
                            self.until = Some(end);
                        }
                        None => {
                            let kept = tail(&self.held, &TAGS.map(|(open, _)| open));
                            said.extend(self.held.drain(..self.held.len() - kept));
                            break;
                        }
                    }
                }
            }
        }
        self.tidy(said)
    }

    /// The rest. What is left of an unclosed thought is none of it.
    pub(super) fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        if self.until.is_some() { String::new() } else { self.tidy(rest) }
    }

    /// White space between a thought and what is said first belongs to neither.
    fn tidy(&mut self, said: String) -> String {
        if self.said {
            return said;
        }
        let text = said.trim_start();
        self.said = !text.is_empty();
        text.to_owned()
    }
}

/// A whole answer without thoughts and without the fence around all of it.
pub(super) fn answer(text: &str) -> String {
    // Some templates open the thought in the question, so that the answer begins inside it.
    let opened = |open: &str, close_at: usize| find(text, open).is_some_and(|at| at < close_at);
    let inside = TAGS.iter().filter_map(|(open, end)| {
        let at = find(text, end)?;
        (!opened(open, at)).then_some(at + end.len())
    });
    let text = inside.max().map_or(text, |from| &text[from..]);
    let mut thoughts = Thoughts::default();
    let said = thoughts.push(text) + &thoughts.finish();
    unfenced(said.trim()).to_owned()
}

/// The inside of a code fence, if the text is one.
fn unfenced(text: &str) -> &str {
    let inside = || {
        let rest = text.strip_prefix("```")?;
        let (language, body) = rest.split_once('\n')?;
        let body = body.trim_end().strip_suffix("```")?;
        (!body.contains("```") && language.trim().chars().all(char::is_alphanumeric)).then_some(body.trim())
    };
    inside().unwrap_or(text)
}

/// Where an ASCII needle stands, whatever its case.
fn find(text: &str, needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    text.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

/// The length of the longest end of the text that begins one of the tags.
fn tail(text: &str, tags: &[&str]) -> usize {
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
    fn thoughts_and_fences_are_no_part_of_an_answer() {
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
            assert_eq!(answer(text), expected, "{text}");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let text = "<think>one <b> two</think>\n Hello <there>, ä<think>x</think>you <thin";
        for size in 1..8 {
            let mut thoughts = Thoughts::default();
            let chars: Vec<char> = text.chars().collect();
            let mut said: String =
                chars.chunks(size).map(|piece| thoughts.push(&piece.iter().collect::<String>())).collect();
            said += &thoughts.finish();
            assert_eq!(said, "Hello <there>, äyou <thin", "pieces of {size}");
        }
    }
}
