//! The binding between alias, collection and ledger, and the warnings when it breaks.

use std::sync::atomic::Ordering;

use super::inner::Inner;
use crate::database::{Value, transact};
use crate::shared_tables::terms_state::write_terms_state;
use crate::sqlite::UNKNOWN_EMBEDDER;
use crate::{Durability, Result, StoreError, StoreWarning, TermsState};

/// Records collection, embedder and id in a new ledger. For an existing ledger, checks that they are the same.
pub(super) fn bind_ledger(inner: &Inner) -> Result<()> {
    let wanted = [
        ("collection", inner.collections.memories.clone()),
        ("embedder", inner.embedder.clone()),
        ("dims", inner.dims.to_string()),
        ("id", uuid::Uuid::new_v4().to_string()),
    ];
    let found = transact(inner.ledger(), Durability::Synced, |sql| {
        if sql.query("SELECT 1 FROM meta WHERE key = $1", &[Value::Text("id".to_owned())])?.is_empty() {
            write_terms_state(sql, &TermsState::current())?;
        }
        let mut found = Vec::with_capacity(wanted.len());
        for (key, value) in &wanted {
            let row = [Value::Text((*key).to_owned()), Value::Text(value.clone())];
            sql.execute("INSERT INTO meta(key, value) VALUES($1, $2) ON CONFLICT(key) DO NOTHING", &row)?;
            let rows = sql.query("SELECT value FROM meta WHERE key = $1", &row[..1])?;
            found.push(rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?.unwrap_or_default());
        }
        Ok(found)
    })?;
    let [collection, stored, stored_dims, id] = &found[..] else { return Ok(()) };
    let is_adopted = stored == UNKNOWN_EMBEDDER && *stored_dims == wanted[2].1;
    if *collection != wanted[0].1 {
        let message = format!(
            "the ledger {} belongs to collection `{collection}`, not to `{}`: give each collection its own ledger",
            inner.ledger.location(),
            wanted[0].1
        );
        return Err(StoreError::Misconfigured(message));
    }
    if is_adopted {
        // A migration filled the ledger without knowing the embedder. The first one with the dims is taken for it.
        record_embedder(inner)?;
    } else if *stored != wanted[1].1 || *stored_dims != wanted[2].1 {
        return Err(StoreError::EmbedderMismatch {
            stored: stored.clone(),
            stored_dims: stored_dims.parse().unwrap_or(0),
            given: inner.embedder.clone(),
            given_dims: inner.dims,
        });
    }
    inner.ledger_id.get_or_init(|| id.clone());
    Ok(())
}

fn record_embedder(inner: &Inner) -> Result<()> {
    transact(inner.ledger(), Durability::Synced, |sql| {
        let values = [Value::Text("embedder".to_owned()), Value::Text(inner.embedder.clone())];
        sql.execute("UPDATE meta SET value = $2 WHERE key = $1", &values).map(drop)
    })
}

/// Checks whether the collection names this ledger. The first ledger that serves a collection is recorded in it, so that a
/// lost or a second ledger is detected.
pub(super) fn check_ledger_id(inner: &Inner) -> Result<()> {
    let Some(own) = inner.ledger_id.get() else { return Ok(()) };
    let (recorded, without_entities) = inner.collections.recorded_facts(&inner.client)?;
    inner.without_entities.store(without_entities, Ordering::Relaxed);
    // The API key may not be allowed to do this. Then a lost ledger is not detected, and everything else works.
    if recorded.is_none()
        && let Err(error) = inner.collections.record_ledger_id(&inner.client, own)
    {
        tracing::debug!(%error, "could not record the ledger in the collection");
    }
    let other = recorded.filter(|recorded| recorded != own);
    if inner.other_ledger.swap(other.is_some(), Ordering::Relaxed) != other.is_some()
        && let Some(other) = other
    {
        tracing::warn!(store = inner.location(), own, other, "the collection was served with another ledger");
    }
    Ok(())
}

/// Records this ledger in the collection; returns whether another one was recorded.
pub(super) fn take_over_collection(inner: &Inner) -> Result<bool> {
    check_ledger_id(inner)?;
    let other_ledger = inner.other_ledger.load(Ordering::Relaxed);
    if let Some(own) = inner.ledger_id.get().filter(|_| other_ledger) {
        inner.collections.record_ledger_id(&inner.client, own)?;
        check_ledger_id(inner)?;
    }
    Ok(other_ledger)
}

/// Checks whether the alias still points to the collection.
pub(super) fn check_alias(inner: &Inner) -> Result<()> {
    let moved = inner.collections.alias_moved(&inner.client)?;
    if inner.alias_moved.swap(moved, Ordering::Relaxed) != moved && moved {
        tracing::warn!(store = inner.location(), "the alias points to another collection: restart to serve that one");
    }
    Ok(())
}

pub(super) fn warnings(inner: &Inner) -> Vec<StoreWarning> {
    let collection = || inner.collections.memories.clone();
    let mut warnings = Vec::new();
    if !inner.collections.has_bm25 {
        warnings.push(StoreWarning::NoBm25 { collection: collection() });
    }
    if inner.without_entities.load(Ordering::Relaxed) {
        warnings.push(StoreWarning::NoEntities);
    }
    if inner.alias_moved.load(Ordering::Relaxed) {
        warnings.push(StoreWarning::AliasMoved { collection: collection() });
    }
    if inner.other_ledger.load(Ordering::Relaxed) {
        let ledger = inner.ledger.location().to_string();
        warnings.push(StoreWarning::OtherLedger { collection: collection(), ledger });
    }
    warnings.extend(inner.ledger.refusal());
    if inner.unapplied.exist() {
        warnings.push(StoreWarning::PendingWrites);
    }
    warnings
}
