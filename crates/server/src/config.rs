//! What a server is told when it starts.

use std::fmt;
use std::time::Duration;

use crate::auth::ConfiguredKey;

/// Limits, deadlines, and who may come in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether callers must show a key.
    pub auth: AuthMode,
    /// The keys of `API_KEYS`.
    pub keys: Vec<ConfiguredKey>,
    /// `ADMIN_API_KEY`.
    pub admin_key: Option<Secret>,
    /// Requests a key may make; `None` for any number.
    pub rate_limit: Option<RateLimit>,
    /// Origins whose pages may call from a browser; none by default.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// How long a connection may take to send a request's headers, and be idle before them.
    pub header_timeout: Duration,
    /// How long requests that were accepted may go on after the server was told to stop.
    pub shutdown_grace: Duration,
    /// Connections at once; more wait.
    pub max_connections: usize,
    /// Calls into the engine at once; more wait.
    pub workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            auth: AuthMode::On,
            keys: Vec::new(),
            admin_key: None,
            rate_limit: None,
            cors_origins: Vec::new(),
            max_body: 8 << 20,
            request_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(30),
            max_connections: 1024,
            workers: cores.max(2) * 2,
        }
    }
}

/// Whether callers must show a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Every route but a few public ones asks for a key.
    On,
    /// Everybody is an admin; for one's own machine.
    Off,
}

/// So many requests a minute, and as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a minute, 1 or more.
    pub per_minute: std::num::NonZeroU32,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
