//! Authentication of requests. Each handler states by its extractor what the caller must be allowed to do.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use mnemon_store::filter::ScopeKey;
use subtle::ConstantTimeEq;

use super::keys::digest;
use super::{AuthKind, Caller};
use crate::admin_request;
use crate::config::AuthMode;
use crate::error::Problem;
use crate::forwarded::Client;
use crate::service::{App, AppState};

/// Most credentials of a request. No client needs more than one in each header, and each costs a look-up.
const MAX_CREDENTIALS: usize = 4;

/// A place in a request's extensions where [`authenticate`] stores the caller, for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthenticatedCaller(pub(crate) Arc<OnceLock<Caller>>);

/// Authenticates a request and adds its [`Caller`] to it, or answers 401 or 429.
pub(crate) async fn authenticate(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut caller = identify(&app, request.headers(), request.extensions()).await?;
    find_forms(&app, &mut caller).await?;
    // Counted by user where possible: a user may create more keys, which must not raise the limit.
    let limits = app.limits.request(caller.user.as_deref().unwrap_or(&caller.name))?;
    if let Some(authenticated) = request.extensions().get::<AuthenticatedCaller>() {
        let _ = authenticated.0.set(caller.clone());
    }
    let is_admin = caller.is_admin();
    request.extensions_mut().insert(caller);
    let mut response = admin_request::scope(is_admin, next.run(request)).await;
    response.headers_mut().extend(limits);
    Ok(response)
}

/// Gives the caller's user the form in which the store has the id: events, exports and parked requests are owned by that
/// form. The only place where the id of a key is converted.
async fn find_forms(app: &AppState, caller: &mut Caller) -> Result<(), Problem> {
    if let Some(user) = caller.user.take_if(|user| !user.is_ascii()) {
        let mut forms = app.with_engine(move |engine| Ok(engine.owner_forms(ScopeKey::User, &user)?)).await?;
        caller.user = Some(forms.remove(0));
        caller.other_forms = forms;
    }
    Ok(())
}

/// The caller who sends these headers. A wrong token or key is refused, even if another header has a valid one.
async fn identify(app: &AppState, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Problem> {
    if app.config.auth == AuthMode::Off {
        check_page(app, headers, extensions)?;
        return Ok(Caller::admin(AuthKind::Off, "auth-off"));
    }
    let credentials = credentials(headers)?;
    if credentials.len() > MAX_CREDENTIALS {
        return Err(Problem::bad_credentials());
    }
    let mut callers = Vec::with_capacity(credentials.len());
    for credential in credentials {
        callers.push(verify(app, credential).await?);
    }
    let first = callers.pop().ok_or_else(Problem::no_credentials)?;
    // Several credentials must belong to the same caller: there is no rule which of them would count.
    if callers.iter().any(|other| *other != first) { Err(Problem::bad_credentials()) } else { Ok(first) }
}

/// The middleware around all routes: refuses changes that a page of another site lets a browser send without a key: such a
/// page may not read the answer, but the request would be done. A request with credentials is not checked again: no page
/// of another site has them.
pub(crate) async fn refuse_pages(
    State(app): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !is_safe && (app.config.auth == AuthMode::Off || !has_credentials(request.headers())) {
        check_page(&app, request.headers(), request.extensions())?;
        // A page may send these three types to any site without asking it.
        const OF_FORMS: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
        let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if essence.is_some_and(|essence| OF_FORMS.contains(&essence.as_str())) {
            return Err(Problem::content_type());
        }
    }
    Ok(next.run(request).await)
}

fn check_page(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Result<(), Problem> {
    let from_loopback = extensions.get::<SocketAddr>().is_none_or(|from| from.ip().to_canonical().is_loopback());
    let client_host = extensions.get::<Client>().and_then(Client::host);
    refuse_cross_site(&app.config.cors_origins, headers, from_loopback, client_host)
}

fn has_credentials(headers: &HeaderMap) -> bool {
    ["x-api-key", AUTHORIZATION.as_str()].iter().any(|name| headers.contains_key(*name))
}

/// With authentication off, any page in a browser on this machine could call the server. Refuses requests that come
/// from a page of another site, and host names that such a page may have pointed at this machine (DNS rebinding). The latter
/// are judged by the peer and the `Host` header alone: such a page can send any header of a proxy. A page of another site
/// can't, so `client_host`, which a trusted proxy reports, counts as the server's own.
fn refuse_cross_site(
    allowed: &[String],
    headers: &HeaderMap,
    from_loopback: bool,
    client_host: Option<&str>,
) -> Result<(), Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header("host").unwrap_or_default();
    let host_name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = host_name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let is_allowed =
        |host: &str| allowed.iter().any(|allowed| allowed.split_once("://").is_some_and(|(_, own)| own == host));
    let is_own_name = !from_loopback
        || is_address
        || host_name.is_empty()
        || host_name.eq_ignore_ascii_case("localhost")
        || is_allowed(host);
    let is_same_site = match header("origin") {
        Some(origin) => {
            let origin_host = origin.split_once("://").map_or(origin, |(_, host)| host);
            let is_own = |host: &str| origin_host.eq_ignore_ascii_case(host);
            is_own(host) || client_host.is_some_and(is_own) || allowed.iter().any(|allowed| allowed == origin)
        }
        None => !matches!(header("sec-fetch-site"), Some("cross-site" | "same-site")),
    };
    if is_own_name && is_same_site { Ok(()) } else { Err(Problem::cross_site()) }
}

enum Credential {
    /// `Authorization: Bearer`: a key, or a token from /auth/login.
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

/// The caller that a credential belongs to.
async fn verify(app: &AppState, credential: Credential) -> Result<Caller, Problem> {
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
    if let Some(caller) = configured_caller(app, &secret) {
        return Ok(caller);
    }
    let keys = app.keys.clone();
    let found = app.blocking(move || keys.caller(&secret)).await??;
    found.ok_or_else(Problem::bad_credentials)
}

/// The caller with a key from the settings. The secret is compared with all keys, each time in constant time.
fn configured_caller(app: &App, secret: &str) -> Option<Caller> {
    let digest = digest(secret);
    let matches = |known: &[u8; 32]| bool::from(known.ct_eq(&digest));
    let mut found = None;
    for key in &app.config.keys {
        if matches(&key.digest) {
            found = Some(Caller {
                kind: AuthKind::ApiKey,
                user: key.user.clone(),
                other_forms: Vec::new(),
                access: key.access,
                account: None,
                name: hex::encode(&key.digest[..8]),
            });
        }
    }
    if app.admin_digest.as_ref().is_some_and(matches) {
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

/// The caller of a public route: `None` without credentials, unless authentication is off. Wrong credentials are
/// refused.
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for MaybeCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        if !has_credentials(&parts.headers) && app.config.auth == AuthMode::On {
            return Ok(Self(None));
        }
        identify(app, &parts.headers, &parts.extensions).await.map(|caller| Self(Some(caller)))
    }
}

fn caller(parts: &Parts) -> Result<Caller, Problem> {
    // Missing only if the route is not behind [`authenticate`]; then the request is refused.
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
        if !caller.access.write && parts.method != Method::GET {
            return Err(Problem::missing_scope("write"));
        }
        Ok(Self(caller))
    }
}
