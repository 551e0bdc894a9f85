//! The roles of a conversation.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The role of a message's author. Every text is a role: an unknown one is kept unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Role {
    /// A person.
    #[default]
    User,
    /// The language model.
    Assistant,
    /// The application, which gives instructions.
    System,
    /// Another role, such as `tool`.
    Other(String),
}

impl Role {
    /// The name: `user`, `assistant`, `system`, or the text of another role.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for Role {
    fn from(name: String) -> Self {
        match name.as_str() {
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "system" => Self::System,
            _ => Self::Other(name),
        }
    }
}

impl From<&str> for Role {
    fn from(name: &str) -> Self {
        Self::from(name.to_owned())
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        match role {
            Role::Other(name) => name,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_as_a_role() {
        for role in [Role::User, Role::Assistant, Role::System] {
            assert_eq!(Role::from(role.as_str()), role);
        }
        for name in ["user", "assistant", "system", "User", " user", "tool", "developer", "", "\u{0}"] {
            assert_eq!(String::from(Role::from(name)), name);
            let json = serde_json::to_string(name).unwrap();
            assert_eq!(serde_json::to_string(&serde_json::from_str::<Role>(&json).unwrap()).unwrap(), json);
        }
        assert_eq!(Role::from("User"), Role::Other("User".into()));
    }
}
