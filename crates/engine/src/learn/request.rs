//! A request to learn from messages.

use crate::add::AddRequest;

/// Messages to extract facts from, and the owner of the facts.
#[derive(Clone, Debug, Default)]
pub struct LearnRequest {
    /// The messages, the owner, and the values that are stored with each fact. `skip_duplicates` has no effect: a fact that
    /// the owner already has is never stored again.
    pub add: AddRequest,
    /// Instructions for the model in place of [`ModelServices::instructions`](crate::ModelServices::instructions); at most
    /// 64 KiB.
    pub instructions: Option<String>,
    /// Records what an agent did, as one memory, instead of extracting facts. Needs an `agent_id` and a language model.
    pub procedure: bool,
}
