//! Keys created at run time. A key is shown once; its SHA-256 digest is stored.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use mnemon_store::{Collection, DocumentStore, StoreError, is_same_text};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Access, AuthKind, Caller, Role};
use crate::cache::TimedCache;

pub(crate) const KIND: &str = "api_key";
/// The prefix of every key.
const PREFIX: &str = "m0sk_";
/// How long a key is cached: a revocation takes effect within this time.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// Most keys in the cache.
const MAX_CACHED: usize = 4096;
/// How often the time of a key's last use is saved.
const LAST_USED_INTERVAL: Duration = Duration::from_secs(60);

/// A key created at run time. The secret itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Identifies the key in lists and when it is revoked.
    pub id: String,
    /// Describes the purpose of the key.
    pub label: String,
    /// The first 12 characters of the key.
    pub key_prefix: String,
    /// The role of the caller.
    pub role: Role,
    /// The user whose memories it gives access to; `None` for role `admin`.
    pub user: Option<String>,
    /// Whether it allows reading.
    pub read: bool,
    /// Whether it allows writing.
    pub write: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, accurate to a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A key to create.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Describes the purpose of the key.
    pub label: String,
    /// The user; `None` creates a key of role `admin`.
    pub user: Option<String>,
    /// The permissions of the key.
    pub access: Access,
}

impl NewKey {
    fn with_secret(self) -> (ApiKey, String) {
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let key = ApiKey {
            id: uuid::Uuid::new_v4().to_string(),
            label: self.label,
            key_prefix: secret[..12].to_owned(),
            role: if self.user.is_some() { Role::User } else { Role::Admin },
            user: self.user,
            read: self.access.read,
            write: self.access.write,
            created_at: Timestamp::now(),
            last_used_at: None,
            revoked_at: None,
        };
        (key, secret)
    }
}

/// The keys in a document store.
#[derive(Clone)]
pub struct Keys {
    stored: Collection<ApiKey>,
    cache: Arc<TimedCache<[u8; 32], ApiKey>>,
    /// When the use of a key was saved, or was tried to be.
    saves: Arc<TimedCache<[u8; 32], ()>>,
}

impl Keys {
    /// The keys of a document store.
    pub fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self {
            stored: Collection::new(documents, KIND),
            cache: Arc::new(TimedCache::new(CACHE_TTL, MAX_CACHED)),
            saves: Arc::new(TimedCache::new(LAST_USED_INTERVAL, MAX_CACHED)),
        }
    }

    /// Creates a key and returns it with its secret, which cannot be read again later.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn create(&self, new: NewKey) -> Result<(ApiKey, String), StoreError> {
        let (key, secret) = new.with_secret();
        self.stored.put_new(&self.stored.document(hex::encode(digest(&secret)), key.clone()))?;
        Ok((key, secret))
    }

    /// Creates an admin's key if no key was ever created, and returns its secret. Of several callers, in all processes,
    /// only one succeeds. `keep` gets the secret before the key exists, so that it can't be lost; if the result is `None`, it
    /// is of no use.
    ///
    /// # Errors
    /// Those of `keep`, and no key is created; others if the document store fails.
    pub fn create_first<E: From<StoreError>>(
        &self,
        keep: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<Option<String>, E> {
        if self.any()? {
            return Ok(None);
        }
        let (key, secret) = NewKey { label: "first key".into(), user: None, access: Access::FULL }.with_secret();
        keep(&secret)?;
        let is_first = self.stored.put_first(&self.stored.document(hex::encode(digest(&secret)), key))?;
        Ok(is_first.then_some(secret))
    }

    /// Whether a key was ever created, including revoked ones: some routes are public until the first key exists, and
    /// revoking the last key must not make them public again.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn any(&self) -> Result<bool, StoreError> {
        Ok(self.stored.count()? > 0)
    }

    /// All keys, newest first, including revoked ones. A key that can't be read is logged and left out.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.all()?.into_iter().map(|(_, key)| key).collect())
    }

    /// Revokes a key of this user, or any key if `user` is `None`. Returns `None` if the id is unknown, otherwise
    /// whether the key was still valid.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn revoke(&self, id: &str, user: Option<&str>) -> Result<Option<bool>, StoreError> {
        let matches = |key: &ApiKey| {
            let is_own = |user| key.user.as_deref().is_some_and(|of| is_same_text(of, user));
            key.id == id && user.is_none_or(is_own)
        };
        let Some((digest, _)) = self.all()?.into_iter().find(|(_, key)| matches(key)) else { return Ok(None) };
        let mut was_valid = false;
        self.stored.change(&digest, &mut |document| {
            was_valid = document.body.revoked_at.is_none();
            document.body.revoked_at.get_or_insert_with(Timestamp::now);
            was_valid
        })?;
        self.cache.clear();
        Ok(Some(was_valid))
    }

    /// The caller with this secret; `None` if the key is unknown or revoked. A key that can't be read is an error.
    pub(super) fn caller(&self, secret: &str) -> Result<Option<Caller>, StoreError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = digest(secret);
        let Some(key) = self.cache.get_or_read(digest, || self.look_up(digest))? else { return Ok(None) };
        Ok(Some(Caller {
            kind: AuthKind::ApiKey,
            user: key.user,
            other_forms: Vec::new(),
            access: Access { read: key.read, write: key.write },
            account: None,
            name: key.id,
        }))
    }

    /// Reads a key from the document store, and saves that it was used, if it can. `None` if it is unknown or revoked.
    fn look_up(&self, digest: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        let found = self.stored.get(&hex::encode(digest))?.map(|document| document.body);
        let Some(key) = found.filter(|key| key.revoked_at.is_none()) else { return Ok(None) };
        let now = Timestamp::now();
        if key.last_used_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= LAST_USED_INTERVAL) {
            // Once in an interval even if it fails.
            self.saves.get_or_read(digest, || {
                self.save_use(digest, now);
                Ok::<_, StoreError>(Some(()))
            })?;
        }
        Ok(Some(key))
    }

    /// Saves when a key was used. A failure is only logged: a full disk must not refuse the key.
    fn save_use(&self, digest: [u8; 32], now: Timestamp) {
        let saved = self.stored.change(&hex::encode(digest), &mut |document| {
            document.body.last_used_at = Some(now);
            true
        });
        if let Err(error) = saved {
            tracing::warn!(%error, "the last use of a key was not saved");
        }
    }

    /// All keys with the ids of their documents.
    fn all(&self) -> Result<Vec<(String, ApiKey)>, StoreError> {
        Ok(self.stored.all_readable()?.into_iter().map(|document| (document.id, document.body)).collect())
    }
}

