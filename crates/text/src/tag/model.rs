//! The weights of the classifiers, compiled into the library.
//!
//! They are a table whose number of rows is a power of two. A row is one check byte of a feature's hash, followed by one
//! signed byte for each label, counted from 1. A feature is in one of two adjacent rows. Most features of the training data
//! contribute too little to be kept and have no row.

/// Weights of the tags.
pub(crate) static TAGS: Weights<32> = Weights { bytes: include_bytes!("../../data/tags.bin") };
/// Weights of the places in a noun phrase.
pub(crate) static PLACES: Weights<8> = Weights { bytes: include_bytes!("../../data/places.bin") };

/// The weights of one classifier.
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
