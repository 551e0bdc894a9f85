//! Free ports to listen on.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// The range is below that of outgoing connections. So the port of a server is still free when it restarts, and a client
/// that connects in the meantime cannot connect to itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A free port of 127.0.0.1. Another process may take it before it is used, so callers retry.
pub(crate) fn free() -> u16 {
    let random = RandomState::new().hash_one(std::process::id());
    let start = (random % u64::from(COUNT)) as u16;
    (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
