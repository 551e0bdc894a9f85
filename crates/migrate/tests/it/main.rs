//! Migrations of snapshots of real mem0 collections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rehearsal;
mod snapshots;
