//! The kinds of documents that a server keeps, and the check that all of them can be read.

use std::sync::Arc;

use mnemon_store::{DocumentStore, Finding, StoreError};

use crate::{api, auth, service};

/// Ids that a finding lists.
const MAX_IDS: usize = 10;

/// Findings of documents that can't be read, one for each kind that has any.
///
/// # Errors
/// If the document store fails.
pub fn check_documents(documents: &Arc<dyn DocumentStore>) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let kinds = [mnemon_engine::DOCUMENT_KINDS, auth::DOCUMENT_KINDS, service::DOCUMENT_KINDS]
        .into_iter()
        .chain(api::DOCUMENT_KINDS)
        .flatten();
    for kind in kinds {
        let ids = kind.unreadable(documents)?;
        if ids.is_empty() {
            continue;
        }
        let more = if ids.len() > MAX_IDS { ", …" } else { "" };
        let listed = ids.iter().take(MAX_IDS).map(String::as_str).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "documents of kind {} are damaged, or a newer version wrote them; requests that need one fail: {listed}{more}",
            kind.name
        );
        findings.push(Finding { check: "unreadable_document", count: ids.len(), detail });
    }
    Ok(findings)
}
