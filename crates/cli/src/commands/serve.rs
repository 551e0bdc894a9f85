//! `mnemon serve`: the HTTP server.

use std::sync::Arc;
use std::time::Duration;

use mnemon_server::{AuthMode, Server};
use serde_json::json;

use crate::exit::{Exit, Fault};
use crate::output::{OnClosed, Output};
use crate::settings::Settings;
use crate::settings::server::{address, auth_mode};

/// Where, and for whom.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys: API_KEYS='{\"KEY\": \"USER\"}' and ADMIN_API_KEY in the environment, or `mnemon keys create`.
The description of all routes is at /docs.")]
pub(crate) struct ServeArgs {
    /// Where to listen [env: MNEMON_BIND] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "HOST:PORT")]
    bind: Option<String>,
    /// `off` lets everybody do everything [env: MNEMON_AUTH] [default: on]
    #[arg(long, value_name = "on|off")]
    auth: Option<String>,
    /// With --auth off: listen to other machines too
    #[arg(long)]
    force: bool,
    /// Print the OpenAPI description of all routes, and serve nothing
    #[arg(long)]
    openapi: bool,
}

impl ServeArgs {
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
    let server = settings.server();
    let bind = args.bind.as_deref().map_or(Ok(server.bind), address)?;
    let mut config = server.config.clone();
    if let Some(auth) = &args.auth {
        config.auth = auth_mode(auth)?;
    }
    if config.auth == AuthMode::Off && !bind.ip().is_loopback() && !args.force {
        let message = format!(
            "--auth off lets everybody on {bind} read and delete everything: listen on 127.0.0.1, or add --force"
        );
        return Err(Fault::refused(message).into());
    }
    settings.load_embedder()?;
    let (engine, ledger) = settings.open_for_server()?;
    for warning in engine.store().warnings() {
        tracing::warn!("{warning}");
    }
    let keyless = config.auth == AuthMode::On
        && config.keys.is_empty()
        && config.admin_key.is_none()
        && !mnemon_server::auth::Keys::new(ledger.clone()).any()?;
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
        if keyless {
            tracing::warn!("there is no key yet: `mnemon keys create` makes one. Until then whoever calls from this machine may register the first account at /auth/register");
        }
        server.run(stop_signal()?).await;
        Ok::<_, anyhow::Error>(Exit::Ok)
    });
    // What is still at work was given up before: nobody waits for its answer.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// Done when the process is told to stop.
#[cfg(unix)]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
