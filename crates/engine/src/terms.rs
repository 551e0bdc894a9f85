//! The terms of a memory: its own, those of its context in the session, and those of its speaker's name.

use std::collections::BTreeMap;

use mnemon_store::{TermCount, Terms};
use mnemon_text::IndexTerms;

/// Maximum number of terms of a memory and its context together.
const CONTEXT_TERMS: usize = 45;
/// Number of previous memories of the session that a context covers.
pub(crate) const CONTEXT_MEMORIES: usize = 2;

/// Counts a memory's own terms, the terms of its context, and the terms of its speaker's name.
///
/// `before` holds the words of the previous memories of the session, nearest first. The context is filled with the last
/// words of the nearest memory, then with those of the next one, until text and context have 45 words together. Parts of
/// words count only in their own text, and not for its length.
pub(crate) fn count_terms(own: &IndexTerms, before: &[&[u32]], speaker: Option<&str>) -> Terms {
    let mut counts: BTreeMap<u32, (u16, u16)> = BTreeMap::new();
    for &term in own.words.iter().chain(&own.parts) {
        let count = counts.entry(term).or_default();
        *count = (count.0.saturating_add(1), count.1.saturating_add(1));
    }
    let mut context_len = own.words.len();
    for terms in before.iter().take(CONTEXT_MEMORIES) {
        let room = CONTEXT_TERMS.saturating_sub(context_len);
        let tail = &terms[terms.len().saturating_sub(room)..];
        for &term in tail {
            let count = counts.entry(term).or_default();
            count.1 = count.1.saturating_add(1);
        }
        context_len += tail.len();
    }
    for term in speaker.map(mnemon_text::index_terms).unwrap_or_default().words {
        counts.entry(term).or_default();
    }
    let counts = counts.into_iter().map(|(term, (in_text, in_context))| TermCount { term, in_text, in_context });
    Terms { counts: counts.collect(), text_len: own.words.len() as u32, context_len: context_len as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: impl Into<Vec<u32>>) -> IndexTerms {
        IndexTerms { words: words.into(), parts: Vec::new() }
    }

    #[test]
    fn context_is_filled_from_the_nearest_memory_first() {
        let near: Vec<u32> = (100..140).collect();
        let far: Vec<u32> = (200..240).collect();
        let terms = count_terms(&words([1, 1, 2]), &[&near, &far], None);
        assert_eq!((terms.text_len, terms.context_len), (3, 45));
        let counts_of = |term| terms.counts.iter().find(|count| count.term == term).map(|c| (c.in_text, c.in_context));
        assert_eq!(counts_of(1), Some((2, 2)));
        assert_eq!(counts_of(100), Some((0, 1)));
        assert_eq!(counts_of(239), Some((0, 1)));
        assert_eq!(counts_of(238), Some((0, 1)));
        assert_eq!(counts_of(237), None);
    }

    #[test]
    fn a_long_text_has_no_context() {
        let own = words((0..60).collect::<Vec<_>>());
        assert_eq!(count_terms(&own, &[&[77, 78]], None).context_len, 60);
    }

    #[test]
    fn parts_count_in_their_text_and_not_for_its_length() {
        let own = IndexTerms { words: vec![1], parts: vec![1, 8] };
        let terms = count_terms(&own, &[], None);
        assert_eq!((terms.text_len, terms.context_len), (1, 1));
        let counts: Vec<_> = terms.counts.iter().map(|count| (count.term, count.in_text, count.in_context)).collect();
        assert_eq!(counts, [(1, 2, 2), (8, 1, 1)]);
    }

    #[test]
    fn the_speaker_adds_terms_but_no_counts() {
        let terms = count_terms(&words([]), &[], Some("Maria"));
        assert_eq!(terms.counts.len(), 1);
        assert_eq!((terms.counts[0].in_text, terms.counts[0].in_context), (0, 0));
    }
}
