//! The address of a service, and the headers that carry its key, as people set them.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::error::{ModelError, ModelKind};

/// Routes of services. A base URL may end with one: users copy the address of a route.
const ROUTES: [&str; 10] = [
    "/embeddings",
    "/chat/completions",
    "/completions",
    "/responses",
    "/messages",
    "/rerank",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/models",
];
/// Hosts of Azure, which expects a key in the header `api-key`.
const AZURE_HOSTS: [&str; 3] = [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"];
const AZURE_KEY: HeaderName = HeaderName::from_static("api-key");
/// In the paths of Azure's deployments, also behind gateways.
const AZURE_DEPLOYMENTS: &str = "/openai/deployments/";
const AZURE_VERSION: &str = "api-version";
/// The version of the API that deployments are called with if the base URL names none: they refuse requests without one.
const DEFAULT_AZURE_VERSION: &str = "2024-10-21";

/// Where the routes of an API are if the base URL has no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// Below `/v1`, or else directly below the host.
    Versioned,
    /// Directly below the host, or else below `/v1`.
    Host,
    /// Directly below the host; `/v1` at the end of a base URL belongs to another API.
    HostOnly,
}

/// The address of a service.
pub(crate) struct Address {
    /// The base URL without credentials and query, for messages.
    pub(crate) server: String,
    /// The base URL with its query.
    pub(super) base: Url,
    /// Paths below the base URL; the next is tried while the service does not know the route.
    prefixes: &'static [&'static str],
    prefix: AtomicUsize,
}

impl Address {
    /// Reads a base URL, which is the value of `setting`. It may be the address of a route, and may have a query.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if it is not the URL of a service.
    pub(crate) fn new(kind: ModelKind, setting: &'static str, url: &str, root: Root) -> Result<Self, ModelError> {
        let server = without_credentials(unquoted(url));
        let mut base = parse(url).ok_or_else(|| {
            let reason =
                format!("is `{server}`; it must be the base URL of a service, such as https://api.openai.com/v1");
            ModelError::Settings { kind, setting, reason }
        })?;
        base.set_fragment(None);
        let mut path = base.path().trim_end_matches('/');
        while let Some(shorter) = ROUTES.iter().find_map(|route| path.strip_suffix(route)) {
            path = shorter.trim_end_matches('/');
        }
        if root == Root::HostOnly {
            path = path.strip_suffix("/v1").unwrap_or(path);
        }
        let path = path.to_owned();
        base.set_path(&path);
        let has_version = base.query_pairs().any(|(key, _)| key.eq_ignore_ascii_case(AZURE_VERSION));
        if path.contains(AZURE_DEPLOYMENTS) && !has_version {
            base.query_pairs_mut().append_pair(AZURE_VERSION, DEFAULT_AZURE_VERSION);
        }
        let prefixes: &[&str] = match root {
            _ if !path.is_empty() => &[""],
            Root::Versioned if is_azure(&base) => &["/openai/v1"],
            Root::Versioned => &["/v1", ""],
            Root::Host => &["", "/v1"],
            Root::HostOnly => &[""],
        };
        Ok(Self { server, base, prefixes, prefix: AtomicUsize::new(0) })
    }

    /// The URLs of a route, the most likely one first.
    pub(super) fn urls(&self, route: &str) -> Vec<(usize, Url)> {
        let known = self.prefix.load(Ordering::Relaxed);
        let url = |(at, prefix): (usize, &&str)| {
            let mut url = self.base.clone();
            url.set_path(&format!("{}{prefix}{route}", self.base.path().trim_end_matches('/')));
            (at, url)
        };
        self.prefixes.iter().enumerate().skip(known).map(url).collect()
    }

    /// Remembers which URL of [`urls`](Self::urls) the service knows.
    pub(super) fn found(&self, at: usize) {
        self.prefix.fetch_max(at, Ordering::Relaxed);
    }

    /// The values of the query that may be keys.
    pub(super) fn query_values(&self) -> impl Iterator<Item = String> {
        let is_secret = |key: &str| !key.eq_ignore_ascii_case(AZURE_VERSION);
        self.base.query_pairs().filter(move |(key, _)| is_secret(key)).map(|(_, value)| value.into_owned())
    }

