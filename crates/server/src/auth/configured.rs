//! Keys from the settings: `API_KEYS` in the form of the legacy backend, and in a longer form with roles and scopes.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Access, Role};
use crate::auth::keys::digest;

/// The shortest key that the settings may have, in characters.
pub const MIN_KEY: usize = 2;

/// A key of `API_KEYS`. Only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfiguredKey {
    pub(super) digest: [u8; 32],
    pub(super) user: Option<String>,
    pub(super) access: Access,
}

impl fmt::Debug for ConfiguredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredKey").field("user", &self.user).field("access", &self.access).finish_non_exhaustive()
    }
}

impl ConfiguredKey {
    /// Whether `key` is this key.
    pub fn is(&self, key: &str) -> bool {
        self.digest == digest(key)
    }

    /// Reads `API_KEYS`: a JSON object of key → user id, or key → `{"user", "role": "admin"|"user", "scopes": ["read",
    /// "write"]}`.
    ///
    /// # Errors
    /// The reason, in words that contain no key.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("API_KEYS is not valid JSON (line {})", error.line()))?;
        if !value.is_object() {
            return Err("API_KEYS must be a JSON object that maps each key to a user id".into());
        }
        // A map would keep only the last of several entries with the same key.
        let Entries(entries) = serde_json::from_str(text).map_err(|_| "API_KEYS is not valid JSON".to_owned())?;
        let mut keys: Vec<Self> = Vec::with_capacity(entries.len());
        for (number, (key, value)) in (1..).zip(&entries) {
            let key = Self::parse(key, value).map_err(|reason| format!("API_KEYS, entry {number}: {reason}"))?;
            if let Some(first) = keys.iter().position(|known| known.digest == key.digest) {
                return Err(format!("API_KEYS, entry {number}: the key is the same as in entry {}", first + 1));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn parse(key: &str, value: &Value) -> Result<Self, String> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "a key must be one word of visible ASCII characters, because it is sent in an HTTP header".into()
            );
        }
        if key.len() < MIN_KEY {
            return Err(format!(
                "a key must have at least {MIN_KEY} characters; random ones of 32 or more can't be guessed"
            ));
        }
        let (user, role, access) = match value {
            Value::String(user) => (Some(user.as_str()), Role::User, Access::FULL),
            Value::Object(map) => {
                if let Some(unknown) = map.keys().find(|key| !["user", "role", "scopes"].contains(&key.as_str())) {
                    return Err(format!("unknown field `{unknown}`; the fields are user, role and scopes"));
                }
                let user = match map.get("user") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(user)) => Some(user.as_str()),
                    Some(_) => return Err("user must be a string".into()),
                };
                let role = match map.get("role") {
                    None => Role::User,
                    Some(role) => {
                        serde_json::from_value(role.clone()).map_err(|_| "role must be `admin` or `user`".to_owned())?
                    }
                };
                (user, role, map.get("scopes").map_or(Ok(Access::FULL), Access::parse)?)
            }
            _ => return Err("the value must be a user id, or {\"user\": …, \"role\": …, \"scopes\": […]}".into()),
        };
        let user = user.map(|user| mnemon_store::filter::check_id(user).map(str::to_owned)).transpose();
        let user = user.map_err(|reason| format!("user: {reason}"))?;
        let user = match role {
            Role::Admin if user.is_some() => return Err("a key of role `admin` must not have a user".into()),
            Role::Admin => None,
            Role::User => Some(user.ok_or("a key of role `user` must have a user")?),
        };
        Ok(Self { digest: digest(key), user, access })
    }
}

/// The entries of a JSON object, also those with the same key.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

impl Access {
    /// Reads `["read", "write"]`, or a string of the same words separated by spaces or commas.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        let invalid = || "scopes must be a list of `read` and `write`".to_owned();
        let words: Vec<&str> = match value {
            Value::String(text) => text.split([' ', ',']).filter(|word| !word.is_empty()).collect(),
            Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(invalid)?,
            _ => return Err(invalid()),
        };
        if words.is_empty() || words.iter().any(|word| !["read", "write"].contains(word)) {
            return Err(invalid());
        }
        Ok(Self { read: words.contains(&"read"), write: words.contains(&"write") })
    }

    /// The allowed ones of `read` and `write`.
    pub fn words(self) -> Vec<&'static str> {
        [(self.read, "read"), (self.write, "write")]
            .into_iter()
            .filter(|(allowed, _)| *allowed)
            .map(|(_, word)| word)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_key_are_read() {
        let text = r#"{"k1": "ana", "k2": {"role": "admin"}, "k3": {"user": "bob", "scopes": ["read"]}}"#;
        let keys = ConfiguredKey::parse_all(text).unwrap();
        assert_eq!(keys[0].user.as_deref(), Some("ana"));
        assert_eq!(keys[1].user, None);
        assert_eq!(keys[2].access, Access { read: true, write: false });
    }

    #[test]
    fn errors_do_not_contain_the_key() {
        let cases = [
            "nonsense-secret",
            "[]",
            r#"{"secret": 1}"#,
            r#"{"secret": ""}"#,
            r#"{"secret": "*"}"#,
            r#"{"secret": {"role": "user"}}"#,
            r#"{"secret": {"role": "admin", "user": "ana"}}"#,
            r#"{"secrét": "ana"}"#,
            r#"{"secret": {"user": "a", "role": "owner"}}"#,
            r#"{"secret": {"user": "a", "scopes": []}}"#,
            r#"{"secret": {"user": "a", "scope": ["read"]}}"#,
            r#"{" ": "a"}"#,
            r#"{"s": "a"}"#,
            r#"{" s ": {"role": "admin"}}"#,
            r#"{"secret": "a", "secret": "b"}"#,
            r#"{"secret": "a", "other": "b", " secret ": {"role": "admin"}}"#,
        ];
        for text in cases {
            let error = ConfiguredKey::parse_all(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", ConfiguredKey::parse_all(r#"{"secret": "ana"}"#).unwrap());
        assert!(!shown.contains("secret") && shown.contains("ana"), "{shown}");
    }
}
