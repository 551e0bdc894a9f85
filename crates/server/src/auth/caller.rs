//! A caller, and the one gate between what a request names and what it may touch.

use mnemon_engine::EngineError;
use mnemon_store::filter::{ScopeKey, ScopeTerm};
use mnemon_store::{Filter, Memory, Scope};

use crate::error::Problem;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads and writes one user's memories.
    User,
}

/// Reading and writing, each allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// May ask.
    pub read: bool,
    /// May change.
    pub write: bool,
}

impl Access {
    /// Both.
    pub const FULL: Self = Self { read: true, write: true };
}

/// How a caller showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthKind {
    /// Nobody asked.
    Off,
    /// `ADMIN_API_KEY`.
    AdminApiKey,
    /// A key of `API_KEYS`, or one made at run time.
    ApiKey,
    /// A token of /auth/login.
    Jwt,
}

impl AuthKind {
    /// mem0's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "disabled",
            Self::AdminApiKey => "admin_api_key",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
        }
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// How they came.
    pub kind: AuthKind,
    /// The user whose memories are theirs; `None` for an admin.
    pub user: Option<String>,
    /// What they may do with them.
    pub access: Access,
    /// The account of a token.
    pub account: Option<String>,
    /// What limits of rate are counted by; not secret.
    pub name: String,
}

impl Caller {
    /// One who may do everything.
    pub(crate) fn admin(kind: AuthKind, name: impl Into<String>) -> Self {
        Self { kind, user: None, access: Access::FULL, account: None, name: name.into() }
    }

    /// Whether everybody's memories are theirs.
    pub(crate) fn is_admin(&self) -> bool {
        self.user.is_none()
    }

    /// The scope a request writes to: what it names, within the caller's own user.
    ///
    /// # Errors
    /// 403 if it names another user, 400 if it names nobody or no usable ids.
    pub(crate) fn scope(&self, user: Option<&str>, agent: Option<&str>, run: Option<&str>) -> Result<Scope, Problem> {
        let mut scope = if user.is_none() && agent.is_none() && run.is_none() {
            Scope::default()
        } else {
            Scope::new(user, agent, run).map_err(EngineError::from)?
        };
        if let Some(own) = &self.user {
            if scope.user_id.as_ref().is_some_and(|named| named != own) {
                return Err(Problem::not_yours());
            }
            scope.user_id = Some(own.clone());
        }
        if scope.is_empty() {
            return Err(Problem::no_scope());
        }
        Ok(scope)
    }

    /// What a request may see of what it asks for: its filter, and the caller's own user in any case. `None` is everything,
    /// which only an admin gets.
    ///
    /// # Errors
    /// 403 for a filter that demands other users and not the caller's own.
    pub(crate) fn filter(&self, asked: Option<Filter>) -> Result<Option<Filter>, Problem> {
        if let (Some(own), Some(asked)) = (&self.user, &asked) {
            match asked.scope().term(ScopeKey::User) {
                ScopeTerm::Pinned(named) if named != own => return Err(Problem::not_yours()),
                ScopeTerm::AnyOf(named) if !named.contains(&own.as_str()) => return Err(Problem::not_yours()),
                _ => {}
            }
        }
        let own = self.user.as_deref().map(own_filter).transpose()?;
        Ok(Filter::all(own.into_iter().chain(asked)))
    }

    /// Whether a memory of this owner may be seen and changed.
    pub(crate) fn owns(&self, scope: &Scope) -> bool {
        self.user.is_none() || self.user == scope.user_id
    }

    /// The memory, if it is the caller's; somebody else's is as if it were not there.
    pub(crate) fn own(&self, memory: Memory) -> Result<Memory, Problem> {
        if self.owns(&memory.payload.scope()) { Ok(memory) } else { Err(Problem::memory_not_found(memory.id)) }
    }
}

/// "Belongs to this user".
fn own_filter(user: &str) -> Result<Filter, Problem> {
    Ok(Filter::eq("user_id", user).map_err(EngineError::from)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ana() -> Caller {
        Caller { user: Some("ana".into()), ..Caller::admin(AuthKind::ApiKey, "k") }
    }

    #[test]
    fn a_user_writes_only_to_their_own_scope() {
        for user in [None, Some("ana"), Some(" ana ")] {
            let scope = ana().scope(user, Some("bot"), None).unwrap();
            assert_eq!((scope.user_id.as_deref(), scope.agent_id.as_deref()), (Some("ana"), Some("bot")));
        }
        for user in ["bob", "*", "", " ", "Ana", "ana bob"] {
            assert!(ana().scope(Some(user), None, None).is_err(), "{user:?}");
        }
        assert!(Caller::admin(AuthKind::Off, "").scope(None, None, None).is_err());
    }

    #[test]
    fn a_user_sees_only_their_own_whatever_the_filter_says() {
        let all = Some(Filter::parse(&json!({"OR": [{"user_id": "bob"}, {"NOT": [{"user_id": "ana"}]}, {"x": "*"}]})));
        let filter = ana().filter(all.map(Result::unwrap)).unwrap().unwrap();
        let payload = |user: &str| json!({"user_id": user, "x": 1}).as_object().unwrap().clone();
        assert!(filter.matches(&payload("ana")));
        assert!(!filter.matches(&payload("bob")));
        assert!(ana().filter(None).unwrap().is_some());
        for others in [json!({"user_id": "bob"}), json!({"AND": [{"user_id": ["bob", "cleo"]}]})] {
            assert!(ana().filter(Some(Filter::parse(&others).unwrap())).is_err(), "{others}");
        }
        assert_eq!(Caller::admin(AuthKind::Off, "").filter(None).unwrap(), None);
    }
}
