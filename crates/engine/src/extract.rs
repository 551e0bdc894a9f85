//! Extraction: from what was said to facts that can be understood without it.

mod parse;
mod prompt;
mod rules;

use mnemon_store::MemoryId;
use serde::{Deserialize, Serialize};

pub(crate) use prompt::{Question, cut, extract, procedure};
pub(crate) use rules::sentences;

/// Who extracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extractor {
    /// A language model.
    Llm,
    /// Rules: sentences that state something, as they were said.
    Extractive,
    /// Nobody: every message is remembered as it is.
    Verbatim,
}

impl Extractor {
    /// A stable name: `llm`, `extractive`, `verbatim`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Extractive => "extractive",
            Self::Verbatim => "verbatim",
        }
    }
}

/// Something worth knowing later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fact {
    pub(crate) text: String,
    /// `user` or `assistant`: whose statement it is.
    pub(crate) attributed_to: Option<String>,
    /// Places of the messages it was taken from, rising.
    pub(crate) sources: Vec<usize>,
    /// Memories about the same thing.
    #[serde(with = "ids")]
    pub(crate) related: Vec<MemoryId>,
    /// Memories that it stands in for.
    #[serde(with = "ids")]
    pub(crate) supersedes: Vec<MemoryId>,
}

/// Ids of memories as JSON has them.
pub(crate) mod ids {
    use mnemon_store::MemoryId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(ids: &[MemoryId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(MemoryId::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MemoryId>, D::Error> {
        let texts: Vec<String> = Vec::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}
