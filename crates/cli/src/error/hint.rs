//! What to do about an error, with the flags, variables and commands of this program.

use mnemon_engine::EngineError;
use mnemon_models::ModelError;

use crate::settings::names::with_variable;

/// The hint about the outermost error that has one, as the end of a sentence.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| cause.downcast_ref::<EngineError>().and_then(engine_hint))
}

fn engine_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::Model(
            ModelError::Folder { .. } | ModelError::Weights(_) | ModelError::Tensor { .. } | ModelError::Vocabulary(_),
        ) => "`mnemon models pull minilm` downloads the model; embedder = \"minilm:FOLDER\" (MNEMON_EMBEDDER) selects another \
              folder"
            .to_owned(),
        EngineError::EmbedderChanged { .. } => "restore it, or start over with --restart".to_owned(),
        EngineError::ExportOfOtherEmbedder { .. } => "import with --reembed to compute them again".to_owned(),
        EngineError::NoOwner => "give --user, --agent or --run".to_owned(),
        _ => return error.settings_hint(&with_variable),
    })
}
