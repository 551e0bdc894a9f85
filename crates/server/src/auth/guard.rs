//! The guard at the door: every route behind it has a caller, and each handler says what that caller must be allowed.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::keys::{digest, hex};
use super::{AuthKind, Caller};
use crate::config::AuthMode;
use crate::error::Problem;
use crate::http::observe::LetIn;
use crate::service::app::{App, Shared};

/// Lets a request in with its [`Caller`], or answers 401 or 429.
pub(crate) async fn authenticate(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = identify(&app, request.headers(), request.extensions()).await?;
    // By user where there is one: a user may make keys, and must not gain by it.
    let limits = app.limits.request(caller.user.as_deref().unwrap_or(&caller.name))?;
    if let Some(let_in) = request.extensions().get::<LetIn>() {
        let _ = let_in.0.set(caller.clone());
    }
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    response.headers_mut().extend(limits);
    Ok(response)
}

/// Who sends these headers. A token or key that is wrong is refused, even where another header has a right one.
async fn identify(app: &Shared, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Problem> {
    if app.config.auth == AuthMode::Off {
        let near = extensions.get::<SocketAddr>().is_none_or(|from| from.ip().to_canonical().is_loopback());
        no_strange_page(&app.config.cors_origins, headers, near)?;
        return Ok(Caller::admin(AuthKind::Off, "auth-off"));
    }
    let shown = credentials(headers)?;
    let mut callers = Vec::with_capacity(shown.len());
    for credential in shown {
        callers.push(recognise(app, credential).await?);
    }
    let first = callers.pop().ok_or_else(Problem::no_credentials)?;
    // Two headers must speak for the same caller: which of them counts is nothing to guess.
    if callers.iter().any(|other| *other != first) { Err(Problem::bad_credentials()) } else { Ok(first) }
}

/// Where nobody shows a key, a browser on the same machine speaks for any page it has open. Refused: requests that say they
/// come from another site's page, and names that a page may have had pointed at this machine.
fn no_strange_page(allowed: &[String], headers: &HeaderMap, near: bool) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or_default();
    let named = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let literal = named.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let own_name = !near || literal || named.is_empty() || named.eq_ignore_ascii_case("localhost");
    let own_page = match text("origin") {
        Some(origin) => {
            let place = origin.split_once("://").map_or(origin, |(_, place)| place);
            place.eq_ignore_ascii_case(host) || allowed.iter().any(|known| known == origin)
        }
        None => !matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")),
    };
    if own_name && own_page { Ok(()) } else { Err(Problem::strange_page()) }
}

enum Credential {
    /// `Authorization: Bearer`: a key, or a token of /auth/login.
    KeyOrToken(String),
    /// `X-API-Key` or `Authorization: Token`.
    Key(String),
}

fn credentials(headers: &HeaderMap) -> Result<Vec<Credential>, Problem> {
    let text =
        |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned()).map_err(|_| Problem::bad_credentials());
    let mut found = Vec::new();
    for value in headers.get_all("x-api-key") {
        found.push(Credential::Key(text(value)?));
    }
    for value in headers.get_all(AUTHORIZATION) {
        let value = text(value)?;
        let (scheme, secret) = value.split_once(' ').unwrap_or((value.as_str(), ""));
        let secret = secret.trim().to_owned();
        found.push(match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Credential::KeyOrToken(secret),
            "token" => Credential::Key(secret),
            _ => return Err(Problem::bad_credentials()),
        });
    }
    Ok(found)
}

async fn recognise(app: &Shared, credential: Credential) -> Result<Caller, Problem> {
    let secret = match credential {
        Credential::KeyOrToken(token) if token.matches('.').count() == 2 => {
            let accounts = app.accounts.clone();
            let (caller, token) = app.blocking(move || (accounts.caller(&token), token)).await?;
            if let Some(caller) = caller? {
                return Ok(caller);
            }
            token
        }
        Credential::KeyOrToken(secret) | Credential::Key(secret) => secret,
    };
    if secret.is_empty() {
        return Err(Problem::no_credentials());
    }
    if let Some(caller) = fixed(app, &secret) {
        return Ok(caller);
    }
    let keys = app.keys.clone();
    let found = app.blocking(move || keys.caller(&secret)).await??;
    found.ok_or_else(Problem::bad_credentials)
}

/// A key of the settings. All are compared, each in constant time.
fn fixed(app: &App, secret: &str) -> Option<Caller> {
    let shown = digest(secret);
    let is = |known: &[u8; 32]| bool::from(known.ct_eq(&shown));
    let mut found = None;
    for key in &app.config.keys {
        if is(&key.digest) {
            found = Some(Caller {
                kind: AuthKind::ApiKey,
                user: key.user.clone(),
                access: key.access,
                account: None,
                name: hex(&key.digest[..8]),
            });
        }
    }
    if app.admin_digest.as_ref().is_some_and(is) {
        found = Some(Caller::admin(AuthKind::AdminApiKey, "admin-api-key"));
    }
    found
}

/// A caller who may read.
pub(crate) struct Reader(pub(crate) Caller);
/// A caller who may write.
pub(crate) struct Writer(pub(crate) Caller);
/// A caller who may do everything.
pub(crate) struct Admin(pub(crate) Caller);

/// Whoever calls a route before the guard: a caller if they show a key or nobody asks for one. A wrong key is refused.
pub(crate) struct Visitor(pub(crate) Option<Caller>);

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let shows = ["x-api-key", AUTHORIZATION.as_str()].iter().any(|name| parts.headers.contains_key(*name));
        if !shows && app.config.auth == AuthMode::On {
            return Ok(Self(None));
        }
        identify(app, &parts.headers, &parts.extensions).await.map(|caller| Self(Some(caller)))
    }
}

fn caller(parts: &Parts) -> Result<Caller, Problem> {
    // Absent only on a route that stands before the guard: closed, not open.
    parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::no_credentials)
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = caller(parts)?;
        if caller.access.read { Ok(Self(caller)) } else { Err(Problem::missing_scope("read")) }
    }
}

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = caller(parts)?;
        if caller.access.write { Ok(Self(caller)) } else { Err(Problem::missing_scope("write")) }
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Reader(caller) = Reader::from_request_parts(parts, state).await?;
        if !caller.is_admin() {
            return Err(Problem::admin_only());
        }
        if !caller.access.write && parts.method != axum::http::Method::GET {
            return Err(Problem::missing_scope("write"));
        }
        Ok(Self(caller))
    }
}
