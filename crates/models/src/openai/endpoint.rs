//! An endpoint that embeds texts: it adapts requests to what the endpoint accepts.

use std::future::Future;
use std::pin::Pin;

use super::answer::Vectors;
use super::config::OpenAiConfig;
use super::learned::{Feature, Learned};
use super::outcome::{Outcome, Refused};
use crate::embedder::Parts;
use crate::error::{ModelError, ModelKind};
use crate::pieces::{cut, halves, size};
use crate::service::{self, Address, Refusal, RetryPolicy, Root, Service, add_headers, clean_key};

/// A refused text of less than twice this size is not cut any more: its content is the reason, not its length.
const MIN_PIECE: usize = 64;
/// How often a text is halved whose content is refused, to find the part that is the reason.
const MAX_CONTENT_HALVINGS: u32 = 3;
/// A text that every embedder can embed: if it is refused too, the other text was not the reason.
const PROBE: &str = "hello";

type Embedded<'f> = Pin<Box<dyn Future<Output = Result<Vec<Parts>, ModelError>> + 'f>>;

/// An endpoint that embeds texts.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: OpenAiConfig,
    pub(super) service: Service,
    pub(super) learned: Learned,
}

/// Why a request for texts was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It used a feature that the endpoint does not support and that is given up now.
    Feature,
    /// A text, or all together, are too long.
    TooLong,
    /// There are too many texts.
    TooMany,
    /// The content of a text.
    Content,
    /// One of these: other requests are answered.
    Unknown,
}

