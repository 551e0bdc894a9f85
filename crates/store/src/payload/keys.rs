//! Keys of a payload that Mnemon reads or writes itself; all others are metadata of the caller.

/// The payload's own copy of the memory's id. Some legacy points have one; it is neither read nor shown.
pub const ID: &str = "id";
/// The text of the memory.
pub const DATA: &str = "data";
/// MD5 of the text, in hex.
pub const HASH: &str = "hash";
/// When the memory was stored, RFC 3339.
pub const CREATED_AT: &str = "created_at";
/// When it was last changed, RFC 3339.
pub const UPDATED_AT: &str = "updated_at";
/// The name of the speaker.
pub const ACTOR_ID: &str = "actor_id";
/// The role of the message: `user`, `assistant`, ….
pub const ROLE: &str = "role";
/// The lemmas of the text, joined by spaces: the input of the stored `bm25` vector.
pub const TEXT_LEMMATIZED: &str = "text_lemmatized";
/// Who stated an extracted fact: `user` or `assistant`.
pub const ATTRIBUTED_TO: &str = "attributed_to";
/// `procedural_memory`, or absent.
pub const MEMORY_TYPE: &str = "memory_type";
/// The last day on which the memory is visible, `YYYY-MM-DD`.
pub const EXPIRATION_DATE: &str = "expiration_date";
/// True if surfaces refuse changes of the memory. A key of the caller's named `immutable` is metadata.
pub const IMMUTABLE: &str = "mnemon_immutable";
/// The app, a field of mem0's hosted API. A key of the caller's named `app_id` is metadata; so are those of the next two.
pub const APP_ID: &str = "mnemon_app_id";
/// The categories, a list of texts, a field of mem0's hosted API.
pub const CATEGORIES: &str = "mnemon_categories";
/// Attributes, an object, a field of mem0's hosted API.
pub const STRUCTURED_ATTRIBUTES: &str = "mnemon_structured_attributes";
/// Ids of the messages that a fact was extracted from.
pub const SOURCE_MESSAGES: &str = "source_messages";
/// The number of pieces whose mean the vector is; 0 if no part of the text was embedded. Absent if the text was embedded
/// as a whole.
pub const VECTOR_PIECES: &str = "vector_pieces";
/// The number of pieces that the embedder refused; absent if there are none.
pub const VECTOR_LEFT_OUT: &str = "vector_left_out";
