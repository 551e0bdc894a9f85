//! What to do about an error or a warning, with the flags, variables and commands of this program. Libraries report facts.

use mnemon_engine::EngineError;
use mnemon_models::ModelError;
use mnemon_store::{CollectionProblem, StoreError, StoreWarning};

use crate::settings::names::with_variable;

/// For memories without an owner.
pub(crate) const GIVE_OWNER: &str = "give --user, --agent or --run";

const ANOTHER_COLLECTION: &str = "name another one with --store qdrant:URL/COLLECTION";

pub(super) fn engine_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::Store(error) => return store_hint(error),
        EngineError::Model(
            ModelError::Folder { .. } | ModelError::Weights(_) | ModelError::Tensor { .. } | ModelError::Vocabulary(_),
        ) => "`mnemon models pull minilm` downloads the model; embedder = \"minilm:FOLDER\" (MNEMON_EMBEDDER) selects another \
              folder"
            .to_owned(),
        EngineError::EmbedderChanged { .. } => "restore it, or start over with --restart".to_owned(),
        EngineError::ExportOfOtherEmbedder { .. } => "import with --reembed to compute them again".to_owned(),
        EngineError::NoOwner => GIVE_OWNER.to_owned(),
        _ => return error.settings_hint(&with_variable),
    })
}

pub(super) fn store_hint(error: &StoreError) -> Option<String> {
    Some(match error {
        StoreError::NotAStore { .. } => {
            "name another path with --store sqlite:PATH; `mnemon import` reads mem0's history.db".to_owned()
        }
        StoreError::EmbedderMismatch { stored, stored_dims, .. } => embedder_hint(stored, *stored_dims),
        StoreError::Reembedding { .. } => {
            "continue with that embedder, or use --restart to discard its vectors and start again".to_owned()
        }
        StoreError::UnusableCollection { problem, .. } => match problem {
            CollectionProblem::Alias { target } => format!(
                "give --store qdrant:URL/{target}, or set {} to the same value for each name of the collection",
                with_variable("ledger")
            ),
            CollectionProblem::Missing { .. } => "`mnemon add` or `mnemon serve` creates it".to_owned(),
            CollectionProblem::NoDenseVector | CollectionProblem::Distance { .. } => ANOTHER_COLLECTION.to_owned(),
            CollectionProblem::Dims { .. } => format!("use the embedder that filled it, or {ANOTHER_COLLECTION}"),
        },
        StoreError::UnreadableDocument { .. } => "`mnemon doctor` lists all such documents".to_owned(),
        _ => return None,
    })
}

/// A warning with what to do about it.
pub(crate) fn warning(warning: &StoreWarning) -> String {
    let hint = match warning {
        StoreWarning::NoBm25 { .. } => "`mnemon migrate rebuild --in-place` adds them".to_owned(),
        StoreWarning::NoEntities => {
            "`mnemon migrate rebuild` in the folder of the migration adds them, with the embedding model \
                                     that mem0 used (MNEMON_EMBEDDER)"
                .to_owned()
        }
        StoreWarning::OtherLedger { .. } => format!(
            "set {} to that ledger or, if it is lost, run `mnemon doctor --fix` to keep this one",
            with_variable("ledger")
        ),
        StoreWarning::OtherEmbedder { stored, stored_dims, .. } => embedder_hint(stored, *stored_dims),
        StoreWarning::ReembedBegun { .. } => {
            "continue it with `mnemon reembed`, unless that is still running".to_owned()
        }
        StoreWarning::ReadOnly { .. } => {
            "make the file, its folder and its disk writable; a running server needs no restart".to_owned()
        }
        StoreWarning::Full => "free some space; a running server needs no restart".to_owned(),
        StoreWarning::AliasMoved { .. } | StoreWarning::PendingWrites => return warning.to_string(),
    };
    format!("{warning}: {hint}")
}

/// The settings that select the embedder with this fingerprint, and the other way.
fn embedder_hint(fingerprint: &str, dims: usize) -> String {
    let model = fingerprint.strip_prefix("openai:").and_then(|rest| rest.strip_suffix(&format!(":{dims}")));
    let settings = match model {
        Some(model) => format!("set MNEMON_EMBEDDER=openai:{model} and MNEMON_EMBEDDER_DIMS={dims}"),
        None if fingerprint.starts_with("static-") => "set MNEMON_EMBEDDER=builtin".to_owned(),
        None if fingerprint.starts_with("minilm:") => "set MNEMON_EMBEDDER=minilm".to_owned(),
        None => "set MNEMON_EMBEDDER to the embedder of the store".to_owned(),
    };
    format!("{settings}, or move the store to this embedder with `mnemon reembed`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_libraries_get_flags_variables_and_commands() {
        let mismatch = |stored: &str| StoreError::EmbedderMismatch {
            stored: stored.into(),
            stored_dims: 3,
            given: "static-1".into(),
            given_dims: 256,
        };
        let unusable = |problem| StoreError::UnusableCollection { collection: "c".into(), problem };
        let dims = ModelError::Dims { model: "m".into(), expected: 2, found: 3 };
        for (error, expected) in [
            (
                mismatch("openai:m:3").into(),
                "set MNEMON_EMBEDDER=openai:m and MNEMON_EMBEDDER_DIMS=3, or move the store",
            ),
            (mismatch("static-2").into(), "set MNEMON_EMBEDDER=builtin, or"),
            (mismatch("minilm:1").into(), "set MNEMON_EMBEDDER=minilm, or"),
            (
                unusable(CollectionProblem::Alias { target: "d".into() }).into(),
                "give --store qdrant:URL/d, or set ledger (",
            ),
            (unusable(CollectionProblem::Missing { server: "s".into() }).into(), "`mnemon add` or `mnemon serve`"),
            (unusable(CollectionProblem::NoDenseVector).into(), "with --store qdrant:URL/COLLECTION"),
            (dims.into(), "set embedder_dims (MNEMON_EMBEDDER_DIMS) to 3"),
            (EngineError::NoLanguageModel("chat"), "set llm (MNEMON_LLM), for example to openai:"),
            (EngineError::NoOwner, "give --user, --agent or --run"),
        ] {
            let hint = engine_hint(&error).unwrap_or_default();
            assert!(hint.starts_with(expected) || hint.ends_with(expected), "{error}: {hint}");
        }
        assert_eq!(engine_hint(&StoreError::Full.into()), None);
    }

    #[test]
    fn warnings_get_commands() {
        let begun = StoreWarning::ReembedBegun { embedder: "openai:m:3".into(), dims: 3 };
        assert!(warning(&begun).ends_with(": continue it with `mnemon reembed`, unless that is still running"));
        assert_eq!(warning(&StoreWarning::PendingWrites), StoreWarning::PendingWrites.to_string());
    }
}
