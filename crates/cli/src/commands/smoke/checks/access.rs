//! Whether the server answers, and whom it lets in.

use std::time::Instant;

use mnemon_engine::ErrorCode;
use serde_json::Value;

use super::{Outcome, Run};
use crate::commands::smoke::answer::Answer;
use crate::commands::smoke::client::Credentials;
use crate::commands::smoke::memory_api::{CheckError, MAX_LIST};
use crate::error::CliError;

impl Run<'_> {
    /// Fails the whole run if the server does not answer.
    pub(super) fn health(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let answer = self.api.client.get(&["health"], &[]).map_err(|error| {
            let message = format!("can't reach the server: {}; is it running, and is --url correct?", error.message);
            CliError::failed(ErrorCode::Unreachable, message)
        })?;
        self.api.is_mnemon.set(answer.body["hybrid_search"].is_boolean());
        let version = answer.body["version"].as_str();
        self.server = if self.api.is_mnemon.get() {
            Some(format!("mnemon {}", version.unwrap_or_default()).trim_end().to_owned())
        } else {
            answer.server.clone()
        };
        let outcome = check_health(&answer);
        self.record("health", start, outcome);
        Ok(())
    }

    /// Also records the existing memories before anything is written.
    pub(super) fn key(&mut self) -> Outcome {
        let answer = self.api.list(false)?;
        if answer.is_refused() {
            let advice = match (self.api.client.has_key(), &self.api.user) {
                (false, _) => "give a key with --api-key",
                (true, Some(_)) => "is --api-key correct, and does it give access to --user?",
                (true, None) => "is --api-key correct?",
            };
            self.stopped = Some("the key was refused".to_owned());
            return Err(CheckError::Failed(format!("{}; {advice}", answer.describe())));
        }
        if answer.status >= 500 {
            return Err(CheckError::Failed(answer.describe()));
        }
        if !answer.is_ok() {
            // A list that requires a user does not prevent the other checks.
            return Ok(Some(format!("accepted, but {}", answer.describe())));
        }
        if !answer.is_json {
            return Err(CheckError::Failed(format!("{}, which is not valid JSON", answer.describe())));
        }
        self.test_data.record_existing(answer.memories(), MAX_LIST);
        Ok(None)
    }

    pub(super) fn wrong_key(&mut self) -> Outcome {
        if !self.api.client.has_key() {
            return Err(CheckError::Skip("no key was given, and the server requires none".to_owned()));
        }
        let wrong = format!("wrong-{}", self.word);
        for (credentials, which) in [(Credentials::Key(&wrong), "a wrong key"), (Credentials::None, "no key")] {
            let answer = self.api.search_as(credentials)?;
            if answer.is_ok() {
                // Without the response: it may contain memories.
                let reason = format!(
                    "{which} was accepted, {} answered {}: everyone can read; does the server run without authentication?",
                    answer.request, answer.status
                );
                return Err(CheckError::Failed(reason));
            }
            if !answer.is_refused() {
                return Err(CheckError::Failed(format!(
                    "{which} is not refused with 401 or 403: {}",
                    answer.describe()
                )));
            }
        }
        Ok(None)
    }
}

fn check_health(answer: &Answer) -> Outcome {
    if answer.is_absent() {
        return Err(CheckError::Skip("the server has no /health".to_owned()));
    }
    if !answer.is_ok() {
        return Err(CheckError::Failed(answer.describe()));
    }
    if !answer.is_json {
        return Err(CheckError::Failed(format!(
            "{}, which is not valid JSON: is --url that of a memory server?",
            answer.describe()
        )));
    }
    let status = answer.body["status"].as_str().unwrap_or("ok").to_ascii_lowercase();
    if !["ok", "healthy", "up", "pass", "running", "success"].contains(&status.as_str()) {
        return Err(CheckError::Failed(answer.describe()));
    }
    let warnings = answer.body["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(warnings.map(str::to_owned).reduce(|all, next| format!("{all}; {next}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, text: &str) -> Answer {
        Answer::new("GET /health".into(), status, text, None, None)
    }

    #[test]
    fn health_depends_on_status_code_and_text() {
        let ok = |text| matches!(check_health(&answer(200, text)), Ok(None));
        assert!(ok(r#"{"status": "healthy"}"#) && ok(r#"{"status": "OK"}"#) && ok("{}"));
        assert!(matches!(check_health(&answer(200, r#"{"status": "degraded"}"#)), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(200, "<html>")), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(503, "{}")), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(404, r#"{"detail": "Not Found"}"#)), Err(CheckError::Skip(_))));
        let warned = check_health(&answer(200, r#"{"status": "healthy", "warnings": ["no slot", "old"]}"#));
        assert_eq!(warned.unwrap().as_deref(), Some("no slot; old"));
    }
}
