//! The backend that runs today, asked for its counts as the runbook asks it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::error::CliError;

/// `/stats/USER` for each user of `API_KEYS`, asked with that user's key.
pub(super) fn read(url: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let keys = std::env::var("API_KEYS").map_err(|_| {
        CliError::usage(
            "--legacy-url asks for each user of API_KEYS: set it as the backend has it, {\"key\": \"user\", …}",
        )
    })?;
    let keys: BTreeMap<String, Value> = serde_json::from_str(&keys)
        .map_err(|error| CliError::usage(format!("API_KEYS is no JSON object of keys and users: {error}")))?;
    // Others than users, an admin above all, have no memories of their own.
    let keys = keys.iter().filter_map(|(key, whose)| Some((key, whose.as_str().or_else(|| whose["user"].as_str())?)));
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut counts = BTreeMap::new();
    for (key, user) in keys {
        if counts.contains_key(user) {
            continue;
        }
        let mut asked =
            reqwest::Url::parse(url).map_err(|error| CliError::usage(format!("`{url}` is no URL: {error}")))?;
        if let Ok(mut path) = asked.path_segments_mut() {
            path.pop_if_empty().extend(["stats", user]);
        }
        let told = |what: String| CliError::failed("legacy_backend", format!("{url}/stats/{user}: {what}"));
        let answer = client.get(asked).header("X-API-Key", key).send().map_err(|error| told(error.to_string()))?;
        if !answer.status().is_success() {
            return Err(told(format!("answered {}", answer.status())).into());
        }
        let body: Value = answer.json().map_err(|error| told(error.to_string()))?;
        let count = body["memory_count"].as_u64().ok_or_else(|| told("the answer has no memory_count".into()))?;
        counts.insert(user.to_owned(), usize::try_from(count)?);
    }
    Ok(counts)
}
