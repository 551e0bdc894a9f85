//! The state of a learning request's job, as it is stored in its event until the request is done.

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_store::{MemoryId, Role, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::extract::{Extractor, Fact};
use crate::fields::PlatformFields;

/// A learning request and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobState {
    pub(crate) user_id: Option<String>,
    pub(crate) agent_id: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) messages: Vec<StoredMessage>,
    pub(crate) metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "PlatformFields::is_empty")]
    pub(crate) fields: PlatformFields,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) session: Option<String>,
    pub(crate) unordered: bool,
    pub(crate) expiration_date: Option<Date>,
    #[serde(default)]
    pub(crate) immutable: bool,
    pub(crate) links: Vec<StoredLink>,
    pub(crate) instructions: Option<String>,
    pub(crate) procedure: bool,
    pub(crate) extractor: Extractor,
    pub(crate) received: Timestamp,
    /// The extracted facts, once extraction is done.
    pub(crate) planned: Option<Vec<PlannedFact>>,
    /// Number of failed attempts.
    pub(crate) attempts: usize,
    /// Number of those in which a model answered, but refused the request or answered unusably. `None` in jobs of an older
    /// version, which did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusals: Option<usize>,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<JobFailure>,
    /// Messages that nothing can be learnt from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_learnt: Vec<NotLearnt>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobFailure {
    /// The code of the error.
    pub(crate) code: String,
    /// The error with the message of the model's service: for operators only.
    pub(crate) detail: String,
}

/// A message of a request that nothing was learnt from, because the language model refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotLearnt {
    /// Its position among the messages of the request, from 0. Messages without text do not count.
    pub message: usize,
    /// Who it is from.
    pub role: Role,
    /// Why nothing was learnt from it, without the message of the model's service.
    pub reason: String,
}

impl JobState {
    /// The owner of the facts.
    pub(crate) fn scope(&self) -> Scope {
        Scope { user_id: self.user_id.clone(), agent_id: self.agent_id.clone(), run_id: self.run_id.clone() }
    }
}

/// A message of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) role: Role,
    pub(crate) content: String,
    pub(crate) name: Option<String>,
    pub(crate) timestamp: Option<Timestamp>,
}

/// A link of each new memory: target and kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredLink(#[serde(with = "id")] pub(crate) MemoryId, pub(crate) String);

/// A fact and the id of its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedFact {
    #[serde(with = "id")]
    pub(crate) id: MemoryId,
    pub(crate) fact: Fact,
}

impl PlannedFact {
    pub(crate) fn new(fact: Fact) -> Self {
        Self { id: MemoryId::random(), fact }
    }
}

/// A memory id as a JSON text.
mod id {
    use mnemon_store::MemoryId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &MemoryId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemoryId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
