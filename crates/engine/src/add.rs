//! Adds messages verbatim: one memory for each message, with everything that search needs, in one commit.

mod draft;
mod request;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::engine::Engine;
use crate::error::Result;
use crate::message::Message;
use crate::time::now_text;

pub use draft::text_hash;
pub(crate) use draft::{Draft, DraftBatch, build_payload};
pub use request::{AddRequest, AddedMemory};

/// Minimum number of messages for which a second thread is used: fewer are done before it has started.
const MIN_PARALLEL: usize = 16;

impl Engine {
    /// Adds messages. Either all of them are stored durably when this returns, or none. Instructions and messages without
    /// words are skipped, see [`AddRequest::skipped`].
    ///
    /// # Errors
    /// [`EngineError::Invalid`](crate::EngineError::Invalid) for no messages, an empty or too long message, or a reserved
    /// key in the metadata; [`StoreError::NotFound`](mnemon_store::StoreError::NotFound) for a link to a memory that does
    /// not exist.
    pub fn add(&self, request: AddRequest) -> Result<Vec<AddedMemory>> {
        Ok(self.add_batch(std::slice::from_ref(&request))?.pop().unwrap_or_default())
    }

    /// Adds the messages of several requests in one commit: all or none. The answers are in the order of the requests.
    ///
    /// # Errors
    /// As [`Engine::add`].
    pub fn add_batch(&self, requests: &[AddRequest]) -> Result<Vec<Vec<AddedMemory>>> {
        let now = now_text();
        let requests = &self.with_stored_scopes(requests)?[..];
        requests.iter().try_for_each(|request| request.check(self.store()))?;
        let messages: Vec<(usize, usize, &Message)> = requests
            .iter()
            .enumerate()
            .flat_map(|(number, request)| {
                request.messages.iter().enumerate().map(move |(index, message)| (number, index, message))
            })
            .filter(|(_, _, message)| message.is_stored())
            .collect();
        let draft = |(number, index, message)| Draft::verbatim(number, index, &requests[number], message, &now);
        let drafts: Vec<Draft> = match messages.len() {
            ..MIN_PARALLEL => messages.into_iter().map(draft).collect(),
            MIN_PARALLEL.. => messages.into_par_iter().with_min_len(MIN_PARALLEL).map(draft).collect(),
        };
        let batch = DraftBatch { requests, drafts: &drafts, messages: &[], now: &now };
        Ok(batch.store(self, &|| Ok(true))?.unwrap_or_default())
    }

    /// The requests with ids in the form in which the store has them.
    fn with_stored_scopes<'r>(&self, requests: &'r [AddRequest]) -> Result<Cow<'r, [AddRequest]>> {
        if requests.iter().all(|request| request.scope.ids().into_iter().flatten().all(str::is_ascii)) {
            return Ok(Cow::Borrowed(requests));
        }
        let stored = requests
            .iter()
            .map(|request| Ok(AddRequest { scope: self.stored_scope(&request.scope)?, ..request.clone() }))
            .collect::<Result<Vec<_>>>()?;
        Ok(Cow::Owned(stored))
    }
}
