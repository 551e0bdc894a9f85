//! The one hash that processes of every version must agree on: it numbers locks, and is stored in tables.

/// FNV-1a. It must never change.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The number that a scope id is locked by.
pub(crate) fn scope_lock(kind: usize, value: &str) -> i64 {
    fnv(std::iter::once(kind as u8).chain(value.bytes())) as i64
}
