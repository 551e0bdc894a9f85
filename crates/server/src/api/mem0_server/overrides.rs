//! Settings that are changed at run time: how a change is merged and checked, and how settings are shown without
//! secrets.

use mnemon_engine::ErrorCode;
use serde_json::{Map, Value, json};

use crate::error::Problem;

/// Shown in place of a secret. Sent back, it keeps the secret.
const REDACTED: &str = "[redacted]";
/// The providers of language models that a configuration may name.
pub(super) const LLMS: [&str; 3] = ["openai", "anthropic", "gemini"];
/// The providers of embedders.
pub(super) const EMBEDDERS: [&str; 2] = ["static", "openai"];
/// Settings that are fixed when the server starts.
const FIXED: [&str; 3] = ["version", "vector_store", "embedder"];
/// Most bytes of JSON that are stored.
const MAX_BYTES: usize = 64 << 10;
/// Most levels of nested lists and objects.
const MAX_DEPTH: usize = 32;

type Object = Map<String, Value>;

/// The settings without overrides; `embedder` is the fingerprint of the embedder.
pub(super) fn base(store: &str, embedder: &str, dims: usize) -> Object {
    let (provider, model) = match embedder.strip_prefix("openai:").and_then(|rest| rest.rsplit_once(':')) {
        Some((model, _)) => (EMBEDDERS[1], model),
        None => (EMBEDDERS[0], embedder),
    };
    let base = json!({
        "version": "v1.1",
        "vector_store": {"provider": store, "config": {"embedding_model_dims": dims}},
        "llm": {"provider": null, "config": {}},
        "embedder": {"provider": provider, "config": {"model": model, "embedding_dims": dims}},
    });
    object(&base)
}

/// Applies a change to the stored overrides: objects are merged at every depth, null removes a key, lists are replaced.
///
/// # Errors
/// 400 if the resulting settings are invalid.
pub(super) fn apply(stored: &Object, patch: &Object, base: &Object) -> Result<Object, Problem> {
    let mut next = stored.clone();
    merge(&mut next, patch, &mut Vec::new())?;
    check(&overlay(base, &next), base)?;
    // They equal the current settings. If they were stored, they would be refused after a restart with other settings.
    FIXED.iter().for_each(|key| drop(next.shift_remove(*key)));
    let next = Value::Object(next);
    if depth(&next) > MAX_DEPTH {
        return Err(Problem::bad_request(format!("The configuration has more than {MAX_DEPTH} levels of nesting.")));
    }
    if next.to_string().len() > MAX_BYTES {
        return Err(Problem::bad_request(format!("The configuration would be larger than {MAX_BYTES} bytes.")));
    }
    Ok(object(&next))
}

/// The settings with the stored overrides, secrets redacted.
pub(super) fn redacted(base: &Object, stored: &Object) -> Object {
    redact_object(&overlay(base, stored))
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

fn overlay(base: &Object, overrides: &Object) -> Object {
    let mut all = base.clone();
    for (key, value) in overrides {
        let merged = match (all.get(key), value) {
            (Some(Value::Object(base)), Value::Object(overrides)) => overlay(base, overrides).into(),
            _ => value.clone(),
        };
        all.insert(key.clone(), merged);
    }
    all
}

fn merge<'p>(target: &mut Object, patch: &'p Object, path: &mut Vec<&'p str>) -> Result<(), Problem> {
    for (key, value) in patch {
        path.push(key);
        match value {
            Value::Null => drop(target.shift_remove(key)),
            Value::String(text) if text == REDACTED => {
                if !target.contains_key(key) {
                    return Err(no_secret(path));
                }
            }
            Value::Object(patch) => {
                let slot = target.entry(key.as_str()).or_insert(Value::Null);
                let mut inner = object(slot);
                merge(&mut inner, patch, path)?;
                *slot = inner.into();
            }
            other => {
                let resolved = resolve(other, target.get(key), path)?;
                target.insert(key.clone(), resolved);
            }
        }
        path.pop();
    }
    Ok(())
}

