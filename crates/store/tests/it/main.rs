//! Integration tests of the stores, one file a subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod concurrency;
mod conformance;
mod database;
mod disk_full;
mod files;
mod fixture;
mod metrics;
mod payloads;
mod reembed;
mod repair;
