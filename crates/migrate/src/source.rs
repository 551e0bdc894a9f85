//! Where memories are read. A source is never changed.

mod collection;
mod interface;
#[cfg(feature = "snapshot")]
mod snapshot;
#[cfg(feature = "snapshot")]
mod snapshot_file;
mod store;

pub use collection::Collection;
pub use interface::{Source, SourceInfo};
#[cfg(feature = "snapshot")]
pub use snapshot::Snapshot;
#[cfg(feature = "snapshot")]
pub(crate) use snapshot_file::snapshot_dims;
pub use store::StoreSource;
