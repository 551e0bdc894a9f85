//! What several verbs read from their arguments: ids, filters, metadata, times.

use jiff::Timestamp;
use mnemon_engine::{EngineError, read_time};
use mnemon_store::{Filter, MemoryId, Scope};
use serde_json::{Map, Value};

use crate::exit::Fault;

/// Metadata, as JSON, as pairs, or both.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MetadataArgs {
    /// Your own keys, as a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// One key of yours; numbers, true and false are taken as such, "…" as text. Repeatable
    #[arg(short = 'm', long = "meta", value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

impl MetadataArgs {
    /// The keys given; `None` if the call has neither form.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Map<String, Value>>> {
        if self.metadata.is_none() && self.pairs.is_empty() {
            return Ok(None);
        }
        let mut keys = match &self.metadata {
            None => Map::new(),
            Some(text) => match json("--metadata", text)? {
                Value::Object(keys) => keys,
                _ => return Err(Fault::usage(r#"--metadata is no object: give {"key": "value"}"#).into()),
            },
        };
        for pair in &self.pairs {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
                return Err(Fault::usage(format!("-m {pair}: give KEY=VALUE")).into());
            };
            keys.insert(key.trim().to_owned(), scalar(value));
        }
        Ok(Some(keys))
    }
}

fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::String(_))) => value,
        _ => Value::from(text),
    }
}

fn json(flag: &str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::usage(format!("{flag} is no JSON: {error}")))
}

/// Reads a memory's id.
pub(crate) fn memory_id(text: &str) -> anyhow::Result<MemoryId> {
    Ok(text.trim().parse::<MemoryId>().map_err(EngineError::from)?)
}

/// Reads the day of `--expires`.
pub(crate) fn date(text: &str) -> Result<jiff::civil::Date, String> {
    // jiff takes more, such as a date with a time: a day is meant.
    let shaped = text.len() == 10;
    text.parse().ok().filter(|_| shaped).ok_or_else(|| "give a day as YYYY-MM-DD".to_owned())
}

/// Reads a time: RFC 3339, a bare date, or seconds since 1970.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    read_time(text).ok_or_else(|| {
        "give RFC 3339 such as 2024-05-01T12:00:00Z, a date such as 2024-05-01, or seconds since 1970".to_owned()
    })
}

/// The filter of scope and `--filter` together; `None` if neither says anything.
pub(crate) fn filter(scope: Option<&Scope>, text: Option<&str>) -> anyhow::Result<Option<Filter>> {
    let mut filters = Vec::new();
    if let Some(scope) = scope {
        filters.push(of_scope(scope)?);
    }
    if let Some(text) = text {
        let parsed = Filter::parse(&json("--filter", text)?);
        filters.push(parsed.map_err(EngineError::from)?);
    }
    Ok(Filter::all(filters))
}

/// The filter that pins every id of a scope.
pub(crate) fn of_scope(scope: &Scope) -> anyhow::Result<Filter> {
    let mut filters = Vec::new();
    for (key, id) in mnemon_store::SCOPE_KEYS.into_iter().zip(scope.ids()) {
        if let Some(id) = id {
            let filter = Filter::eq(key, id);
            filters.push(filter.map_err(EngineError::from)?);
        }
    }
    Filter::all(filters).ok_or_else(no_scope)
}

/// Nobody is named where somebody must be.
pub(crate) fn no_scope() -> anyhow::Error {
    Fault::usage("whose memories? Give --user, --agent or --run, or set MNEMON_USER").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_add_to_the_object_and_keep_their_types() {
        let args = MetadataArgs {
            metadata: Some(r#"{"a": 1, "b": "x"}"#.into()),
            pairs: ["b=2", "c=true", "d=two words", "e=\"7\"", "f=[1]", "g=x=y"].map(Into::into).to_vec(),
        };
        let expected = json!({"a": 1, "b": 2, "c": true, "d": "two words", "e": "7", "f": "[1]", "g": "x=y"});
        assert_eq!(Value::Object(args.read().unwrap().unwrap()), expected);
        assert_eq!(MetadataArgs::default().read().unwrap(), None);
        for bad in ["x", "=1", " =1"] {
            let args = MetadataArgs { pairs: vec![bad.into()], ..MetadataArgs::default() };
            assert!(args.read().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_last_day_is_a_plain_day() {
        assert!(date("2030-01-31").is_ok());
        for bad in ["2030-1-31", "2030-02-30", "20300131", "2030-01-31T00:00:00", "tomorrow", ""] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