impl Endpoint {
    pub(super) fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        if config.model.trim().is_empty() || config.dims == 0 {
            return Err(invalid_setting("embedder", "needs the name of a model and its dims"));
        }
        let kind = ModelKind::Embedder;
        let address = Address::new(kind, "embedder_url", &config.base_url, Root::Versioned)?;
        let mut headers = address.key_header(kind, "OPENAI_API_KEY", config.api_key.as_deref())?;
        add_headers(kind, "embedder_headers", &mut headers, &config.headers)?;
        let policy = RetryPolicy { timeout: config.timeout, deadline: config.deadline, retries: config.retries };
        Ok(Self { service: Service::new(kind, address, headers, policy), config, learned: Learned::default() })
    }

    /// Embeds texts that are not blank: one entry for each. They are sent in one request if the service accepts them
    /// together, else in several.
    pub(super) fn embed<'f>(&'f self, texts: &'f [&'f str]) -> Embedded<'f> {
        self.embed_part(texts, MAX_CONTENT_HALVINGS)
    }

    /// Returns a boxed future, because it calls itself for the parts.
    fn embed_part<'f>(&'f self, texts: &'f [&'f str], content_halvings: u32) -> Embedded<'f> {
        Box::pin(async move {
            let fits = |text: &str| self.learned.fits(text);
            match texts {
                [text] if !fits(text) => {
                    let pieces = cut(text, &fits);
                    if pieces.len() > 1 {
                        return self.embed_pieces(&pieces, content_halvings).await;
                    }
                }
                [_] => {}
                _ if !self.learned.fit_together(texts) || !texts.iter().all(|text| fits(text)) => {
                    return self.embed_halves(texts, content_halvings).await;
                }
                _ => {}
            }
            let (verdict, is_timeout) = match self.send(texts).await {
                Ok(Outcome::Vectors(vectors)) => return self.collect(texts, vectors, content_halvings).await,
                Ok(Outcome::Refused(refused)) => {
                    let is_timeout = refused.status == 0;
                    (self.judge(texts, refused).await?, is_timeout)
                }
                // The answer to these texts only is not usable.
                Err(ModelError::Dims { .. } | ModelError::Answer { .. })
                    if self.probe(200, &[]).await == Some(service::Verdict::Content) =>
                {
                    (Verdict::Unknown, false)
                }
                Err(error) => return Err(error),
            };
            match (verdict, texts) {
                (Verdict::Feature, _) => self.embed_part(texts, content_halvings).await,
                (_, [text]) => self.embed_refused(text, verdict, is_timeout, content_halvings).await,
                _ => {
                    if verdict == Verdict::TooMany && self.learned.limit_texts(texts.len() / 2) {
                        self.log(&format!("accepts fewer than {} texts in a request", texts.len()));
                    }
                    let parts = self.embed_halves(texts, content_halvings).await?;
                    // The halves were accepted as they are, so no single text was the reason.
                    if parts.iter().all(Parts::is_whole) {
                        let total: usize = texts.iter().map(|text| size(text)).sum();
                        match verdict {
                            Verdict::TooLong => self.learned.limit_total(total / 2),
                            Verdict::Unknown if is_timeout || self.retry(texts).await?.is_none() => {
                                self.learned.limit_texts(texts.len() / 2)
                            }
                            _ => false,
                        };
                    }
                    Ok(parts)
                }
            }
        })
    }

    /// Embeds the parts of a single text that was refused, or leaves it out.
    async fn embed_refused(
        &self,
        text: &str,
        verdict: Verdict,
        is_timeout: bool,
        content_halvings: u32,
    ) -> Result<Vec<Parts>, ModelError> {
        let size = size(text);
        let left = if verdict == Verdict::Content { content_halvings.checked_sub(1) } else { Some(content_halvings) };
        let halves = halves(text).filter(|_| size >= 2 * MIN_PIECE);
        let (Some((first, rest)), Some(left)) = (halves, left) else {
            if verdict == Verdict::Unknown
                && let Some(whole) = self.retry(&[text]).await?
            {
                return Ok(whole);
            }
            self.log(&format!("refuses a text of {} characters, which is left out", text.chars().count()));
            let mut parts = Parts::default();
            parts.leave_out();
            return Ok(vec![parts]);
        };
        // One after the other: limits learned from the first hold for the second.
        let mut parts = self.embed_pieces(&[first], left).await?;
        let others = self.embed_pieces(&[rest], left).await?;
        // The words of a refusal may be misread: its length is the reason only if both halves are accepted.
        if verdict != Verdict::Content && parts.iter().chain(&others).all(Parts::is_whole) {
            let is_vague = verdict == Verdict::Unknown && !is_timeout;
            if is_vague && let Some(whole) = self.retry(&[text]).await? {
                return Ok(whole);
            }
            if self.learned.limit_size(size / 2) {
                self.log(&format!("accepts texts of fewer than {} characters", text.chars().count()));
            }
        }
        parts[0].join(&others[0]);
        Ok(parts)
    }

    /// Sends texts again that were refused without a reason, before something is concluded from it: a service may fail for
    /// a moment. `None` if they are refused again.
    async fn retry(&self, texts: &[&str]) -> Result<Option<Vec<Parts>>, ModelError> {
        let vectors = match self.send_once(texts, &[]).await {
            Ok(Outcome::Vectors(vectors)) => vectors,
            Ok(Outcome::Refused(_))
            | Err(ModelError::Unavailable { .. } | ModelError::Dims { .. } | ModelError::Answer { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let part = |vector: Option<Vec<f32>>| {
            let mut parts = Parts::default();
            parts.add(vector?);
            Some(parts)
        };
        Ok(vectors.into_iter().map(part).collect())
    }

    /// Embeds the pieces of one text. Returns its one entry.
    async fn embed_pieces(&self, pieces: &[&str], content_halvings: u32) -> Result<Vec<Parts>, ModelError> {
        let pieces: Vec<&str> = pieces.iter().copied().filter(|piece| !piece.trim().is_empty()).collect();
        let mut whole = Parts::default();
        if !pieces.is_empty() {
            self.embed_part(&pieces, content_halvings).await?.iter().for_each(|parts| whole.join(parts));
        }
        Ok(vec![whole])
    }

    async fn embed_halves(&self, texts: &[&str], content_halvings: u32) -> Result<Vec<Parts>, ModelError> {
        let (first, rest) = texts.split_at(texts.len() / 2);
        let mut parts = self.embed_part(first, content_halvings).await?;
        parts.extend(self.embed_part(rest, content_halvings).await?);
        Ok(parts)
    }

    /// The parts of an answer. A text without a usable vector is embedded alone, and then in parts.
    async fn collect(&self, texts: &[&str], vectors: Vectors, content_halvings: u32) -> Result<Vec<Parts>, ModelError> {
        let mut all = Vec::with_capacity(texts.len());
        for (text, vector) in texts.iter().zip(vectors) {
            let mut parts = Parts::default();
            match vector {
                Some(vector) => parts.add(vector),
                None if texts.len() > 1 => parts.join(&self.embed_part(&[text], content_halvings).await?[0]),
                None => parts.join(&self.embed_refused(text, Verdict::Content, false, content_halvings).await?[0]),
            }
            all.push(parts);
        }
        Ok(all)
    }

    /// Why a request was refused. What the endpoint does not support is given up.
    ///
    /// # Errors
    /// If the reason is not these texts: [`ModelError::Refused`], or [`ModelError::Unavailable`].
    async fn judge(&self, texts: &[&str], refused: Refused) -> Result<Verdict, ModelError> {
        let Refused { status, refusal, verdict, mut used } = refused;
        if verdict.is_none() {
            if !refusal.may_be_about_this_request(status) {
                return Err(self.refused(status, &refusal));
            }
            if texts.len() > 1 && refusal.is_about_count() {
                return Ok(Verdict::TooMany);
            }
            if texts.len() > 1 && status == 413 && !refusal.is_about_length() {
                return Ok(Verdict::Unknown);
            }
            let can_be_cut = texts.len() > 1 || texts.iter().any(|text| size(text) >= 2 * MIN_PIECE);
            if can_be_cut && (status == 413 || refusal.is_about_length()) {
                return Ok(Verdict::TooLong);
            }
        }
        // The words may quote the texts, so a feature is only given up if that helps.
        used.sort_by_key(|feature| !refusal.names(feature.key()));
        let verdict = match verdict {
            None => self.probe(status, &used).await,
            verdict => verdict,
        };
        match verdict {
            Some(service::Verdict::Parameters) => Ok(Verdict::Feature),
            Some(service::Verdict::Content) if refusal.is_about_content() => Ok(Verdict::Content),
            Some(service::Verdict::Content) => Ok(Verdict::Unknown),
            None => Err(self.refused(status, &refusal)),
        }
    }

    /// Sends a text that every embedder can embed, then without features that the endpoint may not support. Features without
    /// which it is embedded are given up.
    pub(super) async fn probe(&self, status: u16, used: &[Feature]) -> Option<service::Verdict> {
        let mut omitted = Vec::new();
        // A service that does not answer in time, or does not allow the request, has not looked at features.
        let features = used.iter().filter(|_| !matches!(status, 0 | 403)).map(Some);
        for feature in std::iter::once(None).chain(features) {
            omitted.extend(feature.copied());
            match self.send_once(&[PROBE], &omitted).await {
                Ok(Outcome::Vectors(vectors)) if omitted.is_empty() => {
                    return vectors.iter().all(Option::is_some).then_some(service::Verdict::Content);
                }
                // Vectors of another length show their length when the texts are sent.
                Ok(Outcome::Vectors(_)) | Err(ModelError::Dims { .. }) if !omitted.is_empty() => {
                    omitted.iter().for_each(|feature| self.give_up(*feature));
                    return Some(service::Verdict::Parameters);
                }
                Ok(_) => {}
                // It may fail because of a feature.
                Err(ModelError::Unavailable { .. }) if !used.is_empty() => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn give_up(&self, feature: Feature) {
        if self.learned.give_up(feature) {
            match feature {
                Feature::List => self.log("does not support lists of texts; each text is sent alone"),
                _ => self.log(&format!("does not support `{}`; it is not sent any more", feature.key())),
            }
        }
    }

    fn log(&self, lesson: &str) {
        let (endpoint, model) = (&self.service.server, &self.config.model);
        tracing::info!(%endpoint, %model, "the embedder {lesson}");
    }

    fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        self.service.refused(
            status,
            refusal,
            &self.config.model,
            self.config.api_key.as_deref().and_then(clean_key).is_some(),
        )
    }
}

fn invalid_setting(setting: &'static str, reason: &str) -> ModelError {
    ModelError::Settings { kind: ModelKind::Embedder, setting, reason: reason.to_owned() }
}
