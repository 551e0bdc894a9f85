//! Keys that come with the settings: `API_KEYS`, as the runbook's backend has it, and a longer form.

use std::fmt;

use serde_json::Value;

use super::{Access, Role};
use crate::auth::keys::digest;

/// A key of `API_KEYS`, known by its digest.
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
    /// Whether it is this key.
    pub fn is(&self, key: &str) -> bool {
        self.digest == digest(key)
    }

    /// Reads `API_KEYS`: a JSON object of key → user id, or key → `{"user", "role": "admin"|"user", "scopes": ["read", "write"]}`.
    ///
    /// # Errors
    /// What is wrong, in words that repeat no key.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("API_KEYS is no JSON (line {})", error.line()))?;
        let Value::Object(map) = value else { return Err("API_KEYS must be a JSON object of key → user id".into()) };
        let read = |(number, (key, value)): (usize, (&String, &Value))| {
            Self::parse(key, value).map_err(|fault| format!("API_KEYS, entry {}: {fault}", number + 1))
        };
        map.iter().enumerate().map(read).collect()
    }

    fn parse(key: &str, value: &Value) -> Result<Self, String> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a key is one word of visible ASCII: a header can carry nothing else".into());
        }
        let (user, role, access) = match value {
            Value::String(user) => (Some(user.as_str()), Role::User, Access::FULL),
            Value::Object(map) => {
                if let Some(unknown) = map.keys().find(|key| !["user", "role", "scopes"].contains(&key.as_str())) {
                    return Err(format!("unknown key `{unknown}`; give user, role, scopes"));
                }
                let user = match map.get("user") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(user)) => Some(user.as_str()),
                    Some(_) => return Err("user must be text".into()),
                };
                let role = match map.get("role") {
                    None => Role::User,
                    Some(role) => {
                        serde_json::from_value(role.clone()).map_err(|_| "role must be `admin` or `user`".to_owned())?
                    }
                };
                (user, role, map.get("scopes").map_or(Ok(Access::FULL), Access::parse)?)
            }
            _ => return Err("give a user id, or {\"user\": …, \"role\": …, \"scopes\": […]}".into()),
        };
        let user = user.map(|user| mnemon_store::filter::check_id(user).map(str::to_owned)).transpose();
        let user = user.map_err(|fault| format!("user: {fault}"))?;
        let user = match role {
            Role::Admin if user.is_some() => return Err("an admin's key has no user: leave one of them out".into()),
            Role::Admin => None,
            Role::User => Some(user.ok_or("a key of role `user` needs a user")?),
        };
        Ok(Self { digest: digest(key), user, access })
    }
}

impl Access {
    /// Reads `["read", "write"]`, or the same words in one text.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        let wrong = || "scopes must be a list of `read` and `write`".to_owned();
        let words: Vec<&str> = match value {
            Value::String(text) => text.split([' ', ',']).filter(|word| !word.is_empty()).collect(),
            Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        if words.is_empty() || words.iter().any(|word| !["read", "write"].contains(word)) {
            return Err(wrong());
        }
        Ok(Self { read: words.contains(&"read"), write: words.contains(&"write") })
    }

    /// `read` and `write`: what it allows.
    pub fn words(self) -> Vec<&'static str> {
        [(self.read, "read"), (self.write, "write")].into_iter().filter_map(|(may, word)| may.then_some(word)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let text = r#"{"k1": "ana", "k2": {"role": "admin"}, "k3": {"user": "bob", "scopes": ["read"]}}"#;
        let keys = ConfiguredKey::parse_all(text).unwrap();
        assert_eq!(keys[0].user.as_deref(), Some("ana"));
        assert_eq!(keys[1].user, None);
        assert_eq!(keys[2].access, Access { read: true, write: false });
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
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
        ];
        for text in cases {
            let fault = ConfiguredKey::parse_all(text).unwrap_err();
            assert!(!fault.contains("secret"), "{fault}");
        }
        let shown = format!("{:?}", ConfiguredKey::parse_all(r#"{"secret": "ana"}"#).unwrap());
        assert!(!shown.contains("secret") && shown.contains("ana"), "{shown}");
    }
}
