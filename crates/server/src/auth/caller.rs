//! The caller of a request, and the only place where a request is narrowed to what its caller may access.

use mnemon_engine::EngineError;
use mnemon_store::filter::{ScopeKey, ScopeTerm};
use mnemon_store::{Filter, Memory, Scope, is_same_text};

use crate::error::Problem;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything.
    Admin,
    /// May read and write the memories of one user.
    User,
}

/// Whether reading and writing are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
}

impl Access {
    /// Reading and writing.
    pub const FULL: Self = Self { read: true, write: true };
}

/// How a caller was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthKind {
    /// Authentication is off.
    Off,
    /// `ADMIN_API_KEY`.
    AdminApiKey,
    /// A key of `API_KEYS`, or one created at run time.
    ApiKey,
    /// A token from /auth/login.
    Jwt,
}

impl AuthKind {
    /// mem0's name for this kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "disabled",
            Self::AdminApiKey => "admin_api_key",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
        }
    }
}

/// The authenticated user or admin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// How the caller was authenticated.
    pub kind: AuthKind,
    /// The user whose memories the caller may access, in the form in which the store has the id; `None` for an admin, who
    /// may access all.
    pub user: Option<String>,
    /// Other Unicode forms of that id that are the same owner.
    pub(crate) other_forms: Vec<String>,
    /// What the caller may do with these memories.
    pub access: Access,
    /// The account, if the caller has a token.
    pub account: Option<String>,
    /// The name that rate limits and the log use; not secret.
    pub name: String,
}

impl Caller {
    /// A caller who may do everything.
    pub(crate) fn admin(kind: AuthKind, name: impl Into<String>) -> Self {
        Self { kind, user: None, other_forms: Vec::new(), access: Access::FULL, account: None, name: name.into() }
    }

    /// Whether the caller may access the memories of all users.
    pub(crate) fn is_admin(&self) -> bool {
        self.user.is_none()
    }

    /// The scope that a request writes to: the ids it names, with the caller's own user.
    ///
    /// # Errors
    /// 403 if it names another user; 400 if it names no ids or invalid ones.
    pub(crate) fn scope(&self, user: Option<&str>, agent: Option<&str>, run: Option<&str>) -> Result<Scope, Problem> {
        let mut scope = if user.is_none() && agent.is_none() && run.is_none() {
            Scope::default()
        } else {
            Scope::new(user, agent, run).map_err(EngineError::from)?
        };
        if let Some(own) = &self.user {
            if scope.user_id.as_ref().is_some_and(|named| !self.is_named(named)) {
                return Err(Problem::wrong_user());
            }
            scope.user_id = Some(own.clone());
        }
        if scope.is_empty() {
            return Err(Problem::no_scope());
        }
        Ok(scope)
    }

    /// The filter that a request may apply: its own filter, narrowed to the caller's user. `None` matches everything;
    /// only an admin gets it.
    ///
    /// # Errors
    /// 403 if the filter requires users other than the caller's own.
    pub(crate) fn filter(&self, requested: Option<Filter>) -> Result<Option<Filter>, Problem> {
        if let (Some(_), Some(requested)) = (&self.user, &requested) {
            match requested.scope().term(ScopeKey::User) {
                ScopeTerm::Pinned(named) if !self.is_named(named) => return Err(Problem::wrong_user()),
                ScopeTerm::AnyOf(named) if !named.iter().any(|named| self.is_named(named)) => {
                    return Err(Problem::wrong_user());
                }
                _ => {}
            }
        }
        let own = self.user.as_deref().map(user_filter).transpose()?;
        Ok(Filter::all(own.into_iter().chain(requested)))
    }

    /// Whether the caller may access memories with this scope.
    pub(crate) fn owns(&self, scope: &Scope) -> bool {
        self.is_user(scope.user_id.as_deref())
    }

    /// Whether the caller may access what this user owns.
    pub(crate) fn is_user(&self, user: Option<&str>) -> bool {
        self.forms().is_none_or(|forms| user.is_some_and(|user| forms.iter().any(|form| form == user)))
    }

    /// The id of the user whose data the caller may access, in all forms that are the same owner; `None` for an admin.
    pub(crate) fn forms(&self) -> Option<Vec<String>> {
        self.user.as_ref().map(|user| [user].into_iter().chain(&self.other_forms).cloned().collect())
    }

    /// Whether the caller's user is meant by this id, in any form.
    pub(crate) fn is_named(&self, id: &str) -> bool {
        self.user.as_deref().is_some_and(|own| is_same_text(own, id))
    }

    /// Returns the memory if the caller may access it.
    ///
    /// # Errors
    /// 404 otherwise, as for an unknown id.
    pub(crate) fn check_owner(&self, memory: Memory) -> Result<Memory, Problem> {
        if self.owns(&memory.payload.scope()) { Ok(memory) } else { Err(Problem::memory_not_found(memory.id)) }
    }
}

/// Matches the memories of this user.
fn user_filter(user: &str) -> Result<Filter, Problem> {
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
    fn every_filter_is_narrowed_to_the_own_user() {
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
