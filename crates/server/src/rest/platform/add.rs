//! Remembering, as the hosted platform's clients ask for it.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use mnemon_engine::{AddRequest, Added, Extractor, LearnRequest};
use mnemon_store::filter::check_id;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::TAG;
use super::dto::{APP_ID, CATEGORIES, IMMUTABLE, OneOrMany, PLATFORM_KEYS, STRUCTURED_ATTRIBUTES, TIMESTAMP, limited};
use super::events::{Doing, result};
use super::filters::ENTITY_KEYS;
use super::projects;
use crate::app::Shared;
use crate::auth::{Caller, Writer};
use crate::body::{Body, Json};
use crate::error::Problem;
use crate::learning::{AddedFact, Told};
use crate::rest::dto::{Messages, MessagesDoc, moment, procedure};
use crate::webhooks::{Happened, HappenedKind};

/// What to remember.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformAdd)]
pub(super) struct AddBody {
    /// A text, a message, or a list of messages.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// The person; a user's key fills in its own.
    user_id: Option<String>,
    /// The agent.
    agent_id: Option<String>,
    /// The app; kept beside the memory, no part of its owner.
    app_id: Option<String>,
    /// The run or conversation.
    run_id: Option<String>,
    /// The ids, if they are not given beside it.
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Your own keys, stored with each memory.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether to extract facts, which is the default; otherwise every message is remembered as it is. Without a language
    /// model facts are the sentences that state something.
    infer: Option<bool>,
    /// Sent to the language model with its task; the project's `custom_instructions` if absent.
    custom_instructions: Option<String>,
    /// The same where the memory is an agent's alone.
    agent_custom_instructions: Option<String>,
    /// Whether to wait where a model is away, instead of answering 202 at once.
    sync: Option<bool>,
    /// When it was said: unix seconds, or RFC 3339. Shown as `created_at`.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// The last day the memories are shown, `YYYY-MM-DD`.
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Date>,
    /// Whether later changes are refused.
    immutable: Option<bool>,
    /// The memories' categories. None are found out without a language model.
    categories: Option<OneOrMany>,
    /// Kept beside the memory.
    #[schema(value_type = Option<Object>)]
    structured_attributes: Option<Map<String, Value>>,
    /// `procedural_memory`: one record of what an agent did. Needs an agent_id and a language model.
    memory_type: Option<String>,
    /// Older clients only: `v1.1` answers with an object, anything else with a list.
    output_format: Option<String>,
}

/// What was remembered.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformAdded)]
pub(super) struct AddAnswer {
    message: String,
    /// SUCCEEDED: it is stored. PENDING, with 202: a model is away; the messages are kept until it is back.
    status: &'static str,
    /// See /v1/event/{event_id}.
    event_id: String,
    results: Vec<AddedItem>,
    /// Where facts were asked for, who extracted them: `llm`, or `extractive` without a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    extractor: Option<&'static str>,
}

/// A memory that was stored.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = PlatformAddedItem)]
pub(super) struct AddedItem {
    id: String,
    memory: String,
    data: AddedData,
    /// ADD
    event: &'static str,
    /// SUCCEEDED
    status: &'static str,
    event_id: String,
}

/// The text again, where some clients look for it.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = PlatformAddedData)]
struct AddedData {
    memory: String,
}

/// The answer of the older address: an object for `output_format` `v1.1`, else the list alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldAddAnswer {
    Object(AddAnswer),
    List(Vec<AddedItem>),
}

/// Checks an `app_id` to be stored.
pub(super) fn app_id(id: &str) -> Result<&str, Problem> {
    check_id(id).map_err(|fault| Problem::bad_request(format!("{APP_ID}: {fault}")))
}

/// The caller's own keys must leave the platform's alone.
pub(super) fn own_metadata(metadata: &Map<String, Value>) -> Result<(), Problem> {
    match PLATFORM_KEYS.into_iter().find(|key| metadata.contains_key(*key)) {
        Some(key) => Err(Problem::bad_request(format!("metadata may not hold `{key}`: give it beside `metadata`"))),
        None => Ok(()),
    }
}

/// The ids beside the messages, or those of `filters`.
struct Ids {
    ids: [Option<String>; 4],
}

impl Ids {
    fn set(&mut self, key: &str, id: &str) -> Result<(), Problem> {
        let Some(place) = ENTITY_KEYS.iter().position(|known| *known == key) else {
            return Err(Problem::bad_request(format!(
                "filters.{key}: whose memory it is to be is told by user_id, agent_id, app_id and run_id only"
            )));
        };
        match &self.ids[place] {
            Some(other) if other != id => Err(Problem::bad_request(format!("{key} is named twice, and differently"))),
            _ => {
                self.ids[place] = Some(id.to_owned());
                Ok(())
            }
        }
    }

