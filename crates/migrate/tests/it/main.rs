//! Migrations of what mem0 really wrote.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod rehearsal;
mod snapshots;
