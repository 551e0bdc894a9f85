//! `mnemon keys`: the keys of the server.

use mnemon_server::auth::{Access, ApiKey, Keys, NewKey};
use serde_json::{Value, json};

use crate::exit::{Exit, Fault};
use crate::output::{OnClosed, Output, one_line};
use crate::settings::Settings;

/// What to do with keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys lie in the store; a server that runs on it knows them at once.")]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key; it is shown once and never again
    Create(CreateArgs),
    /// List keys, newest first
    List,
    /// End a key; a running server refuses it within a second
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whose").required(true).multiple(false)))]
struct CreateArgs {
    /// The user whose memories it reads and writes
    #[arg(short, long, value_name = "ID", group = "whose")]
    user: Option<String>,
    /// A key for everything
    #[arg(long, group = "whose")]
    admin: bool,
    /// What it is for
    #[arg(short, long, default_value = "", hide_default_value = true)]
    label: String,
    /// It may not change anything
    #[arg(long)]
    read_only: bool,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// The key's id, as `list` shows it
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
    let user = user.map_err(|fault| Fault::usage(format!("--user: {fault}")))?;
    let new = NewKey { label: args.label.clone(), user, access: Access { read: true, write: !args.read_only } };
    let (key, secret) = Keys::new(settings.open_ledger()?).create(new)?;
    let mut answer = shown(&key);
    answer["key"] = secret.as_str().into();
    out.value(&answer, |_| {
        let whose = key.user.as_deref().map_or_else(|| "an admin".to_owned(), one_line);
        format!("{secret}\nKeep it: it is not shown again. It is the key of {whose}, id {}.\n", key.id)
    })?;
    Ok(Exit::Ok)
}

fn list(settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    settings.must_exist()?;
    let keys = Keys::new(settings.open_ledger()?).list()?;
    out.value(&json!({"keys": keys.iter().map(shown).collect::<Vec<_>>()}), |_| {
        let mut text = String::new();
        for key in &keys {
            let whose = key.user.as_deref().map_or_else(|| "(admin)".to_owned(), one_line);
            let state = if key.revoked_at.is_some() {
                "revoked"
            } else {
                &Access { read: key.read, write: key.write }.words().join("+")
            };
            text.push_str(&format!("{}  {}…  {whose}  {state}  {}\n", key.id, key.key_prefix, one_line(&key.label)));
        }
        if keys.is_empty() { "no keys\n".to_owned() } else { text }
    })?;
    Ok(Exit::Ok)
}

fn revoke(id: &str, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    settings.must_exist()?;
    match Keys::new(settings.open_ledger()?).revoke(id.trim(), None)? {
        None => Err(Fault::usage(format!("there is no key with id {id}; `mnemon keys list` shows them")).into()),
        Some(was_good) => {
            let said = if was_good { "revoked" } else { "was revoked before" };
            out.value(&json!({"id": id, "revoked": true}), |_| format!("{said}\n"))?;
            Ok(Exit::Ok)
        }
    }
}

fn shown(key: &ApiKey) -> Value {
    serde_json::to_value(key).unwrap_or_default()
}