/// The value with every redacted part replaced by the stored one at the same path.
fn resolve(value: &Value, stored: Option<&Value>, path: &[&str]) -> Result<Value, Problem> {
    Ok(match value {
        Value::String(text) if text == REDACTED => stored.cloned().ok_or_else(|| no_secret(path))?,
        Value::Array(items) => {
            let item =
                |(index, item): (usize, &Value)| resolve(item, stored.and_then(|stored| stored.get(index)), path);
            items.iter().enumerate().map(item).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                Ok((key.clone(), resolve(value, stored.and_then(|stored| stored.get(key)), path)?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_, Problem>>()?)
        }
        plain => plain.clone(),
    })
}

fn no_secret(path: &[&str]) -> Problem {
    let path: String = path.join(".").chars().take(200).collect();
    Problem::bad_request(format!("{path}: there is no stored value that `{REDACTED}` could keep"))
        .hint("Send the value itself, or omit the key.")
}

fn check(all: &Object, base: &Object) -> Result<(), Problem> {
    if all.get("embedder") != base.get("embedder") {
        let current = &base["embedder"];
        let embedder = match (current["provider"].as_str(), current["config"]["model"].as_str()) {
            (Some("openai"), Some(model)) => format!("model `{model}`, provider `openai`"),
            _ => "the built-in embedder, provider `static`".to_owned(),
        };
        let message = format!("embedder: the vectors in the store were made by {embedder}");
        return Err(Problem::new(ErrorCode::EmbedderFixed, message));
    }
    for key in FIXED {
        if all.get(key) != base.get(key) {
            let problem = Problem::bad_request(format!("{key} cannot be changed while the server runs"));
            return Err(problem.hint("Omit it, or send the value that GET /configure shows."));
        }
    }
    let Some(llm) = all.get("llm").and_then(Value::as_object) else {
        return Err(Problem::bad_request("llm must be an object with `provider` and `config`"));
    };
    if !llm.get("config").is_none_or(Value::is_object) {
        return Err(Problem::bad_request("llm.config must be an object"));
    }
    match llm.get("provider") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(provider)) if LLMS.contains(&provider.as_str()) => Ok(()),
        Some(other) => {
            let other: String = other.to_string().chars().take(80).collect();
            let message = format!("llm: provider not bundled: {other}");
            Err(Problem::new(ErrorCode::ProviderNotBundled, message))
        }
    }
}

/// Settings that hold others.
const GROUPS: [&str; 6] = ["vector_store", "llm", "embedder", "graph_store", "reranker", "config"];
/// Settings whose values may be shown. All others are redacted: they may hold secrets.
const SHOWN: [&str; 22] = [
    "version",
    "provider",
    "model",
    "embedding_model_dims",
    "embedding_dims",
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "enable_vision",
    "vision_details",
    "is_reasoning_model",
    "reasoning_effort",
    "collection_name",
    "on_disk",
    "host",
    "port",
    "threshold",
    "custom_instructions",
    "custom_prompt",
    "custom_fact_extraction_prompt",
    "custom_update_memory_prompt",
];
/// Settings that are URLs. They are shown if they have no place for a secret.
const URLS: [&str; 6] = ["url", "base_url", "openai_base_url", "anthropic_base_url", "ollama_base_url", "api_base"];

fn redact_object(fields: &Object) -> Object {
    let field = |(key, value): (&String, &Value)| {
        let shown = match value {
            Value::Null => Value::Null,
            Value::Object(inner) if GROUPS.contains(&key.as_str()) => redact_object(inner).into(),
            Value::String(text) if URLS.contains(&key.as_str()) && is_plain_url(text) => value.clone(),
            Value::String(text) if SHOWN.contains(&key.as_str()) && !text.contains("://") => value.clone(),
            Value::Number(_) | Value::Bool(_) if SHOWN.contains(&key.as_str()) => value.clone(),
            _ => REDACTED.into(),
        };
        (key.clone(), shown)
    };
    fields.iter().map(field).collect()
}

