//! Authentication and authorization: keys, tokens, and the scope that each caller has.

mod caller;
mod configured;
mod guard;
mod keys;
mod limit;

use mnemon_store::DocumentKind;

pub use caller::{Access, AuthKind, Caller, Role};
pub use configured::{ConfiguredKey, MIN_KEY};
pub use keys::{ApiKey, Keys, NewKey};

pub(crate) use guard::{Admin, AuthenticatedCaller, MaybeCaller, Reader, Writer, authenticate, refuse_pages};
pub(crate) use keys::digest;
pub(crate) use limit::{ClientAddress, Limits, LoginRoute};

/// The kinds of documents that keys are stored in.
pub(crate) const DOCUMENT_KINDS: &[DocumentKind] = &[DocumentKind::of::<ApiKey>(keys::KIND)];
