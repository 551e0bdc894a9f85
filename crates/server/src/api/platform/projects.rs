//! The only project of a server: its settings and its members.

use std::sync::Arc;

use axum::extract::State;
use mnemon_engine::MAX_INSTRUCTIONS;
use mnemon_store::{Collection, DocumentStore, Durability, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::answer;
use crate::api::dto::{Done, tag};
use crate::auth::{Admin, Reader};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Path, Query};
use crate::service::AppState;

pub(super) const KIND: &str = "project";
pub(super) const MEMBER: &str = "member";
/// The id of the only organization and of its only project.
const DEFAULT: &str = "default";
/// The project's instructions for the language model: of every memory, and of those that are an agent's alone.
const INSTRUCTIONS: &str = "custom_instructions";
const AGENT_INSTRUCTIONS: &str = "agent_custom_instructions";
/// The settings of the project. The instructions are used; the others are stored and returned, and have no effect.
const SETTINGS: [&str; 12] = [
    INSTRUCTIONS,
    AGENT_INSTRUCTIONS,
    "custom_categories",
    "multilingual",
    "decay",
    "memory_depth",
    "usecase_setting",
    "version",
    "retrieval_criteria",
    "enable_graph",
    "inclusion_prompt",
    "exclusion_prompt",
];
/// Most bytes of all settings together.
const MAX_SETTINGS: usize = 1 << 20;
const MAX_MEMBERS: usize = 1000;

/// The settings of the project. If `fields` were requested, only these.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformProject)]
pub(super) struct ProjectDoc {
    /// `default`
    id: Option<String>,
    /// `default`
    name: Option<String>,
    /// `default`
    org_id: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    settings: SettingsDoc,
}

/// The settings; those that a change does not name stay.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformProjectChange)]
pub(super) struct SettingsDoc {
    /// Sent to the language model with every add without instructions. At most 64 KiB; null or an empty text
    /// clears it.
    custom_instructions: Option<String>,
    /// The same, used instead for memories with an agent_id and no user_id.
    agent_custom_instructions: Option<String>,
    custom_categories: Option<Value>,
    multilingual: Option<Value>,
    decay: Option<Value>,
    memory_depth: Option<Value>,
    usecase_setting: Option<Value>,
    version: Option<Value>,
    retrieval_criteria: Option<Value>,
    enable_graph: Option<Value>,
    inclusion_prompt: Option<Value>,
    exclusion_prompt: Option<Value>,
}

/// Query of the project's settings.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the wire format")]
pub(super) struct FieldsQuery {
    /// A setting to return; may be repeated. Default all.
    fields: Option<Vec<String>>,
}

/// Refuses all ids except those of the only project.
fn check_project(org: &str, project: &str) -> Result<(), Problem> {
    if org == DEFAULT && project == DEFAULT {
        return Ok(());
    }
    Err(Problem::not_found("This project does not exist.")
        .hint("The ids of the organization and of its project are both `default`."))
}

/// Get the settings of the project
#[utoipa::path(get, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path), FieldsQuery),
    responses((status = 200, body = ProjectDoc)))]
pub(super) async fn get(
    State(app): State<AppState>,
    _: Reader,
    Path((org, project)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Map<String, Value>>, Problem> {
    check_project(&org, &project)?;
    let fields: Vec<String> = query.into_iter().filter(|(key, _)| key == "fields").map(|(_, field)| field).collect();
    let stored = stored_settings(&app).await?;
    let mut settings = Map::new();
    for key in ["id", "name", "org_id"] {
        settings.insert(key.into(), DEFAULT.into());
    }
    for key in SETTINGS {
        settings.insert(key.into(), stored.get(key).cloned().unwrap_or_default());
    }
    for field in fields.iter().filter(|field| !settings.contains_key(*field)) {
        answer::ignore(&format!("fields.{field}"));
    }
    if !fields.is_empty() {
        settings.retain(|key, _| fields.contains(key));
    }
    Ok(Json(settings))
}

/// Change the settings of the project
///
/// Settings that are not named stay. `custom_instructions` and `agent_custom_instructions` are sent to the language model
/// with every add of the platform API that extracts facts and has no instructions. The other settings are stored
/// and returned, and have no effect; the `message` of the response names those.
#[utoipa::path(patch, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path)),
    request_body = SettingsDoc, responses((status = 200, body = Done)))]
