//! The 179 English stopwords of NLTK, which fastembed's `Qdrant/bm25` drops.

/// Whether `word` (in lower case) is one of NLTK's English stopwords.
///
/// The list has forms such as `don't`, which a tokenizer that splits at the apostrophe never produces.
pub fn is_stopword(word: &str) -> bool {
    word.len() <= MAX_LEN && ENGLISH.binary_search(&word).is_ok()
}

/// The length of the longest stopword.
const MAX_LEN: usize = "yourselves".len();

/// Sorted by bytes.
#[rustfmt::skip]
pub(crate) const ENGLISH: [&str; 179] = [
    "a", "about", "above", "after", "again", "against", "ain", "all", "am", "an", "and", "any", "are", "aren",
    "aren't", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both", "but", "by",
    "can", "couldn", "couldn't", "d", "did", "didn", "didn't", "do", "does", "doesn", "doesn't", "doing", "don",
    "don't", "down", "during", "each", "few", "for", "from", "further", "had", "hadn", "hadn't", "has", "hasn",
    "hasn't", "have", "haven", "haven't", "having", "he", "her", "here", "hers", "herself", "him", "himself", "his",
    "how", "i", "if", "in", "into", "is", "isn", "isn't", "it", "it's", "its", "itself", "just", "ll", "m", "ma",
    "me", "mightn", "mightn't", "more", "most", "mustn", "mustn't", "my", "myself", "needn", "needn't", "no", "nor",
    "not", "now", "o", "of", "off", "on", "once", "only", "or", "other", "our", "ours", "ourselves", "out", "over",
    "own", "re", "s", "same", "shan", "shan't", "she", "she's", "should", "should've", "shouldn", "shouldn't", "so",
    "some", "such", "t", "than", "that", "that'll", "the", "their", "theirs", "them", "themselves", "then", "there",
    "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "ve", "very", "was", "wasn",
    "wasn't", "we", "were", "weren", "weren't", "what", "when", "where", "which", "while", "who", "whom", "why",
    "will", "with", "won", "won't", "wouldn", "wouldn't", "y", "you", "you'd", "you'll", "you're", "you've", "your",
    "yours", "yourself", "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_its_longest_word_is_known() {
        assert!(ENGLISH.is_sorted_by(|a, b| a < b));
        assert_eq!(ENGLISH.iter().map(|w| w.len()).max(), Some(MAX_LEN));
    }

    #[test]
    fn stopwords_are_recognised() {
        for word in ["i", "the", "won't", "yourselves"] {
            assert!(is_stopword(word), "{word}");
        }
        for word in ["", "_", "The", "also", "yourselvesx"] {
            assert!(!is_stopword(word), "{word}");
        }
    }
}
