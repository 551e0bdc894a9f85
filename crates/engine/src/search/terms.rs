//! The terms by which the words of a question are looked up.

use mnemon_store::Search;
use mnemon_text::analysis::{Language, PART_WEIGHT, first_terms, query_words};

use crate::error::Result;

/// The terms of a question with their weights, sorted by term, for a scope with memories in these languages.
///
/// Of the forms of a word those count that memories have, or the first if there are none; parts of a word count only if
/// memories have them. The same holds for the terms of the first analysis, under which older memories may be stored.
pub(super) fn question_terms(question: &str, languages: &[Language], reads: &dyn Search) -> Result<Vec<(u32, f32)>> {
    let words = query_words(question, languages);
    let mut old = first_terms(question);
    old.retain(|term| !words.iter().any(|word| word.forms.contains(term)));
    let needs_lookup = !old.is_empty() || words.iter().any(|word| word.forms.len() > 1 || !word.parts.is_empty());
    let mut terms: Vec<(u32, f32)> = Vec::with_capacity(words.len());
    if needs_lookup {
        let asked: Vec<u32> =
            words.iter().flat_map(|word| word.forms.iter().chain(&word.parts)).chain(&old).copied().collect();
        let counts = reads.scope_stats(&asked)?.document_frequency;
        let mut counted = asked.into_iter().zip(counts);
        let mut known = |count: usize| -> Vec<u32> {
            counted.by_ref().take(count).filter(|(_, memories)| *memories > 0).map(|(term, _)| term).collect()
        };
        for word in &words {
            let forms = known(word.forms.len());
            let forms = if forms.is_empty() { &word.forms[..1] } else { &forms };
            terms.extend(forms.iter().map(|form| (*form, 1.0)));
            terms.extend(known(word.parts.len()).into_iter().map(|part| (part, PART_WEIGHT)));
        }
        terms.extend(known(old.len()).into_iter().map(|term| (term, 1.0)));
    } else {
        terms.extend(words.iter().map(|word| (word.forms[0], 1.0)));
    }
    // Of two equal terms the one with the larger weight stays.
    terms.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    terms.dedup_by_key(|(term, _)| *term);
    Ok(terms)
}
