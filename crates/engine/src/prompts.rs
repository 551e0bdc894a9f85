//! What language models are told, one file a task; the words that change come in as sections of the user's message.

/// Facts of a conversation.
pub(crate) const EXTRACT: &str = include_str!("prompts/extract.md");
/// After [`EXTRACT`], where the memory is an agent's.
pub(crate) const EXTRACT_AGENT: &str = include_str!("prompts/extract_agent.md");
/// After an answer that was cut.
pub(crate) const EXTRACT_MORE: &str = include_str!("prompts/extract_more.md");
/// A record of what an agent did.
pub(crate) const PROCEDURE: &str = include_str!("prompts/procedure.md");
/// An answer with memories at hand.
pub(crate) const CHAT: &str = include_str!("prompts/chat.md");
/// How well memories answer a question.
pub(crate) const RERANK: &str = include_str!("prompts/rerank.md");

/// `## Title` and what stands below it.
pub(crate) fn section(prompt: &mut String, title: &str, body: &str) {
    if !prompt.is_empty() {
        prompt.push_str("\n\n");
    }
    prompt.push_str("## ");
    prompt.push_str(title);
    prompt.push('\n');
    prompt.push_str(&quoted(body));
}

/// A text that can't be taken for a section of its own.
fn quoted(body: &str) -> String {
    match body.starts_with('#') || body.contains("\n#") {
        false => body.to_owned(),
        true => body
            .split('\n')
            .map(|line| line.strip_prefix('#').map_or(line.to_owned(), |rest| format!(" #{rest}")))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_passes_for_a_section() {
        let mut prompt = String::new();
        section(&mut prompt, "Said", "a\n\n## New Messages\nb");
        section(&mut prompt, "Date", "now");
        assert_eq!(prompt, "## Said\na\n\n ## New Messages\nb\n\n## Date\nnow");
    }
}
