//! Settings of `mnemon serve`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;

use mnemon_server::auth::ConfiguredKey;
use mnemon_server::{AuthMode, Config, RateLimit, Secret};

use super::durations::duration;
use super::values::Values;
use crate::error::CliError;

/// Address, log format and configuration of the server.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// Address to listen on.
    pub(crate) bind: SocketAddr,
    /// Whether logs are JSON.
    pub(crate) log_json: bool,
    /// The server's configuration.
    pub(crate) config: Config,
}

pub(super) fn resolve(values: &Values, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<ServerSettings> {
    let variable = |name: &str| environment(name).filter(|text| !text.trim().is_empty());
    let keys = match variable("API_KEYS") {
        Some(text) => ConfiguredKey::parse_all(&text).map_err(CliError::usage)?,
        None => Vec::new(),
    };
    let admin_key = variable("ADMIN_API_KEY").map(|key| key.trim().to_owned());
    if admin_key.as_ref().is_some_and(|admin| keys.iter().any(|key| key.is(admin))) {
        return Err(CliError::usage("ADMIN_API_KEY is also one of API_KEYS: use different keys").into());
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
        other => return Err(CliError::usage(format!("log_format is `{other}`; give `text` or `json`")).into()),
    };
    Ok(ServerSettings { bind: address(&values.bind)?, log_json, config })
}

/// Parses `on` or `off`.
pub(crate) fn auth_mode(text: &str) -> anyhow::Result<AuthMode> {
    match text {
        "on" => Ok(AuthMode::On),
        "off" => Ok(AuthMode::Off),
        other => Err(CliError::usage(format!("auth is `{other}`; give `on` or `off`")).into()),
    }
}

/// Parses `HOST:PORT`.
pub(crate) fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let address = text.trim().to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let invalid =
        || CliError::usage(format!("bind is `{text}`; give HOST:PORT, such as 127.0.0.1:8000 or 0.0.0.0:8000"));
    Ok(address.ok_or_else(invalid)?)
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
            let message = format!("cors_origins contains `{origin}`; give origins such as https://app.example.com");
            return Err(CliError::usage(message).into());
        }
    }
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_refused_at_startup() {
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
