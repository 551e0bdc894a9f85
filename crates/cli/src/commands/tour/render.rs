//! The tour as text.

use mnemon_engine::SearchHit;

use super::steps::{AnsweredQuestion, Correction};
use super::story::{CORRECTION, NEXT, OTHER_USER, STORY, USER};
use crate::commands::search::explain::{contributions, meaning};
use crate::output::{Output, day, pluralize, truncate};

pub(super) fn tour(
    messages: usize,
    facts: usize,
    answered: &[AnsweredQuestion],
    correction: &Correction,
    out: &Output,
) -> String {
    let mut text = format!(
        "{}\n\n  {messages} messages between Iris and Bo, from {} conversations of 2025, become memories of user \
         {USER};\n  {facts} facts become memories of user {OTHER_USER}. No language model is used; all data stays on this machine.\n",
        out.bold("Add memories"),
        STORY.len()
    );
    let (own, others): (Vec<_>, Vec<_>) = answered.iter().partition(|answered| answered.question != CORRECTION.0);
    text.push_str(&format!("\n{}\n", out.bold("Search, with the reasons for each score")));
    for answered in own {
        text.push_str(&format!("\n  {}\n", out.bold(answered.question)));
        text.extend(answered.answer.hits.iter().map(|hit| hit_text(hit, out)));
    }
    text.push_str(&format!("\n{}\n", out.bold("Users are isolated: the same question to two users")));
    for answered in others {
        let user = out.dim(&format!("user {}", answered.user));
        text.push_str(&format!("\n  {}  {user}\n", out.bold(answered.question)));
        text.extend(answered.answer.hits.iter().take(1).map(|hit| hit_text(hit, out)));
    }
    text.push_str(&format!("\n{}\n\n", out.bold("Update and delete")));
    text.push_str(&format!("  update   {}\n", correction.before));
    text.push_str(&format!("      to   {}\n", correction.after.payload.text()));
    text.push_str(&format!(
        "  delete   {OTHER_USER} has {} left\n",
        pluralize(correction.remaining, "memory", "memories")
    ));
    let events: Vec<&str> = correction.history.iter().map(|event| event.event.as_str()).collect();
    text.push_str(&format!("  history  {}: the history keeps all versions\n", events.join(", ")));
    text.push_str(&format!("\n{}\n\n", out.bold("Next steps")));
    text.extend(NEXT.iter().map(|command| format!("  {command}\n")));
    text
}

/// Day, speaker and text of a hit; below it the largest contributions to its score, as many as fit.
fn hit_text(hit: &SearchHit, out: &Output) -> String {
    let memory = &hit.memory;
    let speaker = memory.payload.actor().map(|name| format!("{name}: ")).unwrap_or_default();
    let day = memory.provenance.event_time.and(day(memory)).map(|day| format!("{day}  ")).unwrap_or_default();
    let width = out.width().saturating_sub(10);
    let line = truncate(&format!("{day}{speaker}{}", memory.payload.text()), width);
    let mut reasons = String::new();
    for (signal, share) in hit.explanation.iter().flat_map(contributions) {
        let reason = format!("{} {share:.2}", meaning(signal.kind));
        let separator = if reasons.is_empty() { "" } else { " · " };
        if reasons.chars().count() + separator.chars().count() + reason.chars().count() > width {
            break;
        }
        reasons.push_str(separator);
        reasons.push_str(&reason);
    }
    format!("    {:.2}  {line}\n          {}\n", hit.score, out.dim(&reasons))
}
