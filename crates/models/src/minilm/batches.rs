//! Which texts are computed together: those of about the same length, as all of a batch are padded to its longest.

use super::PAD;

/// Texts of a batch at most. More at a time are no faster.
const TEXTS: usize = 32;
/// Pieces of a batch at most, padding included: a thousand of long texts take some 80 MB while they are computed.
const PIECES: usize = 2048;

/// Texts that are computed together.
pub(super) struct Batch<'p> {
    /// The place of each text among all, and its word pieces; the longest last.
    texts: Vec<(usize, &'p [u16])>,
}

/// Batches of all texts that have pieces, the shortest first.
pub(super) fn of(pieces: &[Vec<u16>]) -> Vec<Batch<'_>> {
    let mut texts: Vec<(usize, &[u16])> = pieces.iter().map(Vec::as_slice).enumerate().collect();
    texts.retain(|(_, pieces)| !pieces.is_empty());
    texts.sort_by_key(|(_, pieces)| pieces.len());
    let mut batches = Vec::new();
    let mut rest = texts.as_slice();
    while !rest.is_empty() {
        // The longest comes last, so the padded size only grows.
        let fits =
            |&(count, (_, pieces)): &(usize, &(usize, &[u16]))| count == 0 || (count + 1) * pieces.len() <= PIECES;
        let count = rest.iter().take(TEXTS).enumerate().take_while(fits).count();
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

    /// Pieces of the longest text.
    pub(super) fn width(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// Pieces of each text.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|(_, pieces)| pieces.len())
    }

    /// Where each text stands among all.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|(place, _)| *place)
    }

    /// The pieces, a row of [`width`](Self::width) a text, padded at its end.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.rows(|piece| piece.map_or(PAD, |piece| piece).into())
    }

    /// 1 where there is a piece, 0 where there is padding; shaped as [`ids`](Self::ids).
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
    fn near_lengths_go_together_and_nothing_is_lost() {
        let pieces: Vec<Vec<u16>> = (0..100).map(|number| vec![7; number * 37 % 100]).collect();
        let batches = of(&pieces);
        let mut places: Vec<usize> = batches.iter().flat_map(Batch::places).collect();
        places.sort_unstable();
        assert_eq!(places, (1..100).collect::<Vec<_>>());
        let shapes: Vec<_> = batches.iter().map(|batch| (batch.len(), batch.width())).collect();
        assert_eq!(shapes, [(32, 32), (32, 64), (23, 87), (12, 99)]);
    }

    #[test]
    fn long_texts_come_in_smaller_batches() {
        let lengths = |length: usize| of(&vec![vec![7; length]; 70]).iter().map(Batch::len).collect::<Vec<_>>();
        assert_eq!(lengths(64), [32, 32, 6]);
        assert_eq!(lengths(256), [8, 8, 8, 8, 8, 8, 8, 8, 6]);
        assert_eq!(lengths(2 * PIECES), vec![1; 70]);
    }

    #[test]
    fn short_rows_are_padded() {
        let pieces = [vec![5, 6, 7], vec![], vec![8]];
        let batches = of(&pieces);
        let [batch] = batches.as_slice() else { panic!("one batch") };
        assert_eq!((batch.len(), batch.width()), (2, 3));
        assert_eq!(batch.ids(), [8, 0, 0, 5, 6, 7]);
        assert_eq!(batch.mask(), [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(batch.places().collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn no_texts_make_no_batch() {
        assert!(of(&[]).is_empty() && of(&[vec![]]).is_empty());
    }
}
