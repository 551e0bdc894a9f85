//! The one hash that processes of every version must agree on: it numbers locks, and is stored in tables.

/// FNV-1a. It must never change.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The number that a scope id is locked by.
#[cfg(feature = "qdrant")]
pub(crate) fn scope_lock(kind: usize, value: &str) -> i64 {
    fnv(std::iter::once(kind as u8).chain(value.bytes())) as i64
}

/// The number that a document is locked by.
pub(crate) fn document_lock(kind: &str, id: &str) -> u32 {
    // No kind holds a zero, so none runs into the id.
    let hash = fnv(kind.bytes().chain(std::iter::once(0)).chain(id.bytes()));
    ((hash >> 32) ^ hash) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_in_every_version() {
        assert_eq!(fnv("".bytes()), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv("foobar".bytes()), 0x8594_4171_F739_67E8);
        for (kind, id, number) in [("key", "a", 0xE7C9_906D), ("keya", "", 0xE53E_7E67), ("event", "日本", 0x7E3D_A77D)]
        {
            assert_eq!(document_lock(kind, id), number, "{kind} {id}");
        }
    }

    #[cfg(feature = "qdrant")]
    #[test]
    fn scope_ids_keep_their_numbers() {
        for (kind, id, number) in
            [(0, "ana", 3371886048425038631), (1, "ana", -3846759662017227634), (2, "", -5808588758991127739)]
        {
            assert_eq!(scope_lock(kind, id), number, "{kind} {id}");
        }
    }
}
