//! The server to check, the key, and options.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::Url;

use super::report::Check;
use crate::error::CliError;

/// An API key. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(pub(super) String);

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A server to check.
pub(crate) struct Target {
    pub(super) url: Url,
    pub(super) api_key: Option<ApiKey>,
    pub(super) user: Option<String>,
    pub(super) timeout: Duration,
    pub(super) interrupted: Arc<AtomicBool>,
    pub(super) on_check: Box<dyn Fn(&Check)>,
}

impl Target {
    /// A server with the default timeout of 30 seconds.
    ///
    /// # Errors
    /// A usage error for an invalid address, key or user.
    pub(crate) fn new(url: &str, api_key: Option<ApiKey>, user: Option<String>) -> anyhow::Result<Self> {
        if api_key.as_ref().is_some_and(|key| key.0.trim().is_empty() || !key.0.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(CliError::usage("the API key is blank or contains characters that keys cannot have").into());
        }
        if let Some(user) = &user {
            mnemon_store::filter::check_id(user).map_err(|error| CliError::usage(format!("--user: {error}")))?;
        }
        Ok(Self {
            url: address(url)?,
            api_key,
            user,
            timeout: Duration::from_secs(30),
            interrupted: Arc::default(),
            on_check: Box::new(|_| ()),
        })
    }

    /// Sets the longest wait for one response.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When this becomes true, no further check starts. The test data is still deleted.
    pub(crate) fn interrupted(mut self, interrupted: Arc<AtomicBool>) -> Self {
        self.interrupted = interrupted;
        self
    }

    /// Sets a function that is called after each check.
    pub(crate) fn on_check(mut self, on_check: impl Fn(&Check) + 'static) -> Self {
        self.on_check = Box::new(on_check);
        self
    }
}

fn address(text: &str) -> anyhow::Result<Url> {
    let invalid = |reason: &str| CliError::usage(format!("--url {reason}; give a URL such as http://127.0.0.1:8000"));
    let url: Url = text.trim().parse().map_err(|error| invalid(&format!("is not a valid URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid("is not an HTTP URL").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("contains a user name or password, which reports would show").into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("has a query or fragment").into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for good in ["http://localhost:8000", "https://memory.example.org/mem0/", " http://[::1]:8000/ "] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["localhost:8000", "", "ftp://a", "http://ana:secret@a/", "http://a/?key=1", "http://a/#x"] {
            let error = address(bad).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:8000") && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::from("m0sk_secret".to_owned());
        assert_eq!(format!("{key:?}"), "[redacted]");
        for bad in ["", " ", "a b", "a\nb", "schlüssel"] {
            assert!(Target::new("http://a", Some(ApiKey::from(bad.to_owned())), None).is_err(), "{bad}");
        }
    }
}
