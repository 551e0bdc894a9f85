//! Where memories are read. A source is never changed.

mod collection;
mod interface;
#[cfg(feature = "snapshot")]
mod snapshot;
mod store;

pub use collection::Collection;
pub use interface::{Source, SourceInfo};
#[cfg(feature = "snapshot")]
pub use snapshot::Snapshot;
pub use store::StoreSource;
