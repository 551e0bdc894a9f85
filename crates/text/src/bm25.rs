//! BM25 as sparse vectors, divided as between fastembed's `Qdrant/bm25` and Qdrant's `idf` modifier.
//!
//! A vector has the saturated frequency of each term; the inverse document frequency is applied when scoring:
//! score(query, document) = Σ query(t) · document(t) · [`idf`]\(t).

use crate::tokenize::term_ids;

/// A sparse vector: `values[i]` belongs to dimension `indices[i]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseVector {
    /// [Term ids](crate::tokenize::term_id), ascending and distinct, at most 2³¹.
    pub indices: Vec<u32>,
    /// Weights, as many as `indices`.
    pub values: Vec<f32>,
}

/// The parameters of BM25's term weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Saturation of the term frequency; the weight is always below `k + 1`.
    pub k: f64,
    /// Length normalisation: 0 for none, 1 for full.
    pub b: f64,
    /// The assumed average length of a document, in terms.
    pub avg_len: f64,
}

impl Default for Params {
    /// The parameters of fastembed: k 1.2, b 0.75, avg_len 256.
    fn default() -> Self {
        Self { k: 1.2, b: 0.75, avg_len: 256.0 }
    }
}

/// The vector that mem0 stores for a text and uses for queries; equal to fastembed's.
///
/// It is empty for a text without terms.
pub fn encode(text: &str) -> SparseVector {
    let mut ids = term_ids(text);
    let len = ids.len();
    ids.sort_unstable();
    let params = Params::default();
    ids.chunk_by(|a, b| a == b).map(|same| (same[0], weight(same.len(), len, &params))).collect()
}

/// The weight of a term that occurs `tf` times in a document of `len` terms:
/// tf·(k + 1) / (tf + k·(1 − b + b·len/avg_len)) (Robertson and Zaragoza 2009, without idf).
pub fn weight(tf: usize, len: usize, params: &Params) -> f32 {
    let Params { k, b, avg_len } = *params;
    let tf = tf as f64;
    (tf * (k + 1.0) / (tf + k * (1.0 - b + b * len as f64 / avg_len))) as f32
}

/// The inverse document frequency of a term in `df` of `n` documents, as Qdrant computes it:
/// ln(1 + (n − df + ½) / (df + ½)).
///
/// Never negative; a `df` above `n` counts as `n`.
pub fn idf(n: u64, df: u64) -> f64 {
    let without = n.saturating_sub(df) as f64;
    let with = df.min(n) as f64;
    (1.0 + (without + 0.5) / (with + 0.5)).ln()
}

impl FromIterator<(u32, f32)> for SparseVector {
    /// The pairs must be in ascending order of their dimensions.
    fn from_iter<I: IntoIterator<Item = (u32, f32)>>(pairs: I) -> Self {
        let (indices, values) = pairs.into_iter().unzip();
        Self { indices, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idf_equals_qdrants() {
        let check = |n, df, expected: f64| assert!((idf(n, df) - expected).abs() < 1e-12, "{n} {df}");
        check(0, 0, 2f64.ln());
        check(10, 1, (1.0f64 + 9.5 / 1.5).ln());
        check(10, 10, (1.0f64 + 0.5 / 10.5).ln());
        check(10, 12, idf(10, 10));
    }

    #[test]
    fn weights_grow_with_frequency_and_shrink_with_length() {
        let params = Params { avg_len: 64.0, ..Params::default() };
        assert!(weight(2, 10, &params) > weight(1, 10, &params));
        assert!(weight(1, 100, &params) < weight(1, 10, &params));
        assert_eq!(weight(1, 64, &params), 1.0);
    }
}
