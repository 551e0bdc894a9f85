//! The account of whoever administers the server through a dashboard: mem0's /auth, with passwords and tokens.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use mnemon_store::{Document, DocumentStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::auth::{AuthKind, Caller};

const ACCOUNT: &str = "account";
/// There is one account, the first; registration is closed after it.
const FIRST: &str = "first";
const REFRESH: &str = "refresh_token";
/// Refresh tokens kept; the oldest go first.
const REFRESH_KEPT: usize = 1000;
/// The shortest password, in characters.
pub(crate) const MIN_PASSWORD: usize = 8;
/// The longest, in bytes.
pub(crate) const MAX_PASSWORD: usize = 1024;
const ACCESS_LASTS: SignedDuration = SignedDuration::from_mins(30);
const REFRESH_LASTS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// An administrator's account. No `Debug`: it holds a hash that can be guessed at.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) created_at: Timestamp,
    pub(crate) use_case: Option<String>,
    /// Counts changes of the password: tokens of before are not believed.
    generation: u32,
    /// Argon2id, in PHC notation.
    password: String,
}

/// What a login gives.
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
}

/// The accounts in a ledger. Everything here blocks, passwords on purpose.
#[derive(Clone)]
pub(crate) struct Accounts {
    ledger: Arc<dyn DocumentStore>,
    secret: Arc<[u8]>,
}

impl Accounts {
    /// The accounts of a ledger; the secret of its tokens is made on first use.
    pub(crate) fn new(ledger: Arc<dyn DocumentStore>) -> Result<Self, StoreError> {
        let fresh = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let found = match ledger.document("secret", "jwt")? {
            Some(found) => found,
            None => {
                let document = Document::new("secret", "jwt", fresh.as_str().into());
                ledger.put_new(&document)?;
                ledger.document("secret", "jwt")?.unwrap_or(document)
            }
        };
        // With an empty secret anybody could make tokens.
        let secret = found.body.as_str().filter(|secret| secret.len() >= fresh.len());
        let secret = secret.ok_or_else(|| StoreError::Corrupt("the secret of the tokens".into()))?.as_bytes().into();
        Ok(Self { ledger, secret })
    }

    /// The account, if one was registered.
    pub(crate) fn account(&self) -> Result<Option<Account>, StoreError> {
        let found = self.ledger.document(ACCOUNT, FIRST)?;
        // One that can't be read is there nevertheless: registration must not open again.
        let read = |document: Document| {
            serde_json::from_value(document.body).map_err(|error| StoreError::Corrupt(format!("the account: {error}")))
        };
        found.map(read).transpose()
    }

    /// Registers the first account. `None` if there is one.
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
        let body = serde_json::to_value(&account).unwrap_or_default();
        let first = self.ledger.put_new(&Document::new(ACCOUNT, FIRST, body))?;
        Ok(first.then_some(account))
    }

    /// The account with this address and password.
    pub(crate) fn log_in(&self, email: &str, password: &str) -> Result<Option<Account>, StoreError> {
        if password.len() > MAX_PASSWORD {
            return Ok(None);
        }
        let account = self.account()?;
        // Takes as long for an unknown address.
        let known = account.as_ref().filter(|account| account.email.eq_ignore_ascii_case(email.trim()));
        let right = verify(known.map_or(NOBODY, |account| &account.password), password);
        Ok(account.filter(|account| right && account.email.eq_ignore_ascii_case(email.trim())))
    }

    /// Changes the account; `None` if there is none, or `change` returns false.
    pub(crate) fn change(&self, change: impl Fn(&mut Account) -> bool) -> Result<Option<Account>, StoreError> {
        let mut changed = None;
        self.ledger.change(ACCOUNT, FIRST, &mut |document| {
            let Ok(mut account) = serde_json::from_value::<Account>(document.body.clone()) else { return false };
            if !change(&mut account) {
                return false;
            }
            document.body = serde_json::to_value(&account).unwrap_or_default();
            changed = Some(account);
            true
        })?;
        Ok(changed)
    }

    /// Sets a new password, and ends all tokens, if the current one is right.
    pub(crate) fn change_password(&self, current: &str, new: &str) -> Result<bool, StoreError> {
        let fits = current.len() <= MAX_PASSWORD;
        let Some(account) = self.account()?.filter(|account| fits && verify(&account.password, current)) else {
            return Ok(false);
        };
        let password = hash(new);
        let before = account.generation;
        let changed = self.change(|account| {
            // Of two who change it at once, one wins; for the other the current password was wrong.
            let still = account.generation == before;
            if still {
                account.password.clone_from(&password);
                account.generation += 1;
            }
            still
        })?;
        Ok(changed.is_some())
    }

    /// New tokens for an account.
    pub(crate) fn tokens(&self, account: &Account) -> Result<Tokens, StoreError> {
        let refresh_id = uuid::Uuid::new_v4().to_string();
        self.ledger.put_new(&Document::new(REFRESH, refresh_id.as_str(), account.id.as_str().into()))?;
        self.ledger.trim(REFRESH, REFRESH_KEPT)?;
        Ok(Tokens {
            access: self.token(account, "access", uuid::Uuid::new_v4().to_string(), ACCESS_LASTS),
            refresh: self.token(account, "refresh", refresh_id, REFRESH_LASTS),
        })
    }

    /// The account of a refresh token, which is used up.
    pub(crate) fn refresh(&self, token: &str) -> Result<Option<Account>, StoreError> {
        let Some(claims) = self.read(token, "refresh") else { return Ok(None) };
        if self.ledger.take(REFRESH, &claims.jti)?.is_none() {
            return Ok(None);
        }
        self.of(&claims)
    }

    /// Who shows this access token.
    pub(crate) fn caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        let Some(claims) = self.read(token, "access") else { return Ok(None) };
        let account = self.of(&claims)?;
        Ok(account
            .map(|account| Caller { account: Some(account.id.clone()), ..Caller::admin(AuthKind::Jwt, account.id) }))
    }

    fn of(&self, claims: &Claims) -> Result<Option<Account>, StoreError> {
        let account = self.account()?;
        Ok(account.filter(|account| account.id == claims.sub && account.generation == claims.generation))
    }

    fn token(&self, account: &Account, kind: &str, jti: String, lasts: SignedDuration) -> String {
        let claims = Claims {
            sub: account.id.clone(),
            role: account.role.clone(),
            exp: (Timestamp::now() + lasts).as_second(),
            kind: kind.to_owned(),
            jti,
            generation: account.generation,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&self.secret))
            .unwrap_or_default()
    }

    fn read(&self, token: &str, kind: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        // This machine wrote the time, so its clock needs no allowance.
        validation.leeway = 0;
        let key = DecodingKey::from_secret(&self.secret);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
        (claims.kind == kind).then_some(claims)
    }
}

/// A hash that no password has, with the parameters of [`hash`].
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn hash(password: &str) -> String {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>());
    // Neither a salt of 16 bytes nor the default parameters can be refused.
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
    fn a_password_is_known_again_and_no_other() {
        let stored = hash("correct horse");
        assert!(verify(&stored, "correct horse"));
        assert!(!verify(&stored, "correct horse "));
        assert!(PasswordHash::new(NOBODY).is_ok(), "an unknown address must take as long as a known one");
        assert!(!verify(NOBODY, "") && !verify("", ""));
    }
}
