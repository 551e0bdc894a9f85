//! Page cursors: a slot number and its checksum, opaque to callers.

use crate::{Result, StoreError};

const CHECKSUM_MASK: u32 = 0x6D6E;

/// Encodes a slot as a cursor.
pub(crate) fn encode(slot: i64) -> String {
    format!("{:x}-{:x}", slot, checksum(slot))
}

/// Decodes a cursor to its slot.
pub(crate) fn decode(cursor: &str) -> Result<i64> {
    let parts = cursor
        .split_once('-')
        .and_then(|(slot, sum)| Some((i64::from_str_radix(slot, 16).ok()?, u32::from_str_radix(sum, 16).ok()?)));
    match parts {
        Some((slot, sum)) if sum == checksum(slot) => Ok(slot),
        _ => Err(StoreError::InvalidCursor),
    }
}

fn checksum(slot: i64) -> u32 {
    ((slot as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32 ^ CHECKSUM_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_others_are_refused() {
        for slot in [0, 1, 77, i64::MAX] {
            assert_eq!(decode(&encode(slot)).unwrap(), slot);
        }
        for invalid in ["", "1", "1-1", "zz-9", "-1-0"] {
            assert!(matches!(decode(invalid), Err(StoreError::InvalidCursor)), "{invalid}");
        }
    }
}
