//! Requests of which an endpoint reads only a part.

use super::chat::{ChatRequest, Usage};

/// Assumed most characters of a token, on average over a request.
const MAX_CHARS_PER_TOKEN: u64 = 5;

/// The number of tokens that the model read, if it did not read the whole request: some servers leave out a part of a
/// request that is longer than the model's context, and count exactly the context's tokens.
pub(super) fn truncated_at(usage: Usage, request: &ChatRequest) -> Option<u64> {
    let tokens = usage.input_tokens;
    let chars: usize = request.messages.iter().map(|message| message.content.chars().count()).sum();
    let is_context_size = tokens > 0 && tokens.is_multiple_of(1024);
    (is_context_size && chars as u64 > tokens * MAX_CHARS_PER_TOKEN).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{ChatMessage, ChatRole};

    #[test]
    fn a_request_of_exactly_the_contexts_size_is_truncated() {
        let truncated = |input_tokens, chars| {
            let messages = vec![ChatMessage::new(ChatRole::User, "x".repeat(chars))];
            truncated_at(Usage { input_tokens, output_tokens: 1 }, &ChatRequest { messages, ..ChatRequest::default() })
        };
        assert_eq!(truncated(4096, 24_000), Some(4096));
        assert_eq!((truncated(4096, 16_000), truncated(4095, 24_000), truncated(0, 24_000)), (None, None, None));
    }
}
