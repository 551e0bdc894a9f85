//! A fact, and the kinds of extractors.

use mnemon_store::{MemoryId, Role};
use serde::{Deserialize, Serialize};

/// What extracts facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extractor {
    /// A language model.
    Llm,
    /// The built-in rules: they keep sentences that state something, in the speaker's own words.
    Extractive,
}

impl Extractor {
    /// Its stable name: `llm` or `extractive`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Extractive => "extractive",
        }
    }
}

/// A fact that extraction produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fact {
    pub(crate) text: String,
    /// The role that made the statement: `user` or `assistant`.
    pub(crate) attributed_to: Option<Role>,
    /// Indexes of its source messages, ascending.
    pub(crate) sources: Vec<usize>,
    /// Memories about the same subject.
    #[serde(with = "ids")]
    pub(crate) related: Vec<MemoryId>,
    /// Memories that the fact supersedes.
    #[serde(with = "ids")]
    pub(crate) supersedes: Vec<MemoryId>,
}

/// Memory ids as JSON texts.
mod ids {
    use mnemon_store::MemoryId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(ids: &[MemoryId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(MemoryId::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MemoryId>, D::Error> {
        let texts: Vec<String> = Vec::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}
