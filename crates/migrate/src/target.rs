//! Where memories go to.

mod collection;
mod interface;
mod keeping;
mod store;

pub use collection::{CollectionTarget, PointFormat};
pub use interface::Target;
pub(crate) use keeping::Keeping;
pub use store::StoreTarget;
