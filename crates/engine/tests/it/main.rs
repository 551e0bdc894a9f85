//! Integration tests of the engine, one file a subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod add;
mod arbitrary;
mod chat;
mod concurrency;
mod crash;
mod delete;
mod expiry;
mod fixture;
mod languages;
mod legacy;
mod mem0_golden;
mod search;
mod session;
mod transfer;
mod update;
