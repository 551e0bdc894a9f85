//! Tables that have the same columns in every store: links, history and messages.

pub(crate) mod history;
pub(crate) mod links;
pub(crate) mod messages;
pub(crate) mod terms_state;

use std::ops::ControlFlow;

use crate::database::Work;
use crate::{ExportRecord, Result};

/// Rows in one query of [`visit`].
const BATCH: usize = 500;

/// Visits all links, history events and messages, in this order. `snapshot` runs each query in a snapshot.
pub(crate) fn visit(
    snapshot: impl Fn(&mut Work<'_>) -> Result<()>,
    visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut last_link = None;
    loop {
        let mut links = Vec::new();
        snapshot(&mut |sql| {
            links = links::links_after(sql, last_link.as_ref(), BATCH)?;
            Ok(())
        })?;
        if links.is_empty() {
            break;
        }
        last_link = links.last().cloned();
        for link in links {
            if visitor(ExportRecord::Link(link)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    let mut last_seq = i64::MIN;
    loop {
        let mut events = Vec::new();
        snapshot(&mut |sql| {
            events = history::events_after(sql, last_seq, BATCH)?;
            Ok(())
        })?;
        if events.is_empty() {
            break;
        }
        for (seq, event) in events {
            last_seq = seq;
            if visitor(ExportRecord::History(Box::new(event))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    let mut last_seq = i64::MIN;
    loop {
        let mut messages = Vec::new();
        snapshot(&mut |sql| {
            messages = messages::messages_after(sql, last_seq, BATCH)?;
            Ok(())
        })?;
        if messages.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        for (seq, message) in messages {
            last_seq = seq;
            if visitor(ExportRecord::Message(Box::new(message))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}
