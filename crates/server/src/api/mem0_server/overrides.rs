//! Settings changed at run time: how a change is merged in and checked, and how all of them are shown without secrets.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::Problem;

/// What stands where a secret is; sent back, it keeps the secret.
const REDACTED: &str = "[redacted]";
/// Language models that can be named.
pub(super) const LLMS: [&str; 3] = ["openai", "anthropic", "gemini"];
/// What makes vectors.
pub(super) const EMBEDDERS: [&str; 2] = ["static", "openai"];
/// What was settled when the server started.
const SETTLED: [&str; 3] = ["version", "vector_store", "embedder"];
/// The most that is kept, in bytes of JSON.
const MAX_BYTES: usize = 64 << 10;
/// Levels that lists and objects may nest.
const MAX_DEPTH: usize = 32;

type Object = Map<String, Value>;

/// The settings without any changes; `embedder` is its fingerprint.
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

/// What is kept after a change: objects are merged at every depth, null removes a key, lists are replaced.
///
/// # Errors
/// 400 if the settings could not be used as they would be then.
pub(super) fn changed(kept: &Value, patch: &Object, base: &Object) -> Result<Object, Problem> {
    let mut next = object(kept);
    merge(&mut next, patch, &mut Vec::new())?;
    check(&overlay(base, &next), base)?;
    // Equal to what is in force, so nothing to keep: a page that was read once must not hold it back later.
    SETTLED.iter().for_each(|key| drop(next.shift_remove(*key)));
    let next = Value::Object(next);
    if depth(&next) > MAX_DEPTH {
        return Err(Problem::bad_request(format!("The configuration nests more than {MAX_DEPTH} levels deep.")));
    }
    if next.to_string().len() > MAX_BYTES {
        return Err(Problem::bad_request(format!("The configuration would be larger than {MAX_BYTES} bytes.")));
    }
    Ok(object(&next))
}

/// The settings with what is kept over them, secrets redacted.
pub(super) fn shown(base: &Object, kept: &Value) -> Object {
    redact_object(&overlay(base, &object(kept)))
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

fn overlay(base: &Object, over: &Object) -> Object {
    let mut all = base.clone();
    for (key, value) in over {
        let merged = match (all.get(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => overlay(below, above).into(),
            _ => value.clone(),
        };
        all.insert(key.clone(), merged);
    }
    all
}

fn merge<'p>(target: &mut Object, patch: &'p Object, place: &mut Vec<&'p str>) -> Result<(), Problem> {
    for (key, value) in patch {
        place.push(key);
        match value {
            Value::Null => drop(target.shift_remove(key)),
            Value::String(text) if text == REDACTED => {
                if !target.contains_key(key) {
                    return Err(nothing_kept(place));
                }
            }
            Value::Object(patch) => {
                let slot = target.entry(key.as_str()).or_insert(Value::Null);
                let mut inner = object(slot);
                merge(&mut inner, patch, place)?;
                *slot = inner.into();
            }
            other => {
                let resolved = resolve(other, target.get(key), place)?;
                target.insert(key.clone(), resolved);
            }
        }
        place.pop();
    }
    Ok(())
}

/// The value with every redacted part as it is kept in the same place.
fn resolve(value: &Value, kept: Option<&Value>, place: &[&str]) -> Result<Value, Problem> {
    Ok(match value {
        Value::String(text) if text == REDACTED => kept.cloned().ok_or_else(|| nothing_kept(place))?,
        Value::Array(items) => {
            let item = |(at, item): (usize, &Value)| resolve(item, kept.and_then(|kept| kept.get(at)), place);
            items.iter().enumerate().map(item).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                Ok((key.clone(), resolve(value, kept.and_then(|kept| kept.get(key)), place)?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_, Problem>>()?)
        }
        plain => plain.clone(),
    })
}

fn nothing_kept(place: &[&str]) -> Problem {
    let place: String = place.join(".").chars().take(200).collect();
    Problem::bad_request(format!("{place}: nothing is kept here that `{REDACTED}` could stand for"))
        .hint("Send the value itself, or leave the key out.")
}

fn check(all: &Object, base: &Object) -> Result<(), Problem> {
    if all.get("embedder") != base.get("embedder") {
        let ours = &base["embedder"];
        let from = match (ours["provider"].as_str(), ours["config"]["model"].as_str()) {
            (Some("openai"), Some(model)) => format!("model `{model}`, provider `openai`"),
            _ => "the built-in embedder, provider `static`".to_owned(),
        };
        let message = format!("embedder: the store's vectors come from {from}");
        let problem = Problem::new(StatusCode::BAD_REQUEST, "embedder_fixed", message);
        return Err(problem.hint("Another one needs all of them made anew: `mnemon export`, then `import --reembed`."));
    }
    for key in SETTLED {
        if all.get(key) != base.get(key) {
            let problem = Problem::bad_request(format!("{key} can't be changed while the server runs"));
            return Err(problem.hint("Leave it out, or send it as GET /configure shows it."));
        }
    }
    let Some(llm) = all.get("llm").and_then(Value::as_object) else {
        return Err(Problem::bad_request("llm must be an object of `provider` and `config`"));
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
            let problem = Problem::new(StatusCode::BAD_REQUEST, "provider_not_bundled", message);
            Err(problem.hint("GET /configure/providers lists those that are."))
        }
    }
}

fn redact_object(fields: &Object) -> Object {
    let redacted = |(key, value): (&String, &Value)| {
        let hide = is_secret(key) && !value.is_null();
        (key.clone(), if hide { REDACTED.into() } else { redact(value) })
    };
    fields.iter().map(redacted).collect()
}

fn redact(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(redact).collect(),
        Value::Object(fields) => redact_object(fields).into(),
        plain => plain.clone(),
    }
}

