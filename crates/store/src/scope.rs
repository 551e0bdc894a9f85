//! The scope of a memory: the ids of its user, its agent and its run.

use crate::filter::{Ids, ScopeFilter, ScopeKey, ScopeTest, check_id};
use crate::{Filter, StoreError};

/// The three keys of a scope, in the order used everywhere.
pub const SCOPE_KEYS: [&str; 3] = ["user_id", "agent_id", "run_id"];

/// The owner of a memory. mem0 requires at least one id for writes and searches; a legacy point may have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The person.
    pub user_id: Option<String>,
    /// The agent.
    pub agent_id: Option<String>,
    /// The run or conversation.
    pub run_id: Option<String>,
}

impl Scope {
    /// A scope for writes and searches, validated as in mem0: ids are trimmed, and at least one is required.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] if no id is given, or if an id is empty, contains white space, or is `*`.
    pub fn new(user_id: Option<&str>, agent_id: Option<&str>, run_id: Option<&str>) -> Result<Self, StoreError> {
        let scope = Self {
            user_id: validated("user_id", user_id)?,
            agent_id: validated("agent_id", agent_id)?,
            run_id: validated("run_id", run_id)?,
        };
        if scope.is_empty() {
            return Err(StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into()));
        }
        Ok(scope)
    }

    /// The scope of one user.
    ///
    /// # Errors
    /// Same as [`Scope::new`].
    pub fn user(user_id: &str) -> Result<Self, StoreError> {
        Self::new(Some(user_id), None, None)
    }

    /// The ids that a filter pins to one value; see [`crate::filter::ScopeTerms`].
    pub fn pinned_by(filter: &Filter) -> Self {
        let terms = filter.scope();
        let id = |key| terms.pinned(key).map(str::to_owned);
        Self { user_id: id(ScopeKey::User), agent_id: id(ScopeKey::Agent), run_id: id(ScopeKey::Run) }
    }

    /// Whether no id is set.
    pub fn is_empty(&self) -> bool {
        self.ids().iter().all(Option::is_none)
    }

    /// The ids in the order of [`SCOPE_KEYS`].
    pub fn ids(&self) -> [Option<&str>; 3] {
        [self.user_id.as_deref(), self.agent_id.as_deref(), self.run_id.as_deref()]
    }

    /// mem0's `session_scope`: `agent_id=…&run_id=…&user_id=…` with the ids that are set; `%`, `&` and `=` are escaped.
    pub fn session_scope(&self) -> String {
        let mut parts = Vec::with_capacity(3);
        for (key, id) in [("agent_id", &self.agent_id), ("run_id", &self.run_id), ("user_id", &self.user_id)] {
            if let Some(id) = id {
                let id = id.replace('%', "%25").replace('&', "%26").replace('=', "%3D");
                parts.push(format!("{key}={id}"));
            }
        }
        parts.join("&")
    }

    /// The scope in a text of [`Scope::session_scope`]. Parts that name no id are left out.
    pub fn from_session_scope(text: &str) -> Self {
        let mut scope = Self::default();
        for (key, id) in text.split('&').filter_map(|part| part.split_once('=')) {
            let id = id.replace("%3D", "=").replace("%26", "&").replace("%25", "%");
            match ScopeKey::from_name(key) {
                Some(ScopeKey::User) => scope.user_id = Some(id),
                Some(ScopeKey::Agent) => scope.agent_id = Some(id),
                Some(ScopeKey::Run) => scope.run_id = Some(id),
                None => {}
            }
        }
        scope
    }
}

impl Filter {
    /// The memory has all ids of this scope; `None` for a scope without ids. The ids are compared unchanged.
    pub fn of_scope(scope: &Scope) -> Option<Self> {
        let ids = ScopeKey::ALL.into_iter().zip(scope.ids());
        Self::all(ids.filter_map(|(key, id)| {
            let test = ScopeTest::In(Ids::of(vec![id?.to_owned()])?);
            Some(Self::Scope(ScopeFilter { key, test }))
        }))
    }
}

fn validated(key: &str, id: Option<&str>) -> Result<Option<String>, StoreError> {
    let checked = id.map(check_id).transpose();
    let checked = checked.map_err(|fault| StoreError::InvalidScope(format!("{key}: {fault}")))?;
    Ok(checked.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_checked() {
        assert_eq!(Scope::user("  ana ").unwrap().user_id.as_deref(), Some("ana"));
        for bad in ["", "  ", "a b", "*", " * ", "a\tb"] {
            assert!(Scope::user(bad).is_err(), "{bad:?}");
        }
        assert!(Scope::new(None, None, None).is_err());
    }

    #[test]
    fn session_scope_sorts_and_escapes() {
        let scope = Scope::new(Some("u&1"), Some("a"), None).unwrap();
        assert_eq!(scope.session_scope(), "agent_id=a&user_id=u%261");
        for id in ["u&1", "%26", "a=b", "%", "%253D", "Zoë"] {
            let scope = Scope { user_id: Some(id.into()), run_id: Some("r".into()), ..Scope::default() };
            assert_eq!(Scope::from_session_scope(&scope.session_scope()), scope);
        }
        assert!(Scope::from_session_scope("").is_empty() && Scope::from_session_scope("a&b=c").is_empty());
    }
}
