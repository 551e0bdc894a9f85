//! Fields beside the metadata of a memory.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields of mem0's hosted API, stored with each memory beside its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlatformFields {
    /// The app; not part of the scope.
    pub app_id: Option<String>,
    /// The categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Attributes of the caller.
    pub structured_attributes: Option<Map<String, Value>>,
}

impl PlatformFields {
    /// Whether none is set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
