//! What a caller asks to learn from.

use crate::add::AddRequest;

/// Messages to extract facts from, and the owner of the facts.
#[derive(Clone, Debug, Default)]
pub struct LearnRequest {
    /// The messages, the owner, and what is stored with each fact. A fact that the owner already has is never stored again,
    /// whatever `skip_duplicates` says.
    pub add: AddRequest,
    /// Instructions for the model in place of [`ModelServices::instructions`](crate::ModelServices::instructions); at most
    /// 64 KiB.
    pub instructions: Option<String>,
    /// Records what an agent did, as one memory, instead of extracting facts. Needs an `agent_id` and a language model.
    pub procedure: bool,
}
