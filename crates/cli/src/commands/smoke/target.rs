//! The server to try, with which key, and how.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::Url;

use super::report::Check;
use crate::error::CliError;

/// A key that no log shows.
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

/// A server to try, and how.
pub(crate) struct Smoke {
    pub(super) url: Url,
    pub(super) api_key: Option<ApiKey>,
    pub(super) user: Option<String>,
    pub(super) timeout: Duration,
    pub(super) interrupted: Arc<AtomicBool>,
    pub(super) on_check: Box<dyn Fn(&Check)>,
}

impl Smoke {
    /// # Errors
    /// A fault of usage for an address, key or user that nothing can be asked with.
    pub(crate) fn new(url: &str, api_key: Option<ApiKey>, user: Option<String>) -> anyhow::Result<Self> {
        if api_key.as_ref().is_some_and(|key| key.0.trim().is_empty() || !key.0.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(CliError::usage("the API key is blank or holds characters that no key has").into());
        }
        if let Some(user) = &user {
            mnemon_store::filter::check_id(user).map_err(|fault| CliError::usage(format!("--user: {fault}")))?;
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

    /// The longest wait for one answer; 30 seconds if nothing is said.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Once this is true no check is begun; what was written is still deleted.
    pub(crate) fn interrupted(mut self, interrupted: Arc<AtomicBool>) -> Self {
        self.interrupted = interrupted;
        self
    }

    /// Is told of each check when it is done.
    pub(crate) fn on_check(mut self, told: impl Fn(&Check) + 'static) -> Self {
        self.on_check = Box::new(told);
        self
    }
}

fn address(text: &str) -> anyhow::Result<Url> {
    let wrong = |why: &str| CliError::usage(format!("--url {why}; give an address such as http://127.0.0.1:8000"));
    let url: Url = text.trim().parse().map_err(|error| wrong(&format!("is no address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is no address of HTTP").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a password, which reports would show").into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("ends in a query or fragment").into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_or_refused() {
        for good in ["http://localhost:8000", "https://memory.example.org/mem0/", " http://[::1]:8000/ "] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["localhost:8000", "", "ftp://a", "http://ana:secret@a/", "http://a/?key=1", "http://a/#x"] {
            let told = address(bad).unwrap_err().to_string();
            assert!(told.contains("http://127.0.0.1:8000") && !told.contains("secret"), "{bad}: {told}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::from("m0sk_secret".to_owned());
        assert_eq!(format!("{key:?}"), "[redacted]");
        for bad in ["", " ", "a b", "a\nb", "schlüssel"] {
            assert!(Smoke::new("http://a", Some(ApiKey::from(bad.to_owned())), None).is_err(), "{bad}");
        }
    }
}
