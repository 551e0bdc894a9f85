//! Cuts texts that are too long for a model into pieces, at the ends of paragraphs, sentences or words.

use unicode_segmentation::GraphemeCursor;

/// Ends of sentences in many scripts. Those of Chinese and Japanese need no space after them.
const SENTENCE_ENDS: [char; 10] = ['.', '!', '?', '…', '؟', '۔', '।', '。', '！', '？'];
const WIDE_ENDS: [char; 3] = ['。', '！', '？'];

/// Cuts a text into pieces that fit, of about the same length. Joined, they are the text; none begins or ends inside a
/// character that a reader sees. A piece that does not fit has only one such character.
pub(crate) fn cut<'t>(text: &'t str, fits: &impl Fn(&str) -> bool) -> Vec<&'t str> {
    if fits(text) {
        return vec![text];
    }
    match halves(text) {
        Some((first, rest)) => [cut(first, fits), cut(rest, fits)].concat(),
        None => vec![text],
    }
}

/// Cuts a text near its middle, at the best place there is; `None` for a text of one character.
pub(crate) fn halves(text: &str) -> Option<(&str, &str)> {
    let (quarter, middle) = (text.len() / 4, text.len() / 2);
    let mut best: Option<(Place, usize)> = None;
    let mut before = Before::default();
    for (at, char) in text.char_indices() {
        let place = before.place(char);
        let is_better = |(rank, other): (Place, usize)| {
            place > rank || (place == rank && at.abs_diff(middle) < other.abs_diff(middle))
        };
        if at > 0
            && (quarter..=text.len() - quarter).contains(&at)
            && place > Place::Inside
            && best.is_none_or(is_better)
            && is_character_boundary(text, at)
        {
            best = Some((place, at));
        }
        before.read(char);
    }
    let at = best.map(|(_, at)| at).or_else(|| character_boundary(text, text.floor_char_boundary(middle)))?;
    Some(text.split_at(at))
}

fn is_character_boundary(text: &str, at: usize) -> bool {
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(false)
}

/// The boundary of visible characters that is next to a place in a text.
fn character_boundary(text: &str, at: usize) -> Option<usize> {
    let cursor = || GraphemeCursor::new(at, text.len(), true);
    let is_inside = |at: &usize| (1..text.len()).contains(at);
    if is_inside(&at) && is_character_boundary(text, at) {
        return Some(at);
    }
    let next = cursor().next_boundary(text, 0).ok().flatten().filter(is_inside);
    next.or_else(|| cursor().prev_boundary(text, 0).ok().flatten().filter(is_inside))
}

/// Where a text can be cut; better places are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Inside,
    Word,
    Sentence,
    Paragraph,
}

/// The text before a place.
#[derive(Default)]
struct Before {
    /// The last character that is not white space.
    last: Option<char>,
    /// White space since then, and the line breaks in it.
    spaces: usize,
    breaks: usize,
}

impl Before {
    fn read(&mut self, char: char) {
        if char.is_whitespace() {
            self.spaces += 1;
            self.breaks += usize::from(char == '\n');
        } else {
            *self = Self { last: Some(char), spaces: 0, breaks: 0 };
        }
    }

    /// The kind of the place before this character.
    fn place(&self, next: char) -> Place {
        let ends = |ends: &[char]| self.last.is_some_and(|last| ends.contains(&last));
        match (self.spaces, self.breaks) {
            _ if next.is_whitespace() => Place::Inside,
            (0, _) if ends(&WIDE_ENDS) && !WIDE_ENDS.contains(&next) => Place::Sentence,
            (0, _) => Place::Inside,
            (_, 2..) => Place::Paragraph,
            (_, 1) => Place::Sentence,
            _ if ends(&SENTENCE_ENDS) => Place::Sentence,
            _ => Place::Word,
        }
    }
}

/// The length of a text as models count it, in characters of an English text: about four for each token. Digits, punctuation
/// and other scripts have more tokens for each character.
pub(crate) fn size(text: &str) -> usize {
    let size = |char: char| match char {
        ' ' | 'a'..='z' | 'A'..='Z' => 1,
        ..'\u{800}' => 2,
        '\u{800}'..'\u{10000}' => 4,
        _ => 8,
    };
    text.chars().map(size).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;

    #[test]
    fn the_best_place_near_the_middle_is_chosen() {
        for (text, first) in [
            ("We moved. It rained all day. We slept.", "We moved. "),
            ("one two three four", "one two "),
            ("First line. And more.\n\nSecond one. And more.", "First line. And more.\n\n"),
            ("我的猫叫米索。它喜欢睡觉。", "我的猫叫米索。"),
            ("abcdefgh", "abcd"),
            ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ] {
            assert_eq!(halves(text).map(|(found, _)| found), Some(first));
        }
        for text in ["", "a", "👩‍👩‍👧‍👦", "e\u{301}"] {
            assert_eq!(halves(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_fit_are_never_empty_and_make_up_the_text(
            text in prop_oneof![any::<String>(), "[a-z .\n]{0,400}", "[一-龥。👩‍🇩🇪é ]{0,200}"],
            limit in 1_usize..60,
        ) {
            let pieces = cut(&text, &|piece| piece.len() <= limit);
            prop_assert_eq!(pieces.concat(), text.as_str());
            for piece in &pieces {
                let is_one = piece.graphemes(true).count() <= 1;
                prop_assert!(piece.len() <= limit || is_one, "{:?}", piece);
                prop_assert!(text.is_empty() || !piece.is_empty());
            }
        }
    }
}
