//! Quoted titles and terms, in straight quotes.

use super::kind::{Entity, EntityKind};

pub(super) fn find(text: &str, found: &mut Vec<Entity>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('"') {
        let Some((inner, remaining)) = after.split_once('"') else { break };
        if inner.is_empty() {
            // The second quotation mark may open a quote itself.
            rest = after;
            continue;
        }
        push(inner, found);
        rest = remaining;
    }

    let mut from = 0;
    while let Some(open) = text[from..].find('\'').map(|at| from + at) {
        let inner_start = open + 1;
        from = inner_start;
        let opens = text[..open]
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | '{' | ',' | ';'));
        if !opens {
            continue;
        }
        let Some(close) = text[inner_start..].find('\'').map(|at| inner_start + at) else { break };
        let closes = text[close + 1..]
            .chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']'));
        if closes && close > inner_start {
            push(&text[inner_start..close], found);
            from = close + 1;
        }
    }
}

fn push(inner: &str, found: &mut Vec<Entity>) {
    let inner = inner.trim();
    if inner.chars().nth(2).is_some() {
        found.push(Entity { kind: EntityKind::Quoted, text: inner.to_owned() });
    }
}
