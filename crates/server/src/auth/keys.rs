//! Keys made at run time: shown once, kept as SHA-256.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use mnemon_store::{Document, DocumentStore, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Access, AuthKind, Caller, Role};

const KIND: &str = "api_key";
/// What every key made here begins with.
const PREFIX: &str = "m0sk_";
/// How long a key is believed without looking it up again: a revocation takes effect within this time.
const BELIEVED: Duration = Duration::from_secs(1);
/// Keys read at once.
const PAGE: usize = 1000;
/// Keys remembered at once.
const REMEMBERED: usize = 4096;
/// How often the time of a key's last use is written down.
const USE_NOTED: Duration = Duration::from_secs(60);

/// A key made at run time. The secret itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it in lists, and for revoking it.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// Its first 12 characters.
    pub key_prefix: String,
    /// What it may do.
    pub role: Role,
    /// Whose memories it reads and writes; `None` for role `admin`.
    pub user: Option<String>,
    /// Whether it may ask.
    pub read: bool,
    /// Whether it may change.
    pub write: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is for.
    pub label: String,
    /// Whose; `None` makes an admin's.
    pub user: Option<String>,
    /// What it may do.
    pub access: Access,
}

/// The keys in a ledger.
#[derive(Clone)]
pub struct Keys {
    ledger: Arc<dyn DocumentStore>,
    believed: Arc<Mutex<HashMap<[u8; 32], Believed>>>,
}

struct Believed {
    key: ApiKey,
    looked_up: Instant,
    use_noted: Option<Instant>,
}

impl Keys {
    /// The keys of a ledger.
    pub fn new(ledger: Arc<dyn DocumentStore>) -> Self {
        Self { ledger, believed: Arc::default() }
    }

    /// Makes a key and returns it with its secret, which nobody can ask for again.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn create(&self, new: NewKey) -> Result<(ApiKey, String), StoreError> {
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let key = ApiKey {
            id: uuid::Uuid::new_v4().to_string(),
            label: new.label,
            key_prefix: secret[..12].to_owned(),
            role: if new.user.is_some() { Role::User } else { Role::Admin },
            user: new.user,
            read: new.access.read,
            write: new.access.write,
            created_at: Timestamp::now(),
            last_used_at: None,
            revoked_at: None,
        };
        self.ledger.put_new(&document(&digest(&secret), &key))?;
        Ok((key, secret))
    }

    /// Whether a key was ever made, revoked ones included: a user who revokes the last key of all must not thereby open
    /// what is open only before the first.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn any(&self) -> Result<bool, StoreError> {
        let one = PageRequest { limit: 1, ..PageRequest::default() };
        Ok(self.ledger.documents(KIND, None, &one)?.total > 0)
    }

    /// All keys, newest first, revoked ones included.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.documents()?.into_iter().map(|(_, key)| key).collect())
    }

    /// Ends a key of this user, or any if `within` is `None`. `None` if there is no such id; else whether it was still
    /// good.
    ///
    /// # Errors
    /// If the ledger fails.
    pub fn revoke(&self, id: &str, within: Option<&str>) -> Result<Option<bool>, StoreError> {
        let is_it = |key: &ApiKey| key.id == id && (within.is_none() || key.user.as_deref() == within);
        let Some((digest, _)) = self.documents()?.into_iter().find(|(_, key)| is_it(key)) else { return Ok(None) };
        let mut was_good = false;
        self.ledger.change(KIND, &digest, &mut |document| {
            let Some(mut key) = read(document) else { return false };
            was_good = key.revoked_at.is_none();
            key.revoked_at.get_or_insert_with(Timestamp::now);
            document.body = body(&key);
            was_good
        })?;
        self.lock().clear();
        Ok(Some(was_good))
    }

    /// Who shows this secret; `None` for an unknown or revoked one.
    pub(super) fn caller(&self, secret: &str) -> Result<Option<Caller>, StoreError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = digest(secret);
        let known =
            self.lock().get(&digest).filter(|known| known.looked_up.elapsed() < BELIEVED).map(|k| k.key.clone());
        let key = match known {
            Some(key) => key,
            None => match self.look_up(digest)? {
                Some(key) => key,
                None => return Ok(None),
            },
        };
        Ok(Some(Caller {
            kind: AuthKind::ApiKey,
            user: key.user,
            access: Access { read: key.read, write: key.write },
            account: None,
            name: key.id,
        }))
    }

    fn look_up(&self, digest: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        let found = self.ledger.document(KIND, &hex(&digest))?;
        let Some(key) = found.as_ref().and_then(read).filter(|key| key.revoked_at.is_none()) else {
            self.lock().remove(&digest);
            return Ok(None);
        };
        let mut believed = self.lock();
        if believed.len() >= REMEMBERED && !believed.contains_key(&digest) {
            believed.clear();
        }
        let before = believed.get(&digest).and_then(|known| known.use_noted);
        let noting = before.is_none_or(|at| at.elapsed() >= USE_NOTED);
        let use_noted = if noting { Some(Instant::now()) } else { before };
        believed.insert(digest, Believed { key: key.clone(), looked_up: Instant::now(), use_noted });
        drop(believed);
        if noting {
            self.ledger.change(KIND, &hex(&digest), &mut |document| {
                let Some(mut key) = read(document) else { return false };
                key.last_used_at = Some(Timestamp::now());
                document.body = body(&key);
                true
            })?;
        }
        Ok(Some(key))
    }

    fn documents(&self) -> Result<Vec<(String, ApiKey)>, StoreError> {
        let mut keys = Vec::new();
        let mut page = PageRequest { limit: PAGE, ..PageRequest::default() };
        loop {
            let found = self.ledger.documents(KIND, None, &page)?;
            keys.extend(found.items.iter().filter_map(|document| Some((document.id.clone(), read(document)?))));
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Believed>> {
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a secret is known by. A key is 256 random bits, so a plain hash can't be guessed back.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(digest: &[u8; 32], key: &ApiKey) -> Document {
    Document::new(KIND, hex(digest), body(key))
}

fn body(key: &ApiKey) -> serde_json::Value {
    serde_json::to_value(key).unwrap_or_default()
}

fn read(document: &Document) -> Option<ApiKey> {
    serde_json::from_value(document.body.clone()).ok()
}
