//! One request to the service.

use serde::Serialize;

use super::answer::{self, Fault, Vectors};
use super::endpoint::Endpoint;
use super::learned::Feature;
use super::outcome::{Outcome, Refused};
use crate::error::ModelError;
use crate::service::{Doubt, Failure, Probe, Refusal, Verdict};

/// Assumed maximum length of one vector element in JSON, in bytes; limits the size of the response.
const NUMBER_BYTES: usize = 40;

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Input<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    One(&'a str),
    List(&'a [&'a str]),
}

/// A request for texts.
struct Request<'a> {
    body: Body<'a>,
    used: Vec<Feature>,
    max_bytes: usize,
    texts: usize,
}

/// Finds out whether the texts of a request are the reason of its failure.
struct TextProbe<'a> {
    endpoint: &'a Endpoint,
    used: &'a [Feature],
}

impl Probe for TextProbe<'_> {
    async fn probe(&self, doubt: Doubt) -> Option<Verdict> {
        // The service may be down for a moment only, so features are not given up before the last retry has failed.
        self.endpoint.probe(doubt.status, if doubt.is_last { self.used } else { &[] }).await
    }
}

impl Endpoint {
    /// Sends texts without the features that the endpoint does not support.
    pub(super) async fn send(&self, texts: &[&str]) -> Result<Outcome, ModelError> {
        let request = self.request(texts, &[]);
        let probe = TextProbe { endpoint: self, used: &request.used };
        let result = self.service.post("/embeddings", &request.body, request.max_bytes, &probe).await;
        self.outcome(result, request)
    }

    /// The same in one attempt, also without the features in `omitted`.
    pub(super) async fn send_once(&self, texts: &[&str], omitted: &[Feature]) -> Result<Outcome, ModelError> {
        let request = self.request(texts, omitted);
        let result = self.service.post_once("/embeddings", &request.body, request.max_bytes).await;
        self.outcome(result, request)
    }

    fn request<'a>(&'a self, texts: &'a [&'a str], omitted: &[Feature]) -> Request<'a> {
        let uses = |feature: &Feature| self.learned.supports(*feature) && !omitted.contains(feature);
        let is_possible = |feature: &Feature| match feature {
            Feature::EncodingFormat => true,
            Feature::Dimensions => self.config.send_dims,
            Feature::List => texts.len() > 1 || uses(&Feature::List),
        };
        let used: Vec<Feature> = Feature::ALL.into_iter().filter(uses).filter(is_possible).collect();
        let body = Body {
            model: &self.config.model,
            input: match texts {
                [text] if !used.contains(&Feature::List) => Input::One(text),
                texts => Input::List(texts),
            },
            encoding_format: used.contains(&Feature::EncodingFormat).then_some("float"),
            dimensions: used.contains(&Feature::Dimensions).then_some(self.config.dims),
        };
        // Enough for vectors that are eight times as long as expected, so that the error can name their length.
        let max_bytes = (1 << 20) + texts.len() * self.config.dims * NUMBER_BYTES * 8;
        Request { body, used, max_bytes, texts: texts.len() }
    }

    fn outcome(&self, result: Result<Vec<u8>, Failure>, request: Request<'_>) -> Result<Outcome, ModelError> {
        let (status, refusal, verdict) = match result {
            Ok(body) => match self.read(&body, request.texts)? {
                Ok(vectors) => return Ok(Outcome::Vectors(vectors)),
                Err(refusal) => (200, refusal, None),
            },
            Err(Failure::Refused { status, refusal, verdict }) => (status, refusal, verdict),
            Err(Failure::Unavailable { reason, wait, .. }) => return Err(self.service.unavailable(reason, wait)),
            Err(Failure::Configuration(error)) => return Err(error),
        };
        Ok(Outcome::Refused(Refused { status, refusal, verdict, used: request.used }))
    }

    /// Reads the vectors, or the error that some services send with status 200.
    fn read(&self, body: &[u8], texts: usize) -> Result<Result<Vectors, Refusal>, ModelError> {
        match answer::vectors(body, texts) {
            Ok(vectors) => match vectors.iter().flatten().find(|vector| vector.len() != self.config.dims) {
                None => Ok(Ok(vectors)),
                Some(vector) => Err(ModelError::Dims {
                    model: self.config.model.clone(),
                    expected: self.config.dims,
                    found: vector.len(),
                }),
            },
            // Services that embed one text at a time may ignore the others.
            Err(Fault::Count(fault)) if texts > 1 => Ok(Err(Refusal::of_failure(fault))),
            Err(Fault::Count(fault)) => Err(self.service.unreadable_answer(fault)),
            Err(Fault::Other(fault)) => {
                let refusal = Refusal::parse(body);
                let is_error = body.trim_ascii_start().starts_with(b"{") && !refusal.message.is_empty();
                if is_error { Ok(Err(refusal)) } else { Err(self.service.unreadable_answer(fault)) }
            }
        }
    }
}