pub(super) async fn update(
    State(app): State<AppState>,
    _: Admin,
    Path((org, project)): Path<(String, String)>,
    Body(mut body): Body<Map<String, Value>>,
) -> Result<Json<Done>, Problem> {
    check_project(&org, &project)?;
    body.retain(|key, _| SETTINGS.contains(&key.as_str()));
    if body.is_empty() {
        return Err(Problem::bad_request(format!("nothing to change: the settings are {}", SETTINGS.join(", "))));
    }
    if Value::Object(body.clone()).to_string().len() > MAX_SETTINGS {
        return Err(Problem::bad_request("the settings are too large"));
    }
    for key in [INSTRUCTIONS, AGENT_INSTRUCTIONS] {
        let fits = match body.get(key) {
            None | Some(Value::Null) => true,
            Some(value) => value.as_str().is_some_and(|text| text.len() <= MAX_INSTRUCTIONS),
        };
        if !fits {
            return Err(Problem::bad_request(format!(
                "{key}: must be a text of at most {MAX_INSTRUCTIONS} bytes, or null"
            )));
        }
    }
    let without_effect: Vec<&str> = SETTINGS
        .into_iter()
        .filter(|key| ![INSTRUCTIONS, AGENT_INSTRUCTIONS].contains(key) && body.contains_key(*key))
        .collect();
    let changed = app.with_documents(move |documents| {
        let projects = projects(documents);
        projects.put_new(&projects.document(DEFAULT, Map::new()))?;
        projects.change(DEFAULT, &mut |document| {
            document.body.extend(body.clone());
            true
        })
    });
    changed.await?;
    let mut message = "Updated project successfully.".to_owned();
    if !without_effect.is_empty() {
        message += &format!(" Stored, but without effect on this server: {}.", without_effect.join(", "));
    }
    Ok(Json(Done::new(message)))
}

/// The settings by project; there is one project.
fn projects(documents: Arc<dyn DocumentStore>) -> Collection<Map<String, Value>> {
    Collection::new(documents, KIND)
}

async fn stored_settings(app: &AppState) -> Result<Map<String, Value>, Problem> {
    let stored = app.with_documents(|documents| projects(documents).get(DEFAULT)).await?;
    Ok(stored.map(|document| document.body).unwrap_or_default())
}

fn project_members(documents: Arc<dyn DocumentStore>) -> Collection<Member> {
    Collection::new(documents, MEMBER)
}

/// The project's instructions for an add without instructions.
pub(super) async fn instructions(app: &AppState, of_agent: bool) -> Result<Option<String>, Problem> {
    let settings = stored_settings(app).await?;
    let text = |key: &str| settings.get(key)?.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let for_agents = if of_agent { text(AGENT_INSTRUCTIONS) } else { None };
    Ok(for_agents.or_else(|| text(INSTRUCTIONS)))
}

/// Delete the project: refused
///
/// A server has exactly one project. To empty it, delete the memories.
#[utoipa::path(delete, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path)), responses((status = 400, body = ErrorBody)))]
pub(super) async fn delete(_: Admin, Path((org, project)): Path<(String, String)>) -> Problem {
    if let Err(problem) = check_project(&org, &project) {
        return problem;
    }
    Problem::bad_request("A self-hosted server has one project, which cannot be deleted; nothing was deleted.")
        .hint("To delete all memories of the project, call DELETE /v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*")
}

/// Create a project: refused
///
/// A server has exactly one project. Separate memories by user, agent, app and run, or run another server.
#[utoipa::path(post, path = "/api/v1/orgs/organizations/{org_id}/projects", tag = tag::PLATFORM,
    params(("org_id" = String, Path)), responses((status = 400, body = ErrorBody)))]
pub(super) async fn create(_: Admin, Path(_organization): Path<String>) -> Problem {
    Problem::bad_request("A self-hosted server has one project, `default`; no project was created.")
        .hint("Separate memories by user_id, agent_id or app_id, or run another server.")
}

/// A member of the project.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PlatformMember)]
pub(super) struct Member {
    /// The email address.
    username: String,
    /// `READER` or `OWNER`
    role: String,
}

/// The members of the project.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformMembers)]
pub(super) struct Members {
    members: Vec<Member>,
}