/// Whether a key by this name holds a secret, however it is spelt: `api_key`, `X-Api-Key`, `authToken`, ….
fn is_secret(key: &str) -> bool {
    let key: String = key.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let ends = ["apikey", "accesskey", "privatekey", "token", "authorization", "credentials", "passwordhash", "passwd"];
    ends.iter().any(|end| key.ends_with(end)) || ["secret", "password"].iter().any(|part| key.contains(part))
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

    fn change(kept: &Value, patch: Value) -> Result<Value, String> {
        changed(kept, &object(&patch), &settings()).map(Value::from).map_err(|problem| problem.message)
    }

    #[test]
    fn changes_are_merged_at_every_depth() {
        let kept = json!({"llm": {"provider": "openai", "config": {"model": "a", "temperature": 0}}, "x": [1, 2]});
        let next = change(&kept, json!({"llm": {"config": {"model": "b", "temperature": null}}, "x": [3]})).unwrap();
        assert_eq!(next, json!({"llm": {"provider": "openai", "config": {"model": "b"}}, "x": [3]}));
        assert_eq!(change(&next, json!({"llm": null, "x": null, "y": null})).unwrap(), json!({}));
        assert_eq!(change(&json!({"x": 1}), json!({"x": {"y": 1}})).unwrap(), json!({"x": {"y": 1}}));
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let kept = json!({
            "llm": {"provider": "openai", "config": {"api_key": "k1", "http": {"Authorization": "Bearer k2"}}},
            "more": [{"name": "a", "auth_token": "k3"}, {"clients": [{"client_secret": {"v": "k4"}}]}],
        });
        let shown = shown(&settings(), &kept);
        let text = Value::Object(shown.clone()).to_string();
        assert!((1..=4).all(|n| !text.contains(&format!("k{n}"))), "{text}");
        assert_eq!(text.matches(REDACTED).count(), 4);
        assert_eq!(change(&kept, shown.into()).unwrap(), kept);
    }

    #[test]
    fn a_placeholder_is_never_kept_itself() {
        for patch in [
            json!({"llm": {"config": {"api_key": REDACTED}}}),
            json!({"x": REDACTED}),
            json!({"x": [1, REDACTED]}),
            json!({"x": [{"token": REDACTED}]}),
        ] {
            let fault = change(&json!({"x": [1]}), patch.clone());
            // `x` alone is kept, as a list of one.
            assert_eq!(fault.is_ok(), patch["x"] == json!(REDACTED), "{patch}: {fault:?}");
        }
    }

    #[test]
    fn a_services_model_is_named_as_such() {
        let base = base("sqlite", "openai:nomic-embed-text:latest:768", 768);
        let expected = json!({"model": "nomic-embed-text:latest", "embedding_dims": 768});
        assert_eq!(base["embedder"], json!({"provider": "openai", "config": expected}));
        let refused = check(&overlay(&base, &object(&json!({"embedder": {"provider": "static"}}))), &base).unwrap_err();
        assert!(refused.message.contains("nomic-embed-text:latest"), "{}", refused.message);
    }

    #[test]
    fn what_can_not_be_used_is_refused() {
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!({ "x": deep });
        }
        for (patch, says) in [
            (json!({"llm": {"provider": "ollama"}}), "provider not bundled: \"ollama\""),
            (json!({"llm": {"provider": 7}}), "provider not bundled: 7"),
            (json!({"llm": "openai"}), "llm must be"),
            (json!({"llm": {"config": []}}), "llm.config"),
            (json!({"embedder": {"provider": "openai"}}), "built-in embedder"),
            (json!({"embedder": {"config": {"embedding_dims": 1536}}}), "built-in embedder"),
            (json!({"vector_store": {"provider": "qdrant"}}), "vector_store"),
            (json!({"version": "v2"}), "version"),
            (json!({"x": "y".repeat(70_000)}), "larger"),
            (deep, "deep"),
        ] {
            let fault = change(&json!({}), patch).unwrap_err();
            assert!(fault.contains(says), "{fault}");
        }
        let all = Value::Object(settings());
        assert_eq!(change(&json!({}), all).unwrap(), json!({"llm": {"config": {}}}), "what is in force is not kept");
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        let secret = [
            "api_key",
            "ADMIN_API_KEY",
            "openai_api_key",
            "X-Api-Key",
            "apiKey",
            "authorization",
            "jwt_secret",
            "secret",
            "aws_secret_access_key",
            "password",
            "password_hash",
            "token",
            "session_token",
        ];
        let open = ["model", "max_tokens", "temperature", "provider", "tokenizer", "keywords", "top_k", "base_url"];
        assert_eq!(secret.iter().find(|key| !is_secret(key)), None);
        assert_eq!(open.iter().find(|key| is_secret(key)), None);
    }
}
