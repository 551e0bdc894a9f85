//! Where memories are written.

mod collection;
mod interface;
mod store;

pub use collection::{CollectionTarget, PointFormat};
pub use interface::Target;
pub use store::StoreTarget;
