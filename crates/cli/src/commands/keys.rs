//! `mnemon keys`: API keys of the server.

use mnemon_engine::ErrorCode;
use mnemon_server::auth::{Access, ApiKey, Keys, NewKey};
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::output::{OnClosed, Output, one_line};
use crate::settings::Settings;
use crate::wiring;

/// What to do with keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys are stored in the store. A running server accepts new keys at once.")]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a key. It is shown only once
    Create(CreateArgs),
    /// List keys, newest first
    List,
    /// Revoke a key. A running server refuses it within a second
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("owner").required(true).multiple(false)))]
struct CreateArgs {
    /// Create a key for this user's memories
    #[arg(short, long, value_name = "ID", group = "owner")]
    user: Option<String>,
    /// Create an admin key, which has access to everything
    #[arg(long, group = "owner")]
    admin: bool,
    /// Description of the key
    #[arg(short, long, default_value = "", hide_default_value = true)]
    label: String,
    /// Do not allow changes with this key
    #[arg(long)]
    read_only: bool,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// The key's id, from `mnemon keys list`
    id: String,
}

impl KeysArgs {
    /// What a closed stdout does to it.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        match self.action {
            // The key is made, and nobody has read its secret, which is shown only once.
            Action::Create(_) => OnClosed::Stop(Exit::Failed),
            Action::List => OnClosed::Stop(Exit::Ok),
            Action::Revoke(_) => OnClosed::GoOn,
        }
    }
}

pub(crate) fn run(args: &KeysArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Create(args) => create(args, settings, out),
        Action::List => list(settings, out),
        Action::Revoke(args) => revoke(&args.id, settings, out),
    }
}

fn create(args: &CreateArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let user = args.user.as_deref().map(|user| mnemon_store::filter::check_id(user).map(str::to_owned)).transpose();
    let user = user.map_err(|error| CliError::failed(ErrorCode::InvalidScope, format!("--user: {error}")))?;
    let new = NewKey { label: args.label.clone(), user, access: Access { read: true, write: !args.read_only } };
    let (key, secret) = Keys::new(wiring::open_documents(settings)?).create(new)?;
    let mut answer = key_to_json(&key);
    answer["key"] = secret.as_str().into();
    out.value(&answer, |_| {
        let owner = key.user.as_deref().map_or_else(|| "an admin".to_owned(), one_line);
        format!("{secret}\nStore it safely: it is not shown again. It is the key of {owner}, id {}.\n", key.id)
    })?;
    Ok(Exit::Ok)
}

fn list(settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    wiring::check_store_exists(settings)?;
    let keys = Keys::new(wiring::open_documents(settings)?).list()?;
    out.value(&json!({"keys": keys.iter().map(key_to_json).collect::<Vec<_>>()}), |_| {
        let mut text = String::new();
        for key in &keys {
            let owner = key.user.as_deref().map_or_else(|| "(admin)".to_owned(), one_line);
            let state = if key.revoked_at.is_some() {
                "revoked"
            } else {
                &Access { read: key.read, write: key.write }.words().join("+")
            };
            text.push_str(&format!("{}  {}…  {owner}  {state}  {}\n", key.id, key.key_prefix, one_line(&key.label)));
        }
        if keys.is_empty() { "no keys\n".to_owned() } else { text }
    })?;
    Ok(Exit::Ok)
}

fn revoke(id: &str, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    wiring::check_store_exists(settings)?;
    match Keys::new(wiring::open_documents(settings)?).revoke(id.trim(), None)? {
        None => {
            let message = format!("no key has the id {id}; `mnemon keys list` shows all keys");
            Err(CliError::failed(ErrorCode::NotFound, message).into())
        }
        Some(was_valid) => {
            let state = if was_valid { "revoked" } else { "already revoked" };
            out.value(&json!({"id": id, "revoked": true}), |_| format!("{state}\n"))?;
            Ok(Exit::Ok)
        }
    }
}

fn key_to_json(key: &ApiKey) -> Value {
    serde_json::to_value(key).unwrap_or_default()
}
