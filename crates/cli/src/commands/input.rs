//! Values that several commands parse from arguments: ids, filters, metadata, times.

use std::convert::Infallible;

use jiff::Timestamp;
use mnemon_engine::{EngineError, is_json, read_json, read_time};
use mnemon_store::{Filter, MemoryId, Role, Scope, StoreError, parse_day};
use serde_json::{Map, Value};

use crate::error::CliError;

/// Metadata, as a JSON object, as pairs, or both.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MetadataArgs {
    /// Metadata as a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// One metadata key. Numbers, true and false keep their type, "…" is text. Can be repeated
    #[arg(short = 'm', long = "meta", value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

impl MetadataArgs {
    /// The keys of both forms; `None` if neither is given.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Map<String, Value>>> {
        if self.metadata.is_none() && self.pairs.is_empty() {
            return Ok(None);
        }
        let mut keys = match &self.metadata {
            None => Map::new(),
            Some(text) => match json("--metadata", text)? {
                Value::Object(keys) => keys,
                _ => return Err(CliError::usage(r#"--metadata must be an object, such as {"key": "value"}"#).into()),
            },
        };
        for pair in &self.pairs {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
                return Err(CliError::usage(format!("-m {pair}: give KEY=VALUE")).into());
            };
            let value = scalar(value).map_err(|fault| CliError::usage(format!("-m {}: {fault}", key.trim())))?;
            keys.insert(key.trim().to_owned(), value);
        }
        Ok(Some(keys))
    }
}

fn scalar(text: &str) -> Result<Value, String> {
    let is_number = text.trim_start().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match read_json(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::String(_))) => Ok(value),
        Err(fault) if is_number && is_json(text) => Err(fault),
        _ => Ok(Value::from(text)),
    }
}

fn json(flag: &str, text: &str) -> Result<Value, CliError> {
    read_json(text).map_err(|error| {
        let fault = if is_json(text) { error } else { format!("is not valid JSON: {error}") };
        CliError::usage(format!("{flag} {fault}"))
    })
}

/// Parses the role of messages.
pub(crate) fn role(text: &str) -> Result<Role, Infallible> {
    Ok(Role::of_message(text))
}

/// Parses a memory's id.
pub(crate) fn memory_id(text: &str) -> anyhow::Result<MemoryId> {
    Ok(text.trim().parse::<MemoryId>().map_err(StoreError::from).map_err(EngineError::from)?)
}

/// Parses the day of `--expires`; of a time, its day in UTC.
pub(crate) fn date(text: &str) -> Result<jiff::civil::Date, String> {
    parse_day(text).ok_or_else(|| "give a day as YYYY-MM-DD, or a time such as 2024-05-01T12:00:00Z".to_owned())
}

/// Parses a time: RFC 3339, a date, or seconds since 1970.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    read_time(text).ok_or_else(|| {
        "give RFC 3339 such as 2024-05-01T12:00:00Z, a date such as 2024-05-01, or seconds since 1970".to_owned()
    })
}

/// The filter of scope and `--filter` together; `None` if neither is given.
pub(crate) fn filter(scope: Option<&Scope>, text: Option<&str>) -> anyhow::Result<Option<Filter>> {
    let mut filters = Vec::new();
    if let Some(scope) = scope {
        filters.push(scope_filter(scope)?);
    }
    if let Some(text) = text {
        let parsed = Filter::parse(&json("--filter", text)?);
        filters.push(parsed.map_err(EngineError::from)?);
    }
    Ok(Filter::all(filters))
}

/// The filter that requires every id of a scope.
pub(crate) fn scope_filter(scope: &Scope) -> anyhow::Result<Filter> {
    let mut filters = Vec::new();
    for (key, id) in mnemon_store::SCOPE_KEYS.into_iter().zip(scope.ids()) {
        if let Some(id) = id {
            let filter = Filter::eq(key, id);
            filters.push(filter.map_err(EngineError::from)?);
        }
    }
    Filter::all(filters).ok_or_else(missing_scope)
}

/// The error for a command that needs a scope and has none.
pub(crate) fn missing_scope() -> anyhow::Error {
    CliError::usage("no scope: give --user, --agent or --run, or set MNEMON_USER").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_are_added_to_the_object_and_keep_their_types() {
        let args = MetadataArgs {
            metadata: Some(r#"{"a": 1, "b": "x"}"#.into()),
            pairs: ["b=2", "c=true", "d=two words", "e=\"7\"", "f=[1]", "g=x=y"].map(Into::into).to_vec(),
        };
        let expected = json!({"a": 1, "b": 2, "c": true, "d": "two words", "e": "7", "f": "[1]", "g": "x=y"});
        assert_eq!(Value::Object(args.read().unwrap().unwrap()), expected);
        assert_eq!(MetadataArgs::default().read().unwrap(), None);
        for bad in ["x", "=1", " =1", "n=18446744073709551616", "n=-9223372036854775809", "n=1e400"] {
            let args = MetadataArgs { pairs: vec![bad.into()], ..MetadataArgs::default() };
            assert!(args.read().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_expiration_date_has_no_time() {
        assert!(date("2030-01-31").is_ok());
        for time in ["2030-01-31T00:00:00Z", "2030-01-31 23:59", "2030-02-01T01:00:00+02:00"] {
            assert_eq!(date(time), date("2030-01-31"), "{time}");
        }
        for bad in ["2030-1-31", "2030-02-30", "20300131", "tomorrow", ""] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
