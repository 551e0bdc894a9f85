//! The tour, told to people.

use mnemon_engine::SearchHit;

use super::steps::{Asked, Corrected};
use super::story::{CORRECTION, FRIENDS, LONER, NEXT, STORY};
use crate::commands::search::explain::{contributions, meaning};
use crate::output::{Output, counted, shortened, when, who};

pub(super) fn tour(messages: usize, facts: usize, asked: &[Asked], corrected: &Corrected, out: &Output) -> String {
    let mut text = format!(
        "{}\n\n  {messages} messages between Iris and Bo, from {} conversations of 2025, become memories of user \
         {FRIENDS};\n  {facts} facts become memories of user {LONER}. No LLM is asked, nothing leaves this machine.\n",
        out.bold("Remember"),
        STORY.len()
    );
    let (own, others): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.question != CORRECTION.0);
    text.push_str(&format!("\n{}\n", out.bold("Ask, and see why")));
    for asked in own {
        text.push_str(&format!("\n  {}\n", out.bold(asked.question)));
        text.extend(asked.answer.hits.iter().map(|hit| told_hit(hit, out)));
    }
    text.push_str(&format!("\n{}\n", out.bold("Nobody sees another's memories")));
    for asked in others {
        let whose = out.dim(&format!("asked of {}", asked.user));
        text.push_str(&format!("\n  {}  {whose}\n", out.bold(asked.question)));
        text.extend(asked.answer.hits.iter().take(1).map(|hit| told_hit(hit, out)));
    }
    text.push_str(&format!("\n{}\n\n", out.bold("Change your mind")));
    text.push_str(&format!("  update   {}\n", corrected.before));
    text.push_str(&format!("      to   {}\n", corrected.after.payload.text()));
    text.push_str(&format!("  delete   {LONER} has {} left\n", counted(corrected.left, "memory", "memories")));
    let events: Vec<&str> = corrected.history.iter().map(|event| event.event.as_str()).collect();
    text.push_str(&format!("  history  {}: what was, stays on record\n", events.join(", ")));
    text.push_str(&format!("\n{}\n\n", out.bold("Now you")));
    text.extend(NEXT.iter().map(|command| format!("  {command}\n")));
    text
}

/// What was said, by whom and when; below it the strongest reasons, as many as fit.
fn told_hit(hit: &SearchHit, out: &Output) -> String {
    let memory = &hit.memory;
    let speaker = memory.payload.actor().and(who(memory)).map(|name| format!("{name}: ")).unwrap_or_default();
    let day = memory.provenance.event_time.and(when(memory)).map(|day| format!("{day}  ")).unwrap_or_default();
    let width = out.width().saturating_sub(10);
    let line = shortened(&format!("{day}{speaker}{}", memory.payload.text()), width);
    let mut reasons = String::new();
    for (signal, share) in hit.explanation.iter().flat_map(contributions) {
        let reason = format!("{} {share:.2}", meaning(signal.name));
        let joint = if reasons.is_empty() { "" } else { " · " };
        if reasons.chars().count() + joint.chars().count() + reason.chars().count() > width {
            break;
        }
        reasons.push_str(joint);
        reasons.push_str(&reason);
    }
    format!("    {:.2}  {line}\n          {}\n", hit.score, out.dim(&reasons))
}
