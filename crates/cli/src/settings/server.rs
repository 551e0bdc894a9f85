//! Settings of `mnemon serve`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::time::Duration;

use mnemon_server::auth::ConfiguredKey;
use mnemon_server::{AuthMode, Config, RateLimit, Secret};

use super::Values;
use crate::exit::Fault;

/// How to serve.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// Where to listen.
    pub(crate) bind: SocketAddr,
    /// Whether logs are JSON.
    pub(crate) log_json: bool,
    /// All else.
    pub(crate) config: Config,
}

pub(super) fn resolve(values: &Values, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<ServerSettings> {
    let blank = |name: &str| environment(name).filter(|text| !text.trim().is_empty());
    let keys = match blank("API_KEYS") {
        Some(text) => ConfiguredKey::parse_all(&text).map_err(Fault::usage)?,
        None => Vec::new(),
    };
    let admin_key = blank("ADMIN_API_KEY").map(|key| key.trim().to_owned());
    if admin_key.as_ref().is_some_and(|admin| keys.iter().any(|key| key.is(admin))) {
        return Err(Fault::usage("ADMIN_API_KEY is one of API_KEYS as well: give the admin another").into());
    }
    let config = Config {
        auth: auth_mode(&values.auth)?,
        keys,
        admin_key: admin_key.map(Secret::new),
        rate_limit: NonZeroU32::new(values.rate_limit).map(|per_minute| RateLimit { per_minute }),
        cors_origins: origins(&values.cors_origins)?,
        max_body: values.max_body_mb.clamp(1, 1 << 20) << 20,
        request_timeout: duration("request_timeout", &values.request_timeout)?,
        shutdown_grace: duration("shutdown_grace", &values.shutdown_grace)?,
        ..Config::default()
    };
    let log_json = match values.log_format.as_str() {
        "text" => false,
        "json" => true,
        other => return Err(Fault::usage(format!("log_format is `{other}`; give `text` or `json`")).into()),
    };
    Ok(ServerSettings { bind: address(&values.bind)?, log_json, config })
}

/// Reads `on` or `off`.
pub(crate) fn auth_mode(text: &str) -> anyhow::Result<AuthMode> {
    match text {
        "on" => Ok(AuthMode::On),
        "off" => Ok(AuthMode::Off),
        other => Err(Fault::usage(format!("auth is `{other}`; give `on` or `off`")).into()),
    }
}

/// Reads `HOST:PORT`.
pub(crate) fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let found = text.trim().to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let wrong = || Fault::usage(format!("bind is `{text}`; give HOST:PORT, such as 127.0.0.1:8000 or 0.0.0.0:8000"));
    Ok(found.ok_or_else(wrong)?)
}

pub(crate) fn duration(key: &str, text: &str) -> anyhow::Result<Duration> {
    let found: Option<jiff::SignedDuration> = text.parse().ok();
    let found = found.and_then(|found| Duration::try_from(found).ok()).filter(|found| !found.is_zero());
    Ok(found.ok_or_else(|| Fault::usage(format!("{key} is `{text}`; give a time such as `60s` or `2m`")))?)
}

fn origins(text: &str) -> anyhow::Result<Vec<String>> {
    let origins: Vec<String> = text
        .split([',', ' '])
        .filter(|origin| !origin.is_empty())
        .map(|o| o.trim_end_matches('/').to_owned())
        .collect();
    for origin in &origins {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        if rest.is_empty() || rest.contains(['/', '*']) || !rest.is_ascii() {
            let message = format!("cors_origins holds `{origin}`; give origins such as https://app.example.com");
            return Err(Fault::usage(message).into());
        }
    }
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_served_is_refused_when_it_starts() {
        let with = |change: fn(&mut Values)| {
            let mut values = Values::default();
            change(&mut values);
            resolve(&values, |_| None)
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|values| values.bind = "8000".into()).is_err());
        assert!(with(|values| values.auth = "no".into()).is_err());
        assert!(with(|values| values.cors_origins = "*".into()).is_err());
        assert!(with(|values| values.request_timeout = "soon".into()).is_err());
        assert!(with(|values| values.log_format = "xml".into()).is_err());
        let shown = resolve(&Values::default(), |name| match name {
            "API_KEYS" => Some(r#"{"hush-hush": "ana"}"#.into()),
            "ADMIN_API_KEY" => Some("hush".into()),
            _ => None,
        });
        assert!(!format!("{:?}", shown.unwrap()).contains("hush"));
    }
}
