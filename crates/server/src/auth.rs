//! Who calls, and what they may see: keys, tokens, and the scope that comes with them.

mod caller;
mod fixed;
mod guard;
mod keys;
mod limit;

pub use caller::{Access, AuthKind, Caller, Role};
pub use fixed::ConfiguredKey;
pub use keys::{ApiKey, Keys, NewKey};

pub(crate) use guard::{Admin, Reader, Visitor, Writer, authenticate};
pub(crate) use keys::digest;
pub(crate) use limit::{Door, Limits, Near, Peer};
