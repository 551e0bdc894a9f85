//! Integration tests of the stores, one file a subject.

mod concurrency;
mod conformance;
mod files;
mod fixture;
mod full;
mod payloads;
