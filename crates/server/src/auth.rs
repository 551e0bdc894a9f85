//! Authentication and authorization: keys, tokens, and the scope that each caller has.

mod caller;
mod configured;
mod guard;
mod keys;
mod limit;

pub use caller::{Access, AuthKind, Caller, Role};
pub use configured::ConfiguredKey;
pub use keys::{ApiKey, Keys, NewKey};

pub(crate) use guard::{Admin, AuthenticatedCaller, MaybeCaller, Reader, Writer, authenticate};
pub(crate) use keys::digest;
pub(crate) use limit::{ClientAddress, FromLoopback, Limits, LoginRoute};