    /// The header of a key, which is the value of `setting`: a bearer token, or the header that Azure expects.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the key can't be sent.
    pub(crate) fn key_header(
        &self,
        kind: ModelKind,
        setting: &'static str,
        key: Option<&str>,
    ) -> Result<HeaderMap, ModelError> {
        let Some(key) = key.and_then(clean_key) else { return Ok(HeaderMap::new()) };
        // Tokens of Azure's directory, which are sent as bearer tokens, are JSON in base64.
        let (name, text) = if is_azure(&self.base) && !key.starts_with("eyJ") {
            (AZURE_KEY, key)
        } else {
            (AUTHORIZATION, format!("Bearer {key}"))
        };
        header_of_key(kind, setting, name, text)
    }
}

fn parse(url: &str) -> Option<Url> {
    Url::parse(unquoted(url)).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a text is the base URL of a service, such as `https://api.openai.com/v1`.
pub fn is_base_url(url: &str) -> bool {
    parse(url).is_some()
}

fn is_azure(url: &Url) -> bool {
    url.path().contains(AZURE_DEPLOYMENTS)
        || url.host_str().is_some_and(|host| AZURE_HOSTS.iter().any(|azure| host.ends_with(azure)))
}

/// A header with a key, which is never shown.
///
/// # Errors
/// [`ModelError::Settings`] if the key can't be sent.
pub(crate) fn header_of_key(
    kind: ModelKind,
    setting: &'static str,
    name: HeaderName,
    text: String,
) -> Result<HeaderMap, ModelError> {
    let reason = "has invalid characters: copy it again".to_owned();
    let mut value =
        HeaderValue::try_from(text).map_err(|_| ModelError::Settings { kind, setting, reason: reason.clone() })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(name, value)]))
}

/// Adds headers, which are the value of `setting`.
///
/// # Errors
/// [`ModelError::Settings`] if one is not a valid header.
pub(crate) fn add_headers(
    kind: ModelKind,
    setting: &'static str,
    headers: &mut HeaderMap,
    more: &[(String, String)],
) -> Result<(), ModelError> {
    for (name, value) in more {
        let invalid = || {
            let reason = format!("has `{name}`, which is not a valid HTTP header");
            ModelError::Settings { kind, setting, reason }
        };
        let mut text = HeaderValue::try_from(value.trim()).map_err(|_| invalid())?;
        text.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).map_err(|_| invalid())?, text);
    }
    Ok(())
}

/// A key as people set it: without white space, quotes and the prefix `Bearer`. `None` if nothing is left.
pub(crate) fn clean_key(key: &str) -> Option<String> {
    let mut key = unquoted(key);
    loop {
        let before = key;
        for prefix in ["Authorization:", "Bearer"] {
            let start = key.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix));
            let rest = start.map(|start| &key[start.len()..]);
            if let Some(rest) = rest.filter(|rest| prefix.ends_with(':') || rest.is_empty() || rest.starts_with(' ')) {
                key = unquoted(rest);
            }
        }
        if key == before {
            return Some(key.to_owned()).filter(|key| !key.is_empty());
        }
    }
}

/// A value without the white space and the quotes around it, which files of variables leave there.
fn unquoted(text: &str) -> &str {
    const QUOTES: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('<', '>')];
    let is_space = |char: char| char.is_whitespace() || matches!(char, '\u{feff}' | '\u{200b}');
    let mut text = text.trim_matches(is_space);
    while let Some(inner) =
        QUOTES.iter().find_map(|(open, close)| text.strip_prefix(*open).and_then(|text| text.strip_suffix(*close)))
    {
        text = inner.trim_matches(is_space);
    }
    text
}

