//! The roles of a conversation.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The role of a message's author. Every text is a role: conversions from and to text keep an unknown one unchanged.
/// [`Role::of_message`] reads the role of a message that a client sent.
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
    /// Reads the role of a message as clients write it: white space around it and its case do not count, and other
    /// programs' names of the known roles are these roles (`human` is the user; `ai`, `model` and `bot` the assistant;
    /// `developer` the system). Every other role is kept as it is.
    pub fn of_message(name: &str) -> Self {
        let name = name.trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
        let lower = name.to_lowercase();
        match lower.as_str() {
            "user" | "human" => Self::User,
            "assistant" | "ai" | "model" | "bot" => Self::Assistant,
            "system" | "developer" => Self::System,
            "tool" | "function" => Self::Other(lower),
            _ => Self::Other(name.to_owned()),
        }
    }

    /// Whether its messages are instructions of the application, and so nobody's memories.
    pub fn is_instruction(&self) -> bool {
        Self::of_message(self.as_str()) == Self::System
    }

    /// Whether its messages are the output of a tool, and so not what a person or the assistant said.
    pub fn is_tool(&self) -> bool {
        matches!(Self::of_message(self.as_str()), Self::Other(name) if name == "tool" || name == "function")
    }

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
    fn roles_of_messages_ignore_case_and_white_space() {
        let (user, assistant, system) = (Role::User, Role::Assistant, Role::System);
        for (names, role) in [
            (vec!["user", "User", "USER", " user\n", "human", "Human"], user),
            (vec!["assistant", "Assistant", "ai", "AI", "model", "bot", " Bot "], assistant),
            (vec!["system", "System", "SYSTEM", "\tsystem ", "developer", "Developer", "\u{feff}system"], system),
            (vec!["tool", "Tool", "TOOL "], Role::Other("tool".into())),
            (vec!["function", "Function"], Role::Other("function".into())),
            (vec!["Narrator", " Narrator"], Role::Other("Narrator".into())),
            (vec!["", "  "], Role::Other(String::new())),
        ] {
            for name in names {
                let read = Role::of_message(name);
                assert_eq!(read, role, "{name:?}");
                // A role that was made without `of_message` counts the same.
                assert_eq!(Role::from(name).is_instruction(), role == Role::System, "{name:?}");
                assert_eq!(Role::from(name).is_tool(), ["tool", "function"].contains(&read.as_str()), "{name:?}");
            }
        }
    }

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
