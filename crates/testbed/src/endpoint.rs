//! One double for all endpoints of models: it speaks OpenAI's `/embeddings` and `/chat/completions`, and each peculiarity
//! of a real service is a [`Behaviour`] that a test switches on.

mod answers;
mod behaviour;
mod catalogue;
mod facts;
mod vectors;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::service::{FakeService, ReceivedRequest, Reply};
pub use answers::{filters, forms_of_facts, forms_of_vectors, unusable_facts};
pub use behaviour::Behaviour;
pub use catalogue::{
    Case, batch_limits, content_refusals, gibberish, refused_keys, refused_roles, silent, text_limits, vague,
};
pub use facts::echo_facts;
pub use vectors::{DIMS, vector};

/// A double of an endpoint. It answers until the process ends.
///
/// Embeddings are those of [`vector`]; a chat is answered by [`echo_facts`] if it asks for facts, else by `Yes.`.
#[derive(Debug)]
pub struct FakeEndpoint {
    service: FakeService,
    behaviours: Arc<Mutex<Vec<Behaviour>>>,
}

impl FakeEndpoint {
    /// Starts an endpoint on a free port. The first behaviour that refuses a request answers it; an answer goes through
    /// all behaviours.
    pub fn start(behaviours: Vec<Behaviour>) -> Self {
        let behaviours = Arc::new(Mutex::new(behaviours));
        let current = Arc::clone(&behaviours);
        let service = FakeService::start(move |_, request| {
            let behaviours = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let refusal = behaviours.iter().find_map(|behaviour| behaviour.refuse(request));
            let reply = refusal.unwrap_or_else(|| answer(request));
            behaviours.iter().fold(reply, |reply, behaviour| behaviour.change(request, reply))
        });
        Self { service, behaviours }
    }

    /// Behaves otherwise from now on.
    pub fn switch(&self, behaviours: Vec<Behaviour>) {
        *self.behaviours.lock().unwrap_or_else(PoisonError::into_inner) = behaviours;
    }

    /// The base URL, which ends with `/v1`.
    pub fn url(&self) -> &str {
        &self.service.url
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.service.requests()
    }
}

/// The answer of a service without peculiarities.
fn answer(request: &ReceivedRequest) -> Reply {
    if request.is_for_embeddings() {
        vectors::answer(request)
    } else if request.body["messages"].is_array() {
        echo_facts(request).unwrap_or_else(|| Reply::chat(request, "Yes."))
    } else {
        Reply::new("404 Not Found", &json!({"error": {"message": "no such route", "code": "not_found"}}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_can_be_read() {
        for cases in [
            text_limits(9),
            vague(9),
            batch_limits(9),
            refused_keys("k"),
            content_refusals("w"),
            refused_roles(),
            gibberish(9),
            filters("w"),
            forms_of_facts(),
        ] {
            assert!(cases.len() > 5);
        }
    }

    #[test]
    fn words_in_common_make_vectors_near() {
        let cosine = |a: &str, b: &str| vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum::<f32>();
        assert!(cosine("the cat sleeps", "The cat, sleeps!") > 0.999);
        assert!(cosine("the cat sleeps", "the cat eats") > cosine("the cat sleeps", "we moved home"));
    }
}
