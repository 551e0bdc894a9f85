//! Memory counts of the running legacy backend.

use std::collections::BTreeMap;
use std::time::Duration;

use mnemon_engine::ErrorCode;
use serde_json::Value;

use crate::error::CliError;

/// The count of `/stats/USER` for each user in `API_KEYS`, requested with that user's key.
pub(super) fn read(url: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let keys = std::env::var("API_KEYS").map_err(|_| {
        CliError::usage(
            "--legacy-url needs the keys of all users in API_KEYS, as the backend has it: {\"key\": \"user\", …}",
        )
    })?;
    let keys: BTreeMap<String, Value> = serde_json::from_str(&keys)
        .map_err(|error| CliError::usage(format!("API_KEYS must be a JSON object of keys and users: {error}")))?;
    // Keys without a user, such as an admin's, have no memories.
    let keys = keys.iter().filter_map(|(key, owner)| Some((key, owner.as_str().or_else(|| owner["user"].as_str())?)));
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut counts = BTreeMap::new();
    for (key, user) in keys {
        if counts.contains_key(user) {
            continue;
        }
        let mut stats = reqwest::Url::parse(url)
            .map_err(|error| CliError::usage(format!("`{url}` is not a valid URL: {error}")))?;
        if let Ok(mut path) = stats.path_segments_mut() {
            path.pop_if_empty().extend(["stats", user]);
        }
        let failed =
            |reason: String| CliError::failed(ErrorCode::LegacyBackend, format!("{url}/stats/{user}: {reason}"));
        let response = client.get(stats).header("X-API-Key", key).send().map_err(|error| failed(error.to_string()))?;
        if !response.status().is_success() {
            return Err(failed(format!("answered {}", response.status())).into());
        }
        let body: Value = response.json().map_err(|error| failed(error.to_string()))?;
        let count = body["memory_count"].as_u64().ok_or_else(|| failed("the response has no memory_count".into()))?;
        counts.insert(user.to_owned(), usize::try_from(count)?);
    }
    Ok(counts)
}
