//! Routes that a server may lack: the graph and the chat.

use mnemon_engine::ErrorCode;
use serde_json::Value;

use super::{Outcome, Run};
use crate::commands::smoke::memory_api::CheckError;

impl Run<'_> {
    pub(super) fn graph(&mut self) -> Outcome {
        let user = self.user()?;
        let answer = self.api.client.get(&["graph", "relationships", &user], &[])?;
        match answer.status {
            404 | 405 | 410 | 501 => Ok(Some("no such route, as expected: mem0 v2 has no graph".to_owned())),
            _ if !answer.is_ok() => Err(CheckError::Failed(answer.describe())),
            _ if answer.body["deprecated"] == true => Ok(Some("deprecated".to_owned())),
            _ if answer.body.is_array()
                || answer.body.as_object().is_some_and(|map| map.values().any(Value::is_array)) =>
            {
                Ok(None)
            }
            _ => Err(CheckError::Failed(format!(
                "{}; neither `deprecated` nor a list of relationships",
                answer.describe()
            ))),
        }
    }

    pub(super) fn chat(&mut self) -> Outcome {
        self.first()?;
        let question = format!("What do I drink {} tea from? Answer in a few words.", self.word);
        let answer = self.api.chat(&question).inspect_err(|_| self.write_uncertain = true)?;
        if answer.code() == Some(ErrorCode::LlmNotConfigured.as_str()) || matches!(answer.status, 404 | 405 | 501) {
            return Err(CheckError::Skip("the server has no language model".to_owned()));
        }
        if !answer.is_ok() {
            return Err(CheckError::Failed(format!(
                "{}; are the language model and its key configured?",
                answer.describe()
            )));
        }
        if answer.has_text() {
            Ok(None)
        } else {
            Err(CheckError::Failed(format!("{}, without text", answer.describe())))
        }
    }
}
