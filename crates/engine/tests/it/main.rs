//! Integration tests of the engine, one file a subject.

mod add;
mod arbitrary;
mod chat;
mod concurrency;
mod crash;
mod expiry;
mod fixture;
mod languages;
mod legacy;
mod mem0_golden;
mod search;
mod session;
mod transfer;
mod update;
