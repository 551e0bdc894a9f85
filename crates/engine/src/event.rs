//! Events: the record of a request that adds, changes or deletes memories, and of its outcome.
//!
//! One document holds all of a learning request: the state of its job while it is pending, and its results when it is
//! finished.

mod job;
mod record;
mod store;

pub use job::NotLearnt;
pub(crate) use job::{JobFailure, JobState, PlannedFact, StoredLink, StoredMessage};
pub use record::{Event, EventData, EventResult, EventStatus, RequestKind};
pub use store::Events;
pub(crate) use store::KIND;
