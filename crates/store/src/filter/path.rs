//! The current location of the parser. It is rendered to text only for an error.

/// Characters of a key that are rendered: a filter is untrusted input, and its keys may be of any length.
const MAX_KEY_CHARS: usize = 64;

/// A location in a filter, linked to the outer locations.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The whole filter.
    pub(super) const ROOT: Self = Self { outer: None, step: Step::Root };

    /// The value under a key.
    pub(super) fn key<'b>(&'b self, key: &'b str) -> Path<'b> {
        Path { outer: Some(self), step: Step::Key(key) }
    }

    /// An item of a list.
    pub(super) fn index<'b>(&'b self, index: usize) -> Path<'b> {
        Path { outer: Some(self), step: Step::Index(index) }
    }

    /// The location as text, such as `AND[1].priority.gte`; the whole filter is `filters`.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        if text.is_empty() {
            return "filters".to_owned();
        }
        text
    }

    fn write(&self, text: &mut String) {
        if let Some(outer) = self.outer {
            outer.write(text);
        }
        match self.step {
            Step::Root => {}
            Step::Key("") => text.push_str("[\"\"]"),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                match key.char_indices().nth(MAX_KEY_CHARS) {
                    Some((cut, _)) => text.extend([&key[..cut], "…"]),
                    None => text.push_str(key),
                }
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
}
