//! Groups texts into batches. All texts of a batch are padded to its longest one, so texts of similar lengths are grouped.

use super::shape::PAD;

/// Maximum number of texts in a batch. Larger batches are not faster.
const MAX_TEXTS: usize = 32;
/// Maximum number of word pieces in a batch, with padding. A thousand pieces of long texts need about 80 MB of memory
/// during the computation.
const MAX_BATCH_PIECES: usize = 2048;

/// Texts that are computed together.
pub(super) struct Batch<'p> {
    /// The index of each text among all texts, and its word pieces; the longest text is last.
    texts: Vec<(usize, &'p [u16])>,
}

/// Groups all texts that have word pieces, the shortest first.
pub(super) fn batches(pieces: &[Vec<u16>]) -> Vec<Batch<'_>> {
    let mut texts: Vec<(usize, &[u16])> = pieces.iter().map(Vec::as_slice).enumerate().collect();
    texts.retain(|(_, pieces)| !pieces.is_empty());
    texts.sort_by_key(|(_, pieces)| pieces.len());
    let mut batches = Vec::new();
    let mut rest = texts.as_slice();
    while !rest.is_empty() {
        // The texts are sorted by length, so the last one determines the padded size.
        let fits = |&(count, (_, pieces)): &(usize, &(usize, &[u16]))| {
            count == 0 || (count + 1) * pieces.len() <= MAX_BATCH_PIECES
        };
        let count = rest.iter().take(MAX_TEXTS).enumerate().take_while(fits).count();
        let (batch, later) = rest.split_at(count);
        batches.push(Batch { texts: batch.to_vec() });
        rest = later;
    }
    batches
}

impl Batch<'_> {
    /// The number of texts, at least 1.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Number of pieces of the longest text.
    pub(super) fn width(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// Number of pieces of each text.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|(_, pieces)| pieces.len())
    }

    /// The index of each text among all texts.
    pub(super) fn indexes(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|(index, _)| *index)
    }

    /// The pieces: for each text a row of [`width`](Self::width), padded at its end.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.rows(|piece| piece.map_or(PAD, |piece| piece).into())
    }

    /// 1 for a piece, 0 for padding; the same shape as [`ids`](Self::ids).
    pub(super) fn mask(&self) -> Vec<f32> {
        self.rows(|piece| if piece.is_some() { 1.0 } else { 0.0 })
    }

    fn rows<T>(&self, cell: impl Fn(Option<u16>) -> T) -> Vec<T> {
        let width = self.width();
        let cells = self.texts.iter().flat_map(|(_, pieces)| (0..width).map(|at| pieces.get(at).copied()));
        cells.map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_lengths_are_grouped_without_loss() {
        let pieces: Vec<Vec<u16>> = (0..100).map(|number| vec![7; number * 37 % 100]).collect();
        let batches = batches(&pieces);
        let mut indexes: Vec<usize> = batches.iter().flat_map(Batch::indexes).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, (1..100).collect::<Vec<_>>());
        let shapes: Vec<_> = batches.iter().map(|batch| (batch.len(), batch.width())).collect();
        assert_eq!(shapes, [(32, 32), (32, 64), (23, 87), (12, 99)]);
    }

    #[test]
    fn long_texts_are_grouped_into_smaller_batches() {
        let lengths = |length: usize| batches(&vec![vec![7; length]; 70]).iter().map(Batch::len).collect::<Vec<_>>();
        assert_eq!(lengths(64), [32, 32, 6]);
        assert_eq!(lengths(256), [8, 8, 8, 8, 8, 8, 8, 8, 6]);
        assert_eq!(lengths(2 * MAX_BATCH_PIECES), vec![1; 70]);
    }

    #[test]
    fn short_rows_are_padded() {
        let pieces = [vec![5, 6, 7], vec![], vec![8]];
        let batches = batches(&pieces);
        let [batch] = batches.as_slice() else { panic!("one batch") };
        assert_eq!((batch.len(), batch.width()), (2, 3));
        assert_eq!(batch.ids(), [8, 0, 0, 5, 6, 7]);
        assert_eq!(batch.mask(), [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(batch.indexes().collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn without_texts_there_are_no_batches() {
        assert!(batches(&[]).is_empty() && batches(&[vec![]]).is_empty());
    }
}
