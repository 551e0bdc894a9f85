//! The settings of a server.

use std::fmt;
use std::time::Duration;

use mnemon_store::StoreWarning;

use crate::auth::ConfiguredKey;
use crate::forwarded::TrustedProxies;

/// Limits, timeouts and authentication.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether callers must authenticate.
    pub auth: AuthMode,
    /// The keys of `API_KEYS`.
    pub keys: Vec<ConfiguredKey>,
    /// `ADMIN_API_KEY`.
    pub admin_key: Option<Secret>,
    /// Limit of the requests of a caller; `None` for no limit.
    pub rate_limit: Option<RateLimit>,
    /// Origins whose pages may call the server from a browser; none by default.
    pub cors_origins: Vec<String>,
    /// Proxies that report the client and the URL of a request; those of this machine by default.
    pub trusted_proxies: TrustedProxies,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Timeout of a request, including its body.
    pub request_timeout: Duration,
    /// Timeout for the headers of a request, including the idle time before them.
    pub header_timeout: Duration,
    /// How long accepted requests may continue after the server received the stop signal.
    pub shutdown_grace: Duration,
    /// Most open connections; further ones wait.
    pub max_connections: usize,
    /// Most concurrent calls into the engine; further ones wait.
    pub workers: usize,
    /// Describes a warning of the store for `/health`, with what to do about it.
    pub describe_warning: fn(&StoreWarning) -> String,
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
            trusted_proxies: TrustedProxies::loopback(),
            max_body: 8 << 20,
            request_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(30),
            max_connections: 1024,
            workers: cores.max(2) * 2,
            describe_warning: ToString::to_string,
        }
    }
}

/// Whether callers must authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Every route except a few public ones requires a key or token.
    On,
    /// Every caller is an admin. Only for a server that other machines cannot reach.
    Off,
}

/// A limit of requests per minute. The same number may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per minute, 1 or more.
    pub per_minute: std::num::NonZeroU32,
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