    fn read(&mut self, filters: &Value) -> Result<(), Problem> {
        let wrong = || Problem::bad_request("filters: must be an object such as {\"user_id\": \"alice\"}");
        for (key, value) in filters.as_object().ok_or_else(wrong)? {
            match value {
                Value::Array(parts) if key == "AND" && parts.iter().all(|part| part.get("AND").is_none()) => {
                    parts.iter().try_for_each(|part| self.read(part))?;
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
        limited("messages", &self.messages.0)?;
        let mut ids = Ids { ids: [self.user_id, self.agent_id, self.app_id, self.run_id] };
        if let Some(filters) = &self.filters {
            ids.read(filters)?;
        }
        let [user, agent, app, run] = ids.ids;
        let mut metadata = self.metadata.unwrap_or_default();
        own_metadata(&metadata)?;
        if let Some(app) = &app {
            metadata.insert(APP_ID.into(), app_id(app)?.into());
        }
        if let Some(categories) = self.categories.map(OneOrMany::list).filter(|list| !list.is_empty()) {
            limited(CATEGORIES, &categories)?;
            metadata.insert(CATEGORIES.into(), json!(categories));
        }
        if self.immutable == Some(true) {
            metadata.insert(IMMUTABLE.into(), true.into());
        }
        if let Some(attributes) = self.structured_attributes {
            metadata.insert(STRUCTURED_ATTRIBUTES.into(), Value::Object(attributes));
        }
        let timestamp = self.timestamp.as_ref().filter(|value| !value.is_null()).map(moment).transpose()?;
        if let Some(timestamp) = timestamp {
            metadata.insert(TIMESTAMP.into(), timestamp.to_string().into());
        }
        Ok(AddRequest {
            scope: caller.scope(user.as_deref(), agent.as_deref(), run.as_deref())?,
            messages: self.messages.0,
            metadata,
            timestamp,
            expiration_date: self.expiration_date,
            ..AddRequest::default()
        })
    }
}

/// Remember messages
///
/// What was said is stored, durably, when this answers 200: as facts, or word for word with `infer` false. 202: a model is
/// away, and the messages are kept until it is back.
#[utoipa::path(post, path = "/v3/memories/add", tag = TAG, request_body = AddBody,
    responses((status = 200, body = AddAnswer), (status = 202, body = AddAnswer)))]
pub(super) async fn add(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(mut body): Body<AddBody>,
) -> Result<(StatusCode, Json<AddAnswer>), Problem> {
    let procedure = procedure(body.memory_type.as_deref())?;
    let infer = body.infer.unwrap_or(true) || procedure;
    let sync = body.sync.unwrap_or(false);
    let instructions = [body.agent_custom_instructions.take(), body.custom_instructions.take()];
    let request = body.request(&caller)?;
    if infer {
        let [for_agents, for_all] = instructions.map(|text| text.filter(|text| !text.trim().is_empty()));
        let of_agent = request.scope.agent_id.is_some() && request.scope.user_id.is_none();
        let instructions = match for_agents.filter(|_| of_agent).or(for_all) {
            Some(own) => Some(own),
            None => projects::instructions(&app, of_agent).await?,
        };
        return learnt(app.learn(LearnRequest { add: request, instructions, procedure }, sync).await?);
    }
    let owner = request.scope.user_id.clone();
    let payload = json!({
        "user_id": request.scope.user_id,
        "agent_id": request.scope.agent_id,
        "app_id": request.metadata.get(APP_ID),
        "run_id": request.scope.run_id,
        "infer": infer,
    });
    let doing = Doing::new("ADD", payload);
    let (event_id, added) = app
        .with_webhooks(move |app| {
            let added = app.engine.add(request)?;
            let owner = owner.as_deref();
            let results = added.iter().map(|added| result(added.id, "ADD", &added.memory, owner)).collect();
            let event_id = doing.done(app, owner, results);
            let happened = |added: &Added| Happened {
                kind: HappenedKind::Add,
                id: added.id.to_string(),
                memory: added.memory.clone(),
                owner: owner.map(str::to_owned),
            };
            Ok((added.iter().map(happened).collect(), (event_id, added)))
        })
        .await?;
    let stored = added.into_iter().map(AddedFact::from);
    Ok((StatusCode::OK, Json(AddAnswer::stored(stored, event_id, None))))
}

impl AddAnswer {
    fn stored(added: impl Iterator<Item = AddedFact>, event_id: String, extractor: Option<Extractor>) -> Self {
        let item = |added: AddedFact| AddedItem {
            id: added.id,
            data: AddedData { memory: added.memory.clone() },
            memory: added.memory,
            event: "ADD",
            status: "SUCCEEDED",
            event_id: event_id.clone(),
        };
        Self {
            message: "Memories stored".to_owned(),
            status: "SUCCEEDED",
            results: added.map(item).collect(),
            event_id: event_id.clone(),
            extractor: extractor.map(Extractor::as_str),
        }
    }
}

fn learnt(told: Told) -> Result<(StatusCode, Json<AddAnswer>), Problem> {
    let Told { event_id, extractor, added } = told;
    Ok(match added {
        Ok(added) => (StatusCode::OK, Json(AddAnswer::stored(added.into_iter(), event_id, Some(extractor)))),
        Err(reason) => {
            let message = format!("The messages are kept until a model is back: {reason}");
            let extractor = Some(extractor.as_str());
            let answer = AddAnswer { message, status: "PENDING", results: Vec::new(), event_id, extractor };
            (StatusCode::ACCEPTED, Json(answer))
        }
    })
}

/// Remember messages, as older clients do
#[utoipa::path(post, path = "/v1/memories", tag = TAG, request_body = AddBody,
    responses((status = 200, body = OldAddAnswer), (status = 202, body = OldAddAnswer)))]
pub(super) async fn add_old(
    state: State<Shared>,
    writer: Writer,
    Body(body): Body<AddBody>,
) -> Result<(StatusCode, Json<OldAddAnswer>), Problem> {
    let object = body.output_format.as_deref() == Some("v1.1");
    let (status, Json(answer)) = add(state, writer, Body(body)).await?;
    // A list could not say that it waits.
    let object = object || status == StatusCode::ACCEPTED;
    Ok((status, Json(if object { OldAddAnswer::Object(answer) } else { OldAddAnswer::List(answer.results) })))
}
