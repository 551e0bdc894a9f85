//! Which texts go together in one request.

/// Consecutive texts, at most `most` together and no more than `chars` characters, but at least one.
pub(super) fn batches<'a, 't>(texts: &'a [&'t str], most: usize, chars: usize) -> Vec<&'a [&'t str]> {
    let mut batches = Vec::new();
    let (mut from, mut held) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        let len = text.chars().count();
        if at > from && (at - from == most || held + len > chars) {
            batches.push(&texts[from..at]);
            (from, held) = (at, 0);
        }
        held += len;
    }
    if from < texts.len() {
        batches.push(&texts[from..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], most: usize, chars: usize, expected: &[usize]) {
        let lens: Vec<usize> = batches(texts, most, chars).iter().map(|batch| batch.len()).collect();
        assert_eq!(lens, expected, "{texts:?}");
        assert_eq!(batches(texts, most, chars).concat(), texts);
    }

    #[test]
    fn a_batch_ends_where_either_bound_is_reached() {
        check(&[], 3, 10, &[]);
        check(&["a"; 7], 3, 10, &[3, 3, 1]);
        check(&["aaaa"; 5], 3, 10, &[2, 2, 1]);
        check(&["a", "a long one that goes alone", "b", "c"], 3, 10, &[1, 1, 2]);
        check(&["ää", "öö", "üü"], 9, 4, &[2, 1]);
    }
}
