//! Ids as the store has them: an id is the same in every Unicode form.

use mnemon_store::filter::ScopeKey;
use mnemon_store::{Filter, Scope, id_forms, nfc};

use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// The id in the form in which the store has it.
    ///
    /// `é` may be one character or two. If the store has memories of the id as it is given, that is the form. Otherwise, if
    /// it has memories of the composed (NFC) or of the decomposed form, it is that one. A new id gets the composed form.
    /// So the forms of an id are one owner, except where a store of an older version already has two of them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn stored_id(&self, key: ScopeKey, id: &str) -> Result<String> {
        if id.is_ascii() {
            return Ok(id.to_owned());
        }
        let known = self.store.known_form(key, id)?;
        Ok(known.unwrap_or_else(|| nfc(id).into_owned()))
    }

    /// The forms of an id that are the same owner in the store, the stored one first. Forms that a store of an older version
    /// keeps as separate owners are not among them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn owner_forms(&self, key: ScopeKey, id: &str) -> Result<Vec<String>> {
        let stored = self.stored_id(key, id)?;
        let mut forms = vec![stored];
        for form in id_forms(id) {
            if !forms.contains(&form) && self.stored_id(key, &form)? == forms[0] {
                forms.push(form);
            }
        }
        Ok(forms)
    }

    /// A scope with ids in the form in which the store has them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn stored_scope(&self, scope: &Scope) -> Result<Scope> {
        let id = |key, id: &Option<String>| id.as_deref().map(|id| self.stored_id(key, id)).transpose();
        Ok(Scope {
            user_id: id(ScopeKey::User, &scope.user_id)?,
            agent_id: id(ScopeKey::Agent, &scope.agent_id)?,
            run_id: id(ScopeKey::Run, &scope.run_id)?,
        })
    }

    /// A filter with ids in the form in which the store has them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn stored_filter(&self, filter: &Filter) -> Result<Filter> {
        filter.map_ids(&mut |key, id| self.stored_id(key, id))
    }
}
