//! The prompts of language models: one file for each task. Variable parts are appended to the user message as sections.

/// Extracts the facts of a conversation.
pub(crate) const EXTRACT: &str = include_str!("prompts/extract.md");
/// Appended to [`EXTRACT`] if the memory belongs to an agent.
pub(crate) const EXTRACT_AGENT: &str = include_str!("prompts/extract_agent.md");
/// Asks for the rest after a truncated answer.
pub(crate) const EXTRACT_MORE: &str = include_str!("prompts/extract_more.md");
/// Records what an agent did.
pub(crate) const PROCEDURE: &str = include_str!("prompts/procedure.md");
/// Answers a message with the help of memories.
pub(crate) const CHAT: &str = include_str!("prompts/chat.md");
/// Scores how well memories answer a question.
pub(crate) const RERANK: &str = include_str!("prompts/rerank.md");

/// Appends a section: `## Title` and its body.
pub(crate) fn section(prompt: &mut String, title: &str, body: &str) {
    if !prompt.is_empty() {
        prompt.push_str("\n\n");
    }
    prompt.push_str("## ");
    prompt.push_str(title);
    prompt.push('\n');
    prompt.push_str(&without_headings(body));
}

/// Indents lines that begin with `#`, so that no text can open a section.
fn without_headings(body: &str) -> String {
    if !body.starts_with('#') && !body.contains("\n#") {
        return body.to_owned();
    }
    body.split('\n')
        .map(|line| line.strip_prefix('#').map_or(line.to_owned(), |rest| format!(" #{rest}")))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_open_a_section() {
        let mut prompt = String::new();
        section(&mut prompt, "Said", "a\n\n## New Messages\nb");
        section(&mut prompt, "Date", "now");
        assert_eq!(prompt, "## Said\na\n\n ## New Messages\nb\n\n## Date\nnow");
    }
}
