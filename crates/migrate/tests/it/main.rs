//! Migrations of what mem0 really wrote.

mod rehearsal;
mod snapshots;
