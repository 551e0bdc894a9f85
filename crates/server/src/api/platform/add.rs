//! Adding memories.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::civil::Date;
use mnemon_engine::{AddOutcome, AddRequest, AddedMemory, Extractor, LearnRequest, LearnResult, PlatformFields};
use mnemon_store::filter::check_id;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::{ENTITY_KEYS, OneOrMany, check_length, wants_object};
use super::projects;
use crate::answer;
use crate::api::dto::{Messages, MessagesDoc, NotLearnt, is_procedural, optional_timestamp, tag};
use crate::auth::{Caller, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, day};
use crate::service::AppState;

/// Request of `POST /v3/memories/add`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformAdd)]
pub(super) struct AddBody {
    /// The messages: a text, a message, or a list of messages.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// The user; by default the user of the key.
    user_id: Option<String>,
    /// The agent.
    agent_id: Option<String>,
    /// The app; stored with the memory, but not part of its scope.
    app_id: Option<String>,
    /// The run or conversation.
    run_id: Option<String>,
    /// The ids, as an alternative to the fields.
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Your metadata, stored with each memory.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether to extract facts; default true. If false, every message is stored verbatim. Without a language model,
    /// built-in rules extract the sentences that state something.
    infer: Option<bool>,
    /// Additional instructions for the extraction; default the project's `custom_instructions`.
    custom_instructions: Option<String>,
    /// The same, used instead if there is an agent_id and no user_id.
    agent_custom_instructions: Option<String>,
    /// If a model is unavailable: whether to wait for it instead of answering 202 at once.
    sync: Option<bool>,
    /// The time of the messages: unix seconds, or RFC 3339. Shown as `created_at`.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// The last day on which the memories are shown, `YYYY-MM-DD`; days are those of UTC.
    #[serde(default, deserialize_with = "day")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Date>,
    /// Whether to refuse later changes.
    immutable: Option<bool>,
    /// The categories of the memories. The server does not find categories itself.
    categories: Option<OneOrMany>,
    /// Stored with the memory.
    #[schema(value_type = Option<Object>)]
    structured_attributes: Option<Map<String, Value>>,
    /// `procedural_memory`: store one summary of what an agent did. Requires an agent_id and a language model.
    memory_type: Option<String>,
    /// `v1.1` answers with an object. On `/v1` also `v1.0`, the default there, which answers with a list.
    output_format: Option<String>,
}

/// Response of `POST /v3/memories/add`.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformAdded)]
pub(super) struct AddAnswer {
    message: String,
    /// `SUCCEEDED`: stored. `PENDING`, with status 202: the messages are stored and queued until a model is available.
    /// `FAILED`, with status 202: nothing could be learnt, and the request is parked, see /v1/parked.
    status: &'static str,
    /// The id of the event, see /v1/event/{event_id}.
    event_id: String,
    results: Vec<AddedItem>,
    /// What extracted the facts: `llm`, or `extractive` for the built-in rules. Absent if `infer` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    extractor: Option<&'static str>,
    /// Which messages, or parts of them, are not stored: instructions, tool calls, images.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Messages that nothing was learnt from, because the language model refuses them. Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_learnt: Vec<NotLearnt>,
}

/// A memory that was stored.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = PlatformAddedItem)]
pub(super) struct AddedItem {
    id: String,
    memory: String,
    data: AddedData,
    /// `ADD`
    event: &'static str,
    /// `SUCCEEDED`
    status: &'static str,
    event_id: String,
}

/// The text again, where some clients expect it.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = PlatformAddedData)]
struct AddedData {
    memory: String,
}

/// Response of `POST /v1/memories`: an object if `output_format` is `v1.1`, otherwise a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldAddAnswer {
    Object(AddAnswer),
    List(Vec<AddedItem>),
}

/// Checks an `app_id`, and brings it into the form in which it is stored.
pub(super) fn checked_app_id(id: &str) -> Result<String, Problem> {
    check_id(id)
        .map(|id| mnemon_store::nfc(id).into_owned())
        .map_err(|reason| Problem::bad_request(format!("app_id: {reason}")))
}

