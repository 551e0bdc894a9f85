//! The administrator's account for a dashboard: passwords and tokens of mem0's `/auth` routes.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use mnemon_store::{Collection, DocumentStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::auth::{AuthKind, Caller};

pub(super) const ACCOUNT: &str = "account";
/// The id of the only account: registration is closed once it exists.
const FIRST: &str = "first";
/// The kind of the document that holds the secret that signs tokens.
pub(super) const SECRET: &str = "secret";
/// The kind of the documents that hold the valid refresh token of a family: the tokens that followed one login. Of an older
/// version the id is that of the token, and the body that of the account.
pub(super) const REFRESH_TOKEN: &str = "refresh_token";
/// Refresh tokens that are kept; the oldest are removed first.
const MAX_REFRESH_TOKENS: usize = 1000;
/// The shortest password, in characters.
pub(crate) const MIN_PASSWORD: usize = 8;
/// The longest password, in bytes.
pub(crate) const MAX_PASSWORD: usize = 1024;
const ACCESS_TOKEN_TTL: SignedDuration = SignedDuration::from_mins(30);
const REFRESH_TOKEN_TTL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// An administrator's account. No `Debug`: the password could be guessed from its hash.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) created_at: Timestamp,
    pub(crate) use_case: Option<String>,
    /// Counts password changes: tokens of an older generation are invalid.
    generation: u32,
    /// The Argon2id hash in PHC format.
    password: String,
}

/// Whether an account is registered, even if it can't be read.
pub(crate) fn has_account(documents: &Arc<dyn DocumentStore>) -> Result<bool, StoreError> {
    Ok(Collection::<Account>::new(documents.clone(), ACCOUNT).count()? > 0)
}

/// The tokens that a login returns.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: String,
    exp: i64,
    #[serde(rename = "type")]
    kind: String,
    jti: String,
    generation: u32,
    /// The login that the token goes back to; `None` in tokens of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family: Option<String>,
}

/// The accounts in a document store. All methods block; hashing a password is slow on purpose.
#[derive(Clone)]
pub(crate) struct Accounts {
    accounts: Collection<Account>,
    /// The id of the valid token, by family.
    refresh_tokens: Collection<String>,
    secret: Arc<[u8]>,
}

impl Accounts {
    /// The accounts of a document store. The secret that signs tokens is created on first use.
    pub(crate) fn new(documents: Arc<dyn DocumentStore>) -> Result<Self, StoreError> {
        let new_secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let secrets = Collection::<String>::new(documents.clone(), SECRET);
        let found = match secrets.get("jwt")? {
            Some(found) => found,
            None => {
                let document = secrets.document("jwt", new_secret.clone());
                match secrets.put_new(&document) {
                    // Without a secret there is no account, so until it is saved nobody can log in.
                    Err(error @ (StoreError::ReadOnly { .. } | StoreError::Full)) => {
                        tracing::warn!(%error, "the secret that signs tokens was not saved; it changes with the next start");
                        document
                    }
                    saved => {
                        saved?;
                        secrets.get("jwt")?.unwrap_or(document)
                    }
                }
            }
        };
        // With an empty secret anyone could sign tokens.
        if found.body.len() < new_secret.len() {
            return Err(StoreError::Corrupt("the secret that signs tokens".into()));
        }
        Ok(Self {
            accounts: Collection::new(documents.clone(), ACCOUNT),
            refresh_tokens: Collection::new(documents, REFRESH_TOKEN),
            secret: found.body.as_bytes().into(),
        })
    }

    /// The account, if one is registered.
    pub(crate) fn account(&self) -> Result<Option<Account>, StoreError> {
        // An unreadable account is an error: registration must not open again.
        Ok(self.accounts.get(FIRST)?.map(|document| document.body))
    }

    /// Registers the first account. `None` if an account exists.
    pub(crate) fn register(&self, name: &str, email: &str, password: &str) -> Result<Option<Account>, StoreError> {
        if self.account()?.is_some() {
            return Ok(None);
        }
        let account = Account {
            id: uuid::Uuid::new_v4().to_string(),
            name: name.to_owned(),
            email: email.to_owned(),
            role: "admin".into(),
            created_at: Timestamp::now(),
            use_case: None,
            generation: 0,
            password: hash(password),
        };
        let is_first = self.accounts.put_new(&self.accounts.document(FIRST, account.clone()))?;
        Ok(is_first.then_some(account))
    }

    /// The account with this email address and password.
    pub(crate) fn log_in(&self, email: &str, password: &str) -> Result<Option<Account>, StoreError> {
        if password.len() > MAX_PASSWORD {
            return Ok(None);
        }
        let account = self.account()?;
        // An unknown address takes as long as a known one.
        let known = account.as_ref().filter(|account| account.email.eq_ignore_ascii_case(email.trim()));
        let is_correct = verify(known.map_or(DUMMY_HASH, |account| &account.password), password);
        Ok(account.filter(|account| is_correct && account.email.eq_ignore_ascii_case(email.trim())))
    }