/// The digest that a key is stored under. A key has 256 random bits, so it cannot be found from an unsalted digest.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mnemon_store::sqlite::SqliteOptions;
    use mnemon_store::{Document, Durability, Page, PageRequest, Result, SqliteStore};

    use super::*;

    /// A store whose disk is full: documents can be read and not changed.
    struct FullDisk {
        documents: SqliteStore,
        changes: AtomicUsize,
    }

    impl DocumentStore for FullDisk {
        fn put(&self, _: &[Document], _: Durability) -> Result<()> {
            Err(StoreError::Full)
        }
        fn put_new(&self, _: &Document) -> Result<bool> {
            Err(StoreError::Full)
        }
        fn put_first(&self, _: &Document) -> Result<bool> {
            Err(StoreError::Full)
        }
        fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>> {
            self.documents.document(kind, id)
        }
        fn scan(
            &self,
            kind: &'static str,
            owners: Option<&[String]>,
            page: &PageRequest,
        ) -> Result<Page<Result<Document>>> {
            self.documents.scan(kind, owners, page)
        }
        fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Result<Document>>> {
            self.documents.due(kind, now, limit)
        }
        fn due_ids(
            &self,
            kind: &'static str,
            after: Option<Timestamp>,
            until: Timestamp,
            limit: usize,
        ) -> Result<Vec<String>> {
            self.documents.due_ids(kind, after, until, limit)
        }
        fn count_due(&self, kind: &'static str, now: jiff::Timestamp) -> Result<usize> {
            self.documents.count_due(kind, now)
        }
        fn reschedule(&self, _: &'static str, _: &str, _: Timestamp, _: Timestamp) -> Result<bool> {
            Err(StoreError::Full)
        }
        fn change(
            &self,
            _: &'static str,
            _: &str,
            _: &mut dyn FnMut(&mut Document) -> bool,
        ) -> Result<Option<Document>> {
            self.changes.fetch_add(1, Ordering::SeqCst);
            Err(StoreError::Full)
        }
        fn remove(&self, _: &'static str, _: &str) -> Result<bool> {
            Err(StoreError::Full)
        }
        fn delete_owned_by(&self, _: &str) -> Result<usize> {
            Err(StoreError::Full)
        }
        fn trim(&self, _: &'static str, _: usize) -> Result<usize> {
            Err(StoreError::Full)
        }
    }

    #[test]
    fn a_full_disk_does_not_refuse_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SqliteStore::open(SqliteOptions::new(folder.path().join("m.db"), "none", 1)).unwrap();
        let new =
            NewKey { label: "laptop".into(), user: Some("ana".into()), access: Access { read: true, write: true } };
        let (_, secret) = Keys::new(Arc::new(open())).create(new).unwrap();
        let full = Arc::new(FullDisk { documents: open(), changes: AtomicUsize::new(0) });
        let keys = Keys::new(full.clone());
        for _ in 0..3 {
            assert_eq!(keys.caller(&secret).unwrap().unwrap().user.as_deref(), Some("ana"));
            keys.cache.clear();
        }
        assert_eq!(full.changes.load(Ordering::SeqCst), 1, "one attempt in an interval");
    }
}
