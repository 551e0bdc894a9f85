//! Texts and limits of the reports.

/// Of a target without entities, and how to add them.
pub(in crate::commands::migrate) const WITHOUT_ENTITIES: &str = "no entities: search does not find memories by the names in them. `mnemon migrate rebuild` adds them, with the \
     embedding model that mem0 used (MNEMON_EMBEDDER, MNEMON_EMBEDDER_DIMS)";

/// Users listed in the text output. JSON has all.
pub(super) const MAX_USERS: usize = 12;