/// A URL without user name, password and query, for messages.
pub(crate) fn without_credentials(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url.trim()) else {
        return if url.contains('@') { "[redacted]".into() } else { url.to_owned() };
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str, root: Root) -> Address {
        Address::new(ModelKind::Embedder, "embedder_url", url, root).expect("a base URL")
    }

    #[test]
    fn base_urls_are_understood_as_people_write_them() {
        let azure = "https://x.openai.azure.com";
        for (url, expected) in [
            ("http://h:1/v1", "http://h:1/v1/embeddings"),
            ("http://h:1/v1/", "http://h:1/v1/embeddings"),
            ("http://h:1/v1/embeddings", "http://h:1/v1/embeddings"),
            ("http://h:1/v1/embeddings/", "http://h:1/v1/embeddings"),
            ("http://h:1/v1//embeddings//", "http://h:1/v1/embeddings"),
            ("http://h:1/v1/chat/completions", "http://h:1/v1/embeddings"),
            ("http://h:1", "http://h:1/v1/embeddings"),
            ("http://h:1/", "http://h:1/v1/embeddings"),
            ("http://h:1/embeddings", "http://h:1/v1/embeddings"),
            (" \"http://h:1/v1\"\n", "http://h:1/v1/embeddings"),
            ("'http://h:1/api/v3'", "http://h:1/api/v3/embeddings"),
            ("http://h:1/v1?key=k#part", "http://h:1/v1/embeddings?key=k"),
            (
                &format!("{azure}/openai/deployments/D/embeddings?api-version=2024-02-01"),
                &format!("{azure}/openai/deployments/D/embeddings?api-version=2024-02-01"),
            ),
            (
                &format!("{azure}/openai/deployments/D?api-version=2024-02-01"),
                &format!("{azure}/openai/deployments/D/embeddings?api-version=2024-02-01"),
            ),
            (
                &format!("{azure}/openai/deployments/D/"),
                &format!("{azure}/openai/deployments/D/embeddings?api-version=2024-10-21"),
            ),
            (
                "https://gateway.example.com/team/openai/deployments/D/embeddings?x=1",
                "https://gateway.example.com/team/openai/deployments/D/embeddings?x=1&api-version=2024-10-21",
            ),
            (
                &format!("{azure}/openai/deployments/D?API-Version=2023-05-15"),
                &format!("{azure}/openai/deployments/D/embeddings?API-Version=2023-05-15"),
            ),
            (&format!("{azure}/openai/v1/"), &format!("{azure}/openai/v1/embeddings")),
            (azure, &format!("{azure}/openai/v1/embeddings")),
        ] {
            let urls = address(url, Root::Versioned).urls("/embeddings");
            assert_eq!(urls[0].1.as_str(), expected, "{url}");
        }
        assert_eq!(address("http://h:1/v1/", Root::HostOnly).urls("/api/chat")[0].1.path(), "/api/chat");
        for url in ["h:1/v1", "ftp://h/v1", "", "\"\"", "http://"] {
            assert!(Address::new(ModelKind::Embedder, "embedder_url", url, Root::Versioned).is_err(), "{url}");
        }
    }

    #[test]
    fn a_route_is_looked_for_where_the_base_url_has_no_path() {
        let address = address("http://h:1", Root::Versioned);
        let paths = || address.urls("/embeddings").iter().map(|(_, url)| url.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(), ["/v1/embeddings", "/embeddings"]);
        address.found(1);
        assert_eq!(paths(), ["/embeddings"]);
    }

    #[test]
    fn keys_are_understood_as_people_copy_them() {
        for key in [
            "sk-1",
            " sk-1\r\n",
            "\"sk-1\"",
            "'sk-1'",
            "“sk-1”",
            "Bearer sk-1",
            "bearer  sk-1",
            "\"Bearer sk-1\"",
            "Bearer \"sk-1\"",
            "Authorization: Bearer sk-1",
            "\u{feff}sk-1",
        ] {
            assert_eq!(clean_key(key).as_deref(), Some("sk-1"), "{key}");
        }
        for key in ["", " ", "\"\"", "Bearer ", "' '"] {
            assert_eq!(clean_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn azure_gets_its_own_header() {
        let header = |url: &str, key: &str| {
            let headers = address(url, Root::Versioned).key_header(ModelKind::Embedder, "OPENAI_API_KEY", Some(key));
            let headers = headers.expect("a key");
            let (name, value) = headers.iter().next().expect("one header");
            assert!(value.is_sensitive());
            format!("{name}: {}", value.to_str().expect("a text"))
        };
        let azure = "https://x.openai.azure.com/openai/deployments/D/embeddings?api-version=2024-02-01";
        assert_eq!(header(azure, "'k'"), "api-key: k");
        assert_eq!(header(azure, "eyJhbGciOi.x"), "authorization: Bearer eyJhbGciOi.x");
        assert_eq!(header("https://gateway.example.com/openai/deployments/D", "k"), "api-key: k");
        assert_eq!(header("http://h:1/v1", "k"), "authorization: Bearer k");
    }
}
