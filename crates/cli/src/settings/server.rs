//! Settings of `mnemon serve`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;

use mnemon_server::auth::{ConfiguredKey, MIN_KEY};
use mnemon_server::{AuthMode, Config, RateLimit, Secret};

use super::declared::Values;
use super::environment::Environment;
use super::paths::absolute;
use crate::error::CliError;

/// Address, log format and configuration of the server.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// Address to listen on.
    pub(crate) bind: SocketAddr,
    /// Whether logs are JSON.
    pub(crate) log_json: bool,
    /// The file for the first admin's key, if it is configured.
    pub(crate) first_key_file: Option<PathBuf>,
    /// The server's configuration.
    pub(crate) config: Config,
}

pub(super) fn resolve(values: &Values, environment: &Environment) -> anyhow::Result<ServerSettings> {
    let keys = match environment.non_blank("API_KEYS") {
        Some(text) => ConfiguredKey::parse_all(&text).map_err(CliError::usage)?,
        None => Vec::new(),
    };
    let admin_key = environment.non_blank("ADMIN_API_KEY");
    if admin_key.as_ref().is_some_and(|admin| keys.iter().any(|key| key.is(admin))) {
        return Err(CliError::usage("ADMIN_API_KEY is also one of API_KEYS: use different keys").into());
    }
    if admin_key.as_ref().is_some_and(|admin| admin.len() < MIN_KEY) {
        return Err(CliError::usage(format!("ADMIN_API_KEY must have at least {MIN_KEY} characters")).into());
    }
    let config = Config {
        auth: match values.auth.as_str() {
            "on" => AuthMode::On,
            "off" => AuthMode::Off,
            _ => return Err(values.invalid("auth", "`on` or `off`").into()),
        },
        keys,
        admin_key: admin_key.map(Secret::new),
        rate_limit: NonZeroU32::new(values.rate_limit).map(|per_minute| RateLimit { per_minute }),
        cors_origins: origins(values)?,
        trusted_proxies: values.trusted_proxies.parse().map_err(|_| {
            let expected =
                "addresses, networks such as 10.0.0.0/8, `loopback` or `private`, separated by commas, or `none`";
            values.invalid("trusted_proxies", expected)
        })?,
        max_body: (values.max_body_mb as usize).clamp(1, 1 << 20) << 20,
        request_timeout: values.request_timeout,
        shutdown_grace: values.shutdown_grace,
        ..Config::default()
    };
    let log_json = match values.log_format.as_str() {
        "text" => false,
        "json" => true,
        _ => return Err(values.invalid("log_format", "`text` or `json`").into()),
    };
    let bind = values.bind.trim().to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let bind = bind.ok_or_else(|| values.invalid("bind", "HOST:PORT, such as 127.0.0.1:8000 or 0.0.0.0:8000"))?;
    let first_key_file = values.first_key_file.as_deref().map(absolute).transpose()?;
    Ok(ServerSettings { bind, log_json, first_key_file, config })
}

fn origins(values: &Values) -> Result<Vec<String>, CliError> {
    let origins: Vec<String> = values
        .cors_origins
        .split([',', ' '])
        .filter(|origin| !origin.is_empty())
        .map(|o| o.trim_end_matches('/').to_owned())
        .collect();
    for origin in &origins {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        if rest.is_empty() || rest.contains(['/', '*']) || !rest.is_ascii() {
            return Err(values.invalid("cors_origins", "origins such as https://app.example.com"));
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
            resolve(&values, &Environment::default())
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|values| values.bind = "8000".into()).is_err());
        assert!(with(|values| values.auth = "no".into()).is_err());
        assert!(with(|values| values.cors_origins = "*".into()).is_err());
        assert!(with(|values| values.log_format = "xml".into()).is_err());
        assert!(with(|values| values.trusted_proxies = "10.0.0.0/8, private".into()).is_ok());
        assert!(with(|values| values.trusted_proxies = "proxy.local".into()).is_err());
        let keys = [("API_KEYS", r#"{"hush-hush": "ana"}"#), ("ADMIN_API_KEY", "hush")];
        let shown = resolve(&Values::default(), &Environment::of(keys).unwrap());
        assert!(!format!("{:?}", shown.unwrap()).contains("hush"));
        for short in [("ADMIN_API_KEY", "x"), ("API_KEYS", r#"{"x": "ana"}"#)] {
            assert!(resolve(&Values::default(), &Environment::of([short]).unwrap()).is_err(), "{short:?}");
        }
    }
}
