//! The binary format of vectors and terms: little-endian, without padding.

use jiff::civil::Date;

use crate::{Result, Sparse, StoreError, TermCount, Terms};

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// Encodes the components of a vector.
pub(crate) fn vector_to_blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Decodes a vector and appends it to `into`.
pub(crate) fn vector_from_blob(blob: &[u8], into: &mut Vec<f32>) {
    into.extend(blob.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
}

/// Encodes a sparse vector as (index, value) pairs.
pub(crate) fn sparse_to_blob(sparse: &Sparse) -> Vec<u8> {
    sparse.iter().flat_map(|(index, value)| [index.to_le_bytes(), value.to_le_bytes()].concat()).collect()
}

pub(crate) fn sparse_from_blob(blob: &[u8]) -> Sparse {
    blob.chunks_exact(8)
        .map(|bytes| (u32_at(bytes, 0), f32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
        .collect()
}

/// Encodes terms: text_len, context_len, then (term, in_text, in_context) for each term.
pub(crate) fn terms_to_blob(terms: &Terms) -> Vec<u8> {
    let mut blob = Vec::with_capacity(8 + 8 * terms.counts.len());
    blob.extend(terms.text_len.to_le_bytes());
    blob.extend(terms.context_len.to_le_bytes());
    for count in &terms.counts {
        blob.extend(count.term.to_le_bytes());
        blob.extend(count.in_text.to_le_bytes());
        blob.extend(count.in_context.to_le_bytes());
    }
    blob
}

pub(crate) fn terms_from_blob(blob: &[u8]) -> Result<Terms> {
    if blob.len() < 8 || !blob.len().is_multiple_of(8) {
        return Err(StoreError::Corrupt(format!("terms of {} bytes", blob.len())));
    }
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let counts = blob[8..].chunks_exact(8).map(|bytes| TermCount {
        term: u32_at(bytes, 0),
        in_text: u16_at(bytes, 4),
        in_context: u16_at(bytes, 6),
    });
    Ok(Terms { counts: counts.collect(), text_len: u32_at(blob, 0), context_len: u32_at(blob, 4) })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Days since 1970-01-01.
pub(crate) fn day_number(date: Date) -> i32 {
    (date - EPOCH).get_days()
}

pub(super) fn date_of_day(day: i32) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_round_trip_bit_by_bit() {
        let vector = [0.1f32, -0.0, f32::MIN_POSITIVE, 3e38];
        let mut back = Vec::new();
        vector_from_blob(&vector_to_blob(&vector), &mut back);
        assert_eq!(vector.map(f32::to_bits).to_vec(), back.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        let sparse = vec![(1, 0.5), (2_147_483_647, 2.2)];
        assert_eq!(sparse_from_blob(&sparse_to_blob(&sparse)), sparse);
        let counts = vec![TermCount { term: 7, in_text: 1, in_context: 2 }];
        let terms = Terms { counts, text_len: 1, context_len: 2 };
        assert_eq!(terms_from_blob(&terms_to_blob(&terms)).unwrap(), terms);
        assert!(terms_from_blob(&[1, 2, 3]).is_err());
    }

    #[test]
    fn days_count_from_1970() {
        for (text, day) in [("1970-01-01", 0), ("2024-02-29", 19782), ("1969-12-31", -1)] {
            assert_eq!(day_number(text.parse().unwrap()), day);
            assert_eq!(date_of_day(day).unwrap().to_string(), text);
        }
    }
}
