//! Names: runs of capitalised words, except for words that are capitalised only because a sentence starts.

use super::kind::{Entity, EntityKind};
use super::tagged::Tagged;
use crate::tag::Tag;

/// Words that may be inside a name, but not at its end.
const LINKS: [&str; 8] = ["'s", "and", "at", "for", "in", "is", "of", "the"];
/// Markers of lists and headings: the next word starts a sentence.
const MARKERS: [&str; 11] = ["*", "-", "+", "•", "–", "—", "#", "##", "###", "**", "__"];

pub(super) fn find(text: &Tagged, found: &mut Vec<Entity>) {
    let count = text.tokens.len();
    let mut at = 0;
    while at < count {
        let is_label = at + 1 < count && text.word(at + 1) == ":";
        if !text.is_capitalised(at) || is_label || !may_start_name(text.tags[at]) {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < count && (text.is_capitalised(end) || is_link(text.word(end))) {
            end += 1;
        }
        let mut last = end;
        while last > at && is_link(text.word(last - 1)) {
            last -= 1;
        }
        let is_name =
            (at..last).any(|at| text.is_capitalised(at) && !is_link(text.word(at)) && !starts_sentence(text, at));
        if is_name {
            let name = &text.text[text.tokens[at].start..text.tokens[last - 1].end];
            found.push(Entity { kind: EntityKind::Proper, text: name.to_owned() });
        }
        at = end;
    }
}

fn may_start_name(tag: Tag) -> bool {
    tag.is_name() || tag.is_common_noun() || tag.is_adjective()
}

fn is_link(word: &str) -> bool {
    word.len() <= 3 && LINKS.iter().any(|link| link.eq_ignore_ascii_case(word))
}

fn starts_sentence(text: &Tagged, at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return true };
    let word = text.word(before);
    if matches!(word, "." | "!" | "?" | ":") || MARKERS.contains(&word) || word.contains('\n') {
        return true;
    }
    let closes = matches!(word, "\"" | "”" | "'" | "’" | ")");
    closes && before > 0 && matches!(text.word(before - 1), "." | "!" | "?")
}
