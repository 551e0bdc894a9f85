//! The services behind all surfaces: memories, extraction, events, webhooks, accounts and the request log. They do not
//! depend on routes or transport.

mod accounts;
mod app;
mod batch;
mod blocking;
mod chat;
mod deletion;
mod learning;
mod memories;
mod probes;
mod request_log;
mod search;
mod webhooks;

use mnemon_store::DocumentKind;

pub(crate) use accounts::{Account, Accounts, MAX_PASSWORD, MIN_PASSWORD, Tokens, has_account};
pub(crate) use app::{App, AppState};
pub(crate) use chat::Turn;
pub(crate) use learning::run_jobs;
pub(crate) use memories::visible_history;
pub(crate) use request_log::Entry;
pub(crate) use webhooks::{EVENT_TYPES, MAX_WEBHOOKS, NewWebhook, Webhook, WebhookChange, run_deliveries};

/// The kinds of documents that services are stored in.
pub(crate) const DOCUMENT_KINDS: &[DocumentKind] = &[
    DocumentKind::of::<Account>(accounts::ACCOUNT),
    DocumentKind::of::<String>(accounts::REFRESH_TOKEN),
    DocumentKind::of::<String>(accounts::SECRET),
    DocumentKind::of::<Entry>(request_log::KIND),
    webhooks::WEBHOOKS,
    webhooks::DELIVERIES,
];