/// The ids of a request, from its fields and its `filters`, in the order of [`ENTITY_KEYS`].
struct Ids([Option<String>; 4]);

impl Ids {
    fn set(&mut self, key: &str, id: &str) -> Result<(), Problem> {
        let Some(index) = ENTITY_KEYS.iter().position(|known| *known == key) else {
            return Err(Problem::bad_request(format!(
                "filters.{key}: only user_id, agent_id, app_id and run_id may be given here"
            )));
        };
        let slot = &mut self.0[index];
        if let Some(other) = slot.as_ref().filter(|other| other.trim() != id.trim()) {
            let message = format!("{key} is given as `{other}` and as `{id}`; give only one of them");
            return Err(Problem::bad_request(message).param(key));
        }
        *slot = Some(id.to_owned());
        Ok(())
    }

    fn read_filters(&mut self, filters: &Value) -> Result<(), Problem> {
        let invalid = || Problem::bad_request("filters: must be an object such as {\"user_id\": \"alice\"}");
        for (key, value) in filters.as_object().ok_or_else(invalid)? {
            match value {
                Value::Array(parts) if key == "AND" && parts.iter().all(|part| part.get("AND").is_none()) => {
                    parts.iter().try_for_each(|part| self.read_filters(part))?;
                }
                Value::String(id) => self.set(key, id)?,
                _ => return Err(Problem::bad_request(format!("filters.{key}: must be an id, as a string"))),
            }
        }
        Ok(())
    }
}

impl AddBody {
    fn request(self, caller: &Caller) -> Result<AddRequest, Problem> {
        check_length("messages", &self.messages.0)?;
        let mut ids = Ids([self.user_id, self.agent_id, self.app_id, self.run_id]);
        if let Some(filters) = &self.filters {
            ids.read_filters(filters)?;
        }
        let Ids([user, agent, app, run]) = ids;
        let categories = self.categories.map(OneOrMany::into_list).unwrap_or_default();
        check_length("categories", &categories)?;
        Ok(AddRequest {
            scope: caller.scope(user.as_deref(), agent.as_deref(), run.as_deref())?,
            messages: self.messages.0,
            metadata: self.metadata.unwrap_or_default(),
            fields: PlatformFields {
                app_id: app.as_deref().map(checked_app_id).transpose()?,
                categories,
                structured_attributes: self.structured_attributes,
            },
            timestamp: optional_timestamp(self.timestamp.as_ref())?,
            immutable: self.immutable == Some(true),
            expiration_date: self.expiration_date,
            ..AddRequest::default()
        })
    }
}

