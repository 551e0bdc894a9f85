//! The classifiers' weights, compiled in.
//!
//! A table of rows, a power of two of them. A row is one check byte of the feature's hash, then
//! one signed byte a label, counted from 1. A feature lives in one of two adjacent rows; most of
//! the features seen in training were worth too little to keep and have none.

/// Weights of the tags.
pub(crate) static TAGS: Weights<32> = Weights { bytes: include_bytes!("../../data/tags.bin") };
/// Weights of the places in a noun phrase.
pub(crate) static PLACES: Weights<8> = Weights { bytes: include_bytes!("../../data/places.bin") };

pub(crate) struct Weights<const ROW: usize> {
    bytes: &'static [u8],
}

impl<const ROW: usize> Weights<ROW> {
    /// The label with the highest sum of weights over `features`.
    pub(crate) fn best(&self, features: &[u32]) -> u8 {
        let (rows, _) = self.bytes.as_chunks::<ROW>();
        let mut sums = [0i16; ROW];
        for hash in features {
            let at = *hash as usize & (rows.len() - 1);
            let check = ((hash >> 24) as u8).max(1);
            let row = if rows[at][0] == check {
                &rows[at]
            } else if rows[at ^ 1][0] == check {
                &rows[at ^ 1]
            } else {
                continue;
            };
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i16::from(weight.cast_signed());
            }
        }
        let mut best = 1;
        for label in 2..ROW {
            if sums[label] > sums[best] {
                best = label;
            }
        }
        best as u8
    }
}
