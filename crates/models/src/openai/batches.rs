//! Groups texts into requests.

/// Groups consecutive texts into batches of at most `max_texts` texts and `max_chars` characters, but at least one text.
pub(super) fn batches<'a, 't>(texts: &'a [&'t str], max_texts: usize, max_chars: usize) -> Vec<&'a [&'t str]> {
    let mut batches = Vec::new();
    let (mut from, mut chars) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        let len = text.chars().count();
        if at > from && (at - from == max_texts || chars + len > max_chars) {
            batches.push(&texts[from..at]);
            (from, chars) = (at, 0);
        }
        chars += len;
    }
    if from < texts.len() {
        batches.push(&texts[from..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], max_texts: usize, max_chars: usize, expected: &[usize]) {
        let lens: Vec<usize> = batches(texts, max_texts, max_chars).iter().map(|batch| batch.len()).collect();
        assert_eq!(lens, expected, "{texts:?}");
        assert_eq!(batches(texts, max_texts, max_chars).concat(), texts);
    }

    #[test]
    fn a_batch_ends_at_either_limit() {
        check(&[], 3, 10, &[]);
        check(&["a"; 7], 3, 10, &[3, 3, 1]);
        check(&["aaaa"; 5], 3, 10, &[2, 2, 1]);
        check(&["a", "a long one that goes alone", "b", "c"], 3, 10, &[1, 1, 2]);
        check(&["ää", "öö", "üü"], 9, 4, &[2, 1]);
    }
}
