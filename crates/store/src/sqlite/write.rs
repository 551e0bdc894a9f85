//! Writes: each in one transaction. The indexes in memory are updated with the commit.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::open::{SqliteOptions, check_embedder};
use super::read;
use super::scopes::scope_version;
use super::write_transaction::{IndexChange, WriteTransaction, insert_history};
use crate::scope_index::{Cache, IndexWrite};
use crate::{ChangeSet, Filter, HistoryEvent, Result, StoreError};

/// Memories that one change set removes from the indexes in memory. Each removal searches the lists of the whole scope
/// while readers wait. For larger sets it is cheaper to load the scope again.
const MAX_REMOVED_IN_PLACE: usize = 1000;

pub(super) fn apply(
    connection: &mut Connection,
    options: &SqliteOptions,
    cache: &Cache,
    changes: &ChangeSet,
) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    check_embedder(&tx, options)?;
    for (scope, expected) in &changes.expected {
        if scope_version(&tx, scope)? != *expected {
            return Err(StoreError::Conflict);
        }
    }
    let mut transaction = WriteTransaction::new(&tx, options.dims);
    for change in &changes.changes {
        transaction.apply(change)?;
    }
    let (touched, index_changes) = transaction.finish()?;
    let removed = index_changes.iter().filter(|change| matches!(change, IndexChange::Remove { .. })).count();
    commit(cache, tx, &touched, (removed <= MAX_REMOVED_IN_PLACE).then_some(&index_changes))
}

pub(super) fn remove_matching(
    connection: &mut Connection,
    options: &SqliteOptions,
    cache: &Cache,
    filter: Option<&Filter>,
    now: &str,
) -> Result<usize> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    check_embedder(&tx, options)?;
    let ids = read::matching_ids(&tx, filter)?;
    if ids.is_empty() {
        return Ok(0);
    }
    let mut transaction = WriteTransaction::without_index_changes(&tx, options.dims);
    for &id in &ids {
        let memory = read::get(&tx, &[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
        transaction.remove(id)?;
        insert_history(&tx, &HistoryEvent::deleted(&memory, now))?;
    }
    let left = read::matching_ids(&tx, filter)?.len();
    if left != 0 {
        return Err(StoreError::Corrupt(format!("{left} of {} memories could not be removed", ids.len())));
    }
    let (touched, _) = transaction.finish()?;
    commit(cache, tx, &touched, None)?;
    Ok(ids.len())
}

/// Commits while the indexes of the touched scopes are locked, so that readers see a scope before or after the write, never
/// in between. Without index changes the indexes are dropped and must be loaded again.
fn commit(
    cache: &Cache,
    tx: Transaction<'_>,
    touched: &BTreeSet<i64>,
    index_changes: Option<&Vec<IndexChange>>,
) -> Result<()> {
    let mut versions = HashMap::new();
    for &scope in touched {
        let version: i64 = tx
            .prepare_cached("UPDATE scopes SET version = version + 1 WHERE id = ? RETURNING version")?
            .query_row([scope], |row| row.get(0))?;
        versions.insert(scope, version);
    }
    let mut indexes = cache.write_present(touched.iter().copied());
    tx.commit()?;
    for (scope, guard) in &mut indexes {
        let version = versions.get(scope).copied().unwrap_or_default();
        let current = guard.as_mut().filter(|index| index.version + 1 == version && !index.is_worn());
        let (Some(index), Some(changes)) = (current, index_changes) else {
            drop_index(cache, *scope, guard);
            continue;
        };
        let mut in_order = true;
        for change in changes.iter().filter(|change| change.scopes().contains(scope)) {
            match change {
                IndexChange::Insert { entry, vector, bm25 } => in_order &= index.insert(entry.clone(), vector, bm25),
                IndexChange::SetTerms { id, old, new, .. } => index.set_terms(*id, old, new),
                IndexChange::Remove { id, terms, .. } => index.remove(*id, terms),
            }
        }
        if !in_order {
            drop_index(cache, *scope, guard);
            continue;
        }
        index.version = version;
        cache.set_size(*scope, index.bytes());
    }
    Ok(())
}

/// Commits a change that affects all indexes. All processes must load every scope again.
pub(super) fn commit_to_all_scopes(cache: &Cache, tx: Transaction<'_>) -> Result<()> {
    let all: BTreeSet<i64> =
        tx.prepare("SELECT id FROM scopes")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    commit(cache, tx, &all, None)
}

/// Frees an index and its share of the cache.
fn drop_index(cache: &Cache, scope: i64, guard: &mut IndexWrite) {
    **guard = None;
    cache.set_size(scope, 0);
}
