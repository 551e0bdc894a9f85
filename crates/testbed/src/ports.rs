//! Ports to listen on, again and again.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Below the range that outgoing connections take theirs from: a server that comes back finds its port free, and a client
/// that dials meanwhile is not answered by itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A port of 127.0.0.1 that nobody listens on. Somebody may take it before it is used; who starts a server tries again.
pub(crate) fn free() -> u16 {
    let random = RandomState::new().hash_one(std::process::id());
    let start = (random % u64::from(COUNT)) as u16;
    (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
