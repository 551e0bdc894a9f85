//! Integration tests of the embedded store, one file for each subject.
#![expect(clippy::unwrap_used, reason = "a test that can't continue has failed")]

mod concurrency;
mod conformance;
mod database;
mod disk_full;
mod files;
mod fixture;
#[cfg(target_os = "linux")]
mod locks;
mod metrics;
mod payloads;
#[cfg(target_os = "linux")]
mod read_only;
mod reembed;
mod repair;
