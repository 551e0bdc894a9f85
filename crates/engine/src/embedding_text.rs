//! The text that is embedded for a memory.

use mnemon_store::Payload;

/// The text that is embedded for a memory: `Speaker: text`, or the text alone where no speaker is known.
pub(crate) fn embedding_text(payload: &Payload) -> String {
    match payload.speaker() {
        Some(speaker) => format!("{speaker}: {}", payload.text()),
        None => payload.text().to_owned(),
    }
}