/// Whether a URL is a host with a path of usual names: a user, a query or a further step of the path may be a secret.
fn is_plain_url(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_host
        && path.split('/').all(|step| ["", "v1", "v1beta", "v2", "v3", "api", "openai", "anthropic"].contains(&step))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Object {
        base("sqlite", "words", 256)
    }

    fn change(stored: &Value, patch: Value) -> Result<Value, String> {
        apply(&object(stored), &object(&patch), &settings()).map(Value::from).map_err(|problem| problem.message)
    }

    #[test]
    fn changes_are_merged_at_every_depth() {
        let stored = json!({"llm": {"provider": "openai", "config": {"model": "a", "temperature": 0}}, "x": [1, 2]});
        let next = change(&stored, json!({"llm": {"config": {"model": "b", "temperature": null}}, "x": [3]})).unwrap();
        assert_eq!(next, json!({"llm": {"provider": "openai", "config": {"model": "b"}}, "x": [3]}));
        assert_eq!(change(&next, json!({"llm": null, "x": null, "y": null})).unwrap(), json!({}));
        assert_eq!(change(&json!({"x": 1}), json!({"x": {"y": 1}})).unwrap(), json!({"x": {"y": 1}}));
    }

    #[test]
    fn redacted_settings_can_be_sent_back() {
        let stored = json!({
            "llm": {"provider": "openai", "config": {"api_key": "k1", "http": {"Authorization": "Bearer k2"}}},
            "more": [{"name": "a", "auth_token": "k3"}, {"clients": [{"client_secret": {"v": "k4"}}]}],
        });
        let shown = redacted(&settings(), &object(&stored));
        let text = Value::Object(shown.clone()).to_string();
        assert!((1..=4).all(|n| !text.contains(&format!("k{n}"))), "{text}");
        assert_eq!(text.matches(REDACTED).count(), 3);
        assert_eq!(change(&stored, shown.into()).unwrap(), stored);
    }

    #[test]
    fn a_placeholder_is_never_stored() {
        for patch in [
            json!({"llm": {"config": {"api_key": REDACTED}}}),
            json!({"x": REDACTED}),
            json!({"x": [1, REDACTED]}),
            json!({"x": [{"token": REDACTED}]}),
        ] {
            let result = change(&json!({"x": [1]}), patch.clone());
            // Only `x` has a stored value, a list with one item.
            assert_eq!(result.is_ok(), patch["x"] == json!(REDACTED), "{patch}: {result:?}");
        }
    }

    #[test]
    fn the_model_of_a_remote_embedder_is_shown() {
        let base = base("sqlite", "openai:nomic-embed-text:latest:768", 768);
        let expected = json!({"model": "nomic-embed-text:latest", "embedding_dims": 768});
        assert_eq!(base["embedder"], json!({"provider": "openai", "config": expected}));
        let refused = check(&overlay(&base, &object(&json!({"embedder": {"provider": "static"}}))), &base).unwrap_err();
        assert!(refused.message.contains("nomic-embed-text:latest"), "{}", refused.message);
    }

    #[test]
    fn invalid_settings_are_refused() {
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!({ "x": deep });
        }
        for (patch, expected) in [
            (json!({"llm": {"provider": "ollama"}}), "provider not bundled: \"ollama\""),
            (json!({"llm": {"provider": 7}}), "provider not bundled: 7"),
            (json!({"llm": "openai"}), "llm must be"),
            (json!({"llm": {"config": []}}), "llm.config"),
            (json!({"embedder": {"provider": "openai"}}), "built-in embedder"),
            (json!({"embedder": {"config": {"embedding_dims": 1536}}}), "built-in embedder"),
            (json!({"vector_store": {"provider": "qdrant"}}), "vector_store"),
            (json!({"version": "v2"}), "version"),
            (json!({"x": "y".repeat(70_000)}), "larger"),
            (deep, "nesting"),
        ] {
            let message = change(&json!({}), patch).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let all = Value::Object(settings());
        assert_eq!(change(&json!({}), all).unwrap(), json!({"llm": {"config": {}}}), "current settings are not stored");
    }

    #[test]
    fn values_are_shown_by_an_allow_list() {
        let secrets = json!({
            "llm": {"provider": "openai", "config": {
                "api_key": "hush", "openai_api_key": "hush", "X-Api-Key": "hush", "jwt": "hush", "pat": "hush", "pin": 71_717,
                "bearer": "hush", "dsn": "postgres://u:hush@h/d", "cookie": "hush", "private_key_pem": "hush", "sas": "hush",
                "headers": {"x": "hush"}, "http_client_proxies": ["http://u:hush@h"], "kEy": "hush", "aws": {"id": "hush"},
                "openai_base_url": "https://user:hush@h/v1", "base_url": "https://h/v1?key=hush", "url": "https://h/hooks/hush",
                "ollama_base_url": "http://hush@h", "model": "https://u:hush@h/m", "api_base": "hush", "host": ["hush"],
            }},
            "hush": {"hush": "hush"},
            "vector_store": {"config": {"password": "hush", "connection_string": "hush"}},
            "webhooks": [{"url": "https://h", "hmac": "hush"}],
        });
        let shown = Value::Object(redact_object(&object(&secrets))).to_string().replace("\"hush\":", "");
        assert!(!shown.contains("hush") && !shown.contains("71717"), "{shown}");
        let open = json!({
            "version": "v1.1",
            "llm": {"provider": "openai", "config": {
                "model": "gpt-x", "temperature": 0.5, "max_tokens": 7, "openai_base_url": "http://[::1]:4000/api/v1/", "top_k": null,
            }},
            "embedder": {"provider": "static", "config": {"embedding_dims": 256}},
            "custom_instructions": "Be brief.",
        });
        assert_eq!(Value::Object(redact_object(&object(&open))), open);
    }
}