/// Add memories
///
/// Status 200: the memories are stored durably, as extracted facts, or verbatim if `infer` is false. Status 202: a
/// model is unavailable; the messages are stored and queued until it is available.
#[utoipa::path(post, path = "/v3/memories/add", tag = tag::PLATFORM, request_body = AddBody,
    responses((status = 200, body = AddAnswer), (status = 202, body = AddAnswer), (status = 409, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn add(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(mut body): Body<AddBody>,
) -> Result<(StatusCode, Json<AddAnswer>), Problem> {
    let procedure = is_procedural(body.memory_type.as_deref())?;
    wants_object(body.output_format.take().as_deref(), true);
    let infer = body.infer.unwrap_or(true) || procedure;
    if !infer {
        let unused = [
            ("custom_instructions", body.custom_instructions.is_some()),
            ("agent_custom_instructions", body.agent_custom_instructions.is_some()),
            ("sync", body.sync.is_some()),
        ];
        unused.into_iter().filter(|(_, given)| *given).for_each(|(name, _)| answer::ignore(name));
    }
    let sync = body.sync.unwrap_or(false);
    let instructions = [body.agent_custom_instructions.take(), body.custom_instructions.take()];
    let request = body.request(&caller)?;
    let note = request.skipped();
    if !infer {
        let (event_id, added) = app.add_with_event(request).await?;
        return Ok((StatusCode::OK, Json(AddAnswer::stored(added, event_id, None, note))));
    }
    let [for_agents, for_all] = instructions.map(|text| text.filter(|text| !text.trim().is_empty()));
    let of_agent = request.scope.agent_id.is_some() && request.scope.user_id.is_none();
    let instructions = match for_agents.filter(|_| of_agent).or(for_all) {
        Some(own) => Some(own),
        None => projects::instructions(&app, of_agent).await?,
    };
    let learned = app.learn(LearnRequest { add: request, instructions, procedure }, sync).await?;
    let LearnResult { event_id, extractor, outcome, not_learnt } = learned;
    Ok(match outcome {
        AddOutcome::Stored(stored) => {
            let mut answer = AddAnswer::stored(stored, event_id, Some(extractor), note);
            answer.not_learnt = not_learnt.into_iter().map(NotLearnt::from).collect();
            (StatusCode::OK, Json(answer))
        }
        AddOutcome::Pending { public_reason, .. } => {
            let message = format!("The messages are queued until a model is available: {public_reason}");
            let extractor = Some(extractor.as_str());
            let (status, results, not_learnt) = ("PENDING", Vec::new(), Vec::new());
            let answer = AddAnswer { message, status, results, event_id, extractor, note, not_learnt };
            (StatusCode::ACCEPTED, Json(answer))
        }
        AddOutcome::Parked { public_reason, .. } => {
            let message = format!("The messages are kept, and nothing was learnt from them: {public_reason}");
            let (status, results, not_learnt) = ("FAILED", Vec::new(), Vec::new());
            let extractor = Some(extractor.as_str());
            let answer = AddAnswer { message, status, results, event_id, extractor, note, not_learnt };
            (StatusCode::ACCEPTED, Json(answer))
        }
        AddOutcome::Cancelled => return Err(Problem::cancelled()),
    })
}

impl AddAnswer {
    fn stored(added: Vec<AddedMemory>, event_id: String, extractor: Option<Extractor>, note: Option<String>) -> Self {
        let item = |added: AddedMemory| AddedItem {
            id: added.id.to_string(),
            data: AddedData { memory: added.memory.clone() },
            memory: added.memory,
            event: "ADD",
            status: "SUCCEEDED",
            event_id: event_id.clone(),
        };
        Self {
            message: if added.is_empty() { "Nothing was stored" } else { "Memories stored" }.to_owned(),
            note,
            status: "SUCCEEDED",
            results: added.into_iter().map(item).collect(),
            event_id: event_id.clone(),
            extractor: extractor.map(Extractor::as_str),
            not_learnt: Vec::new(),
        }
    }
}

/// Add memories (older clients)
///
/// If the answer is a list, the header `X-Mnemon-Note` has what `note` has in an object.
#[utoipa::path(post, path = "/v1/memories", tag = tag::PLATFORM, request_body = AddBody,
    responses((status = 200, body = OldAddAnswer), (status = 202, body = OldAddAnswer),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn add_old(
    state: State<AppState>,
    writer: Writer,
    Body(mut body): Body<AddBody>,
) -> Result<(StatusCode, HeaderMap, Json<OldAddAnswer>), Problem> {
    let as_object = wants_object(body.output_format.take().as_deref(), false);
    let (status, Json(answer)) = add(state, writer, Body(body)).await?;
    // A list has no place for the status PENDING.
    let as_object = as_object || status == StatusCode::ACCEPTED;
    if as_object {
        return Ok((status, HeaderMap::new(), Json(OldAddAnswer::Object(answer))));
    }
    let note = answer.note.and_then(|note| HeaderValue::from_str(&note).ok());
    let headers = note.into_iter().map(|note| (HeaderName::from_static("x-mnemon-note"), note)).collect();
    Ok((status, headers, Json(OldAddAnswer::List(answer.results))))
}