/// A member to add or change.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformMemberBody)]
pub(super) struct MemberBody {
    email: String,
    /// `READER` or `OWNER`
    role: Option<String>,
}

/// Query of the removal of a member.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MemberQuery {
    email: String,
}

fn checked_email(email: &str) -> Result<String, Problem> {
    let email = email.trim();
    let is_invalid =
        email.is_empty() || email.len() > 320 || !email.contains('@') || email.contains(char::is_whitespace);
    if is_invalid {
        Err(Problem::bad_request("email: must be an address such as ana@example.com"))
    } else {
        Ok(email.to_owned())
    }
}

impl MemberBody {
    fn member(self) -> Result<Member, Problem> {
        let role = self.role.unwrap_or_else(|| "READER".to_owned());
        if !["READER", "OWNER"].contains(&role.as_str()) {
            return Err(Problem::bad_request("role: must be READER or OWNER"));
        }
        Ok(Member { username: checked_email(&self.email)?, role })
    }
}

/// List the members of the project
///
/// The list is informational: access depends on keys only.
#[utoipa::path(get, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}/members", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path)), responses((status = 200, body = Members)))]
pub(super) async fn members(
    State(app): State<AppState>,
    _: Admin,
    Path((org, project)): Path<(String, String)>,
) -> Result<Json<Members>, Problem> {
    check_project(&org, &project)?;
    let page = PageRequest { limit: MAX_MEMBERS, ..PageRequest::default() };
    let found = app.with_documents(move |documents| project_members(documents).readable(None, &page)).await?;
    Ok(Json(Members { members: found.items.into_iter().rev().map(|document| document.body).collect() }))
}

/// Add a member to the project
///
/// This does not give access: access depends on keys only.
#[utoipa::path(post, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}/members", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path)),
    request_body = MemberBody, responses((status = 200, body = Done)))]
pub(super) async fn add_member(
    State(app): State<AppState>,
    _: Admin,
    Path((org, project)): Path<(String, String)>,
    Body(body): Body<MemberBody>,
) -> Result<Json<Done>, Problem> {
    check_project(&org, &project)?;
    let member = body.member()?;
    let written = app.with_documents(move |documents| {
        let members = project_members(documents);
        let document = members.document(member.username.clone(), member);
        if members.count()? >= MAX_MEMBERS && members.get(&document.id)?.is_none() {
            return Ok(false);
        }
        members.put(&[document], Durability::Synced)?;
        Ok(true)
    });
    if !written.await? {
        return Err(Problem::bad_request(format!("the project already has {MAX_MEMBERS} members")));
    }
    Ok(Json(Done::new("User added to the project successfully.")))
}

/// Change the role of a member
#[utoipa::path(put, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}/members", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path)),
    request_body = MemberBody, responses((status = 200, body = Done)))]
pub(super) async fn update_member(
    State(app): State<AppState>,
    _: Admin,
    Path((org, project)): Path<(String, String)>,
    Body(body): Body<MemberBody>,
) -> Result<Json<Done>, Problem> {
    check_project(&org, &project)?;
    let member = body.member()?;
    let changed = app.with_documents(move |documents| {
        project_members(documents).change(&member.username, &mut |document| {
            document.body = member.clone();
            true
        })
    });
    changed.await?.ok_or_else(no_member)?;
    Ok(Json(Done::new("User role updated successfully.")))
}

/// Remove a member from the project
#[utoipa::path(delete, path = "/api/v1/orgs/organizations/{org_id}/projects/{project_id}/members", tag = tag::PLATFORM,
    params(("org_id" = String, Path), ("project_id" = String, Path), MemberQuery),
    responses((status = 200, body = Done)))]
pub(super) async fn remove_member(
    State(app): State<AppState>,
    _: Admin,
    Path((org, project)): Path<(String, String)>,
    Query(query): Query<MemberQuery>,
) -> Result<Json<Done>, Problem> {
    check_project(&org, &project)?;
    let email = checked_email(&query.email)?;
    let removed = app.with_documents(move |documents| project_members(documents).remove(&email)).await?;
    if removed { Ok(Json(Done::new("User removed from the project successfully."))) } else { Err(no_member()) }
}

fn no_member() -> Problem {
    Problem::not_found("This member does not exist.")
}
