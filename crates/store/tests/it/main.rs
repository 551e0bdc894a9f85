//! Integration tests of the stores, one file a subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod concurrency;
mod conformance;
mod database;
mod files;
mod fixture;
mod disk_full;
mod metrics;
mod payloads;
mod reembed;
mod repair;
