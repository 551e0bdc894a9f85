//! `mnemon serve`: the HTTP server.

mod first_key;

use std::sync::Arc;
use std::time::Duration;

use mnemon_server::{AuthMode, Server};
use serde_json::json;

use super::stop_signal::stop_signal;
use crate::args::SettingFlag;
use crate::error::{CliError, Exit, hint};
use crate::output::{OnClosed, Output};
use crate::settings::{ServerSettings, Settings};
use crate::wiring;

/// Where to listen, and who has access.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
API keys: API_KEYS='{\"KEY\": \"USER\"}' and ADMIN_API_KEY in the environment, or `mnemon keys create`.
If there is none yet, the server creates one for an admin.
The server describes all routes at /docs.")]
pub(crate) struct ServeArgs {
    /// Address to listen on [env: MNEMON_BIND] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "HOST:PORT")]
    bind: Option<String>,
    /// Authentication. `off` gives everyone full access [env: MNEMON_AUTH] [default: on]
    #[arg(long, value_name = "on|off")]
    auth: Option<String>,
    /// With --auth off: allow an address that other machines can reach
    #[arg(long)]
    force: bool,
    /// Print the OpenAPI description and exit
    #[arg(long)]
    openapi: bool,
}

impl ServeArgs {
    /// The settings among them that are given.
    pub(super) fn settings(&self) -> Vec<SettingFlag<'_>> {
        let given = [("bind", &self.bind), ("auth", &self.auth)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }

    /// What a closed stdout does to it.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        if self.openapi { OnClosed::Stop(Exit::Ok) } else { OnClosed::GoOn }
    }
}

pub(crate) fn run(args: &ServeArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if args.openapi {
        let api = serde_json::to_value(mnemon_server::openapi())?;
        out.value(&api, |api| format!("{api:#}\n"))?;
        return Ok(Exit::Ok);
    }
    let ServerSettings { bind, mut config, .. } = settings.server.clone();
    config.describe_warning = hint::warning;
    if config.auth == AuthMode::Off && !bind.ip().is_loopback() && !args.force {
        let message =
            format!("--auth off gives everyone who reaches {bind} full access: listen on 127.0.0.1, or add --force");
        return Err(CliError::refused(message).into());
    }
    wiring::load_embedder(settings)?;
    let (engine, ledger) = wiring::open_for_server(settings)?;
    for warning in engine.store().warnings() {
        tracing::warn!("{}", hint::warning(&warning));
    }
    first_key::create(settings, &ledger, out)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let server = Server::bind(bind, Arc::new(engine), ledger, config).await?;
        let url = format!("http://{}", server.address());
        tracing::info!(url, "listening");
        // It serves all the same: stdout may be on a full disk.
        if let Err(error) =
            out.value(&json!({"listening": url}), |_| format!("Listening on {url}, routes at {url}/docs\n"))
        {
            tracing::warn!(%error, url, "the address could not be written to stdout");
        }
        server.run(stop_signal()?).await;
        Ok::<_, anyhow::Error>(Exit::Ok)
    });
    // The server has given up on work that still runs; no caller waits for it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}