    /// Changes the account. `None` if there is no account, or if `change` returns false.
    pub(crate) fn change(&self, change: impl Fn(&mut Account) -> bool) -> Result<Option<Account>, StoreError> {
        let changed = self.accounts.change(FIRST, &mut |document| change(&mut document.body))?;
        Ok(changed.map(|document| document.body))
    }

    /// Sets a new password and invalidates all tokens; false if the current password is wrong.
    pub(crate) fn change_password(&self, current: &str, new: &str) -> Result<bool, StoreError> {
        let fits = current.len() <= MAX_PASSWORD;
        let Some(account) = self.account()?.filter(|account| fits && verify(&account.password, current)) else {
            return Ok(false);
        };
        let password = hash(new);
        let before = account.generation;
        let changed = self.change(|account| {
            // Of two concurrent changes one succeeds; for the other the current password is now wrong.
            let is_unchanged = account.generation == before;
            if is_unchanged {
                account.password.clone_from(&password);
                account.generation += 1;
            }
            is_unchanged
        })?;
        Ok(changed.is_some())
    }

    /// New tokens for an account.
    pub(crate) fn tokens(&self, account: &Account) -> Result<Tokens, StoreError> {
        let [family, refresh_id] = [(); 2].map(|()| uuid::Uuid::new_v4().to_string());
        self.refresh_tokens.put_new(&self.refresh_tokens.document(family.as_str(), refresh_id.clone()))?;
        self.refresh_tokens.trim(MAX_REFRESH_TOKENS)?;
        Ok(self.tokens_of(account, &family, refresh_id))
    }

    fn tokens_of(&self, account: &Account, family: &str, refresh_id: String) -> Tokens {
        Tokens {
            access: self.token(account, "access", family, uuid::Uuid::new_v4().to_string(), ACCESS_TOKEN_TTL),
            refresh: self.token(account, "refresh", family, refresh_id, REFRESH_TOKEN_TTL),
        }
    }

    /// New tokens for a refresh token, which can be used once. If it is shown again, somebody else has it as well: all tokens
    /// of its family become invalid.
    pub(crate) fn refresh(&self, token: &str) -> Result<Option<Tokens>, StoreError> {
        let Some(claims) = self.decode(token, "refresh") else { return Ok(None) };
        let Some(account) = self.account_of(&claims)? else { return Ok(None) };
        let Some(family) = &claims.family else {
            return if self.refresh_tokens.remove(&claims.jti)? { self.tokens(&account).map(Some) } else { Ok(None) };
        };
        let next = uuid::Uuid::new_v4().to_string();
        let changed = self.refresh_tokens.change(family, &mut |document| {
            let is_valid = document.body == claims.jti;
            if is_valid {
                document.body.clone_from(&next);
            }
            is_valid
        })?;
        if changed.is_none() {
            if self.refresh_tokens.remove(family)? {
                tracing::warn!("a refresh token was shown twice: the login that it goes back to has ended");
            }
            return Ok(None);
        }
        Ok(Some(self.tokens_of(&account, family, next)))
    }

    /// The caller with this access token.
    pub(crate) fn caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        let Some(claims) = self.decode(token, "access") else { return Ok(None) };
        let has_ended = |family: &String| Ok::<_, StoreError>(self.refresh_tokens.get(family)?.is_none());
        if claims.family.as_ref().map(has_ended).transpose()?.unwrap_or(false) {
            return Ok(None);
        }
        let account = self.account_of(&claims)?;
        Ok(account
            .map(|account| Caller { account: Some(account.id.clone()), ..Caller::admin(AuthKind::Jwt, account.id) }))
    }

    fn account_of(&self, claims: &Claims) -> Result<Option<Account>, StoreError> {
        let account = self.account()?;
        Ok(account.filter(|account| account.id == claims.sub && account.generation == claims.generation))
    }

    fn token(&self, account: &Account, kind: &str, family: &str, jti: String, ttl: SignedDuration) -> String {
        let claims = Claims {
            sub: account.id.clone(),
            role: account.role.clone(),
            exp: (Timestamp::now() + ttl).as_second(),
            kind: kind.to_owned(),
            jti,
            generation: account.generation,
            family: Some(family.to_owned()),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&self.secret))
            .unwrap_or_default()
    }

    fn decode(&self, token: &str, kind: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        // This server wrote the expiry time, so no allowance for clock differences is needed.
        validation.leeway = 0;
        let key = DecodingKey::from_secret(&self.secret);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
        (claims.kind == kind).then_some(claims)
    }
}

/// A hash that matches no password, with the parameters of [`hash`].
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn hash(password: &str) -> String {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>());
    // Argon2 accepts a salt of 16 bytes and its default parameters, so this cannot fail.
    salt.and_then(|salt| Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string()))
        .unwrap_or_default()
}

fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_accepted() {
        let stored = hash("correct horse");
        assert!(verify(&stored, "correct horse"));
        assert!(!verify(&stored, "correct horse "));
        assert!(PasswordHash::new(DUMMY_HASH).is_ok(), "an unknown address must take as long as a known one");
        assert!(!verify(DUMMY_HASH, "") && !verify("", ""));
    }
}
