//! What to do about an error of a model. Errors carry facts; the caller says how its users name a setting.

use mnemon_models::{ModelError, ModelKind, RefusalCause};

/// The settings of one kind of model.
struct ModelSettings {
    model: &'static str,
    url: &'static str,
    /// The environment variable of the service's key.
    key: &'static str,
}

impl ModelSettings {
    fn of(kind: ModelKind) -> Self {
        match kind {
            ModelKind::Embedder => Self { model: "embedder", url: "embedder_url", key: "OPENAI_API_KEY" },
            ModelKind::LanguageModel => Self { model: "llm", url: "llm_url", key: "LLM_API_KEY" },
            ModelKind::Reranker => Self { model: "reranker", url: "reranker_url", key: "RERANKER_API_KEY" },
        }
    }
}

/// What to change about the model, as the end of a sentence. `name` names the setting with a key.
pub(super) fn model_hint(error: &ModelError, name: &dyn Fn(&str) -> String) -> Option<String> {
    let kind = error.kind();
    let settings = ModelSettings::of(kind);
    let url = || name(settings.url);
    Some(match error {
        ModelError::Settings { setting, .. } => format!("check {}", name(setting)),
        ModelError::Dims { found, .. } => format!("set {} to {found}", name("embedder_dims")),
        ModelError::Refused { model, cause, .. } => refusal_hint(kind, model, *cause, name),
        ModelError::Answer { is_empty: true, .. } => {
            format!("set {} higher, or use another model", name("llm_max_tokens"))
        }
        ModelError::Answer { .. } => match kind {
            ModelKind::Embedder => format!("check that {} is the base URL of an OpenAI-compatible service", url()),
            ModelKind::LanguageModel => format!(
                "check that {} is the base URL of a service of this kind, and that {} names a model that answers with text",
                url(),
                name(settings.model)
            ),
            ModelKind::Reranker => {
                format!("check that {} is the base URL of a service with the route /rerank", url())
            }
        },
        ModelError::Weights(_)
        | ModelError::Tensor { .. }
        | ModelError::Vocabulary(_)
        | ModelError::Folder { .. }
        | ModelError::Compute(_)
        | ModelError::Client { .. }
        | ModelError::Unavailable { .. } => return None,
    })
}

fn refusal_hint(kind: ModelKind, model: &str, cause: RefusalCause, name: &dyn Fn(&str) -> String) -> String {
    let ModelSettings { model: setting, url, key } = ModelSettings::of(kind);
    match cause {
        RefusalCause::NoKey => format!("set {key} to a key of this service"),
        RefusalCause::InvalidKey => format!("set {key} to a valid key of this service"),
        RefusalCause::KeyNotAllowed => {
            format!("the key in {key} may not use model `{model}`: allow it, or set another key")
        }
        RefusalCause::UnknownModel => format!(
            "check that the service has the model of {}, now `{model}`, and that {} has the right ending, usually /v1",
            name(setting),
            name(url)
        ),
        RefusalCause::Moved => format!("set {} to the address that it redirects to", name(url)),
        RefusalCause::Quota => format!("check the plan and the billing of the account of {key}"),
        RefusalCause::TooLong => "the input is too long: send less text at a time".to_owned(),
        RefusalCause::Filtered => {
            "a filter refuses the content: send other text, or change the filter at the service".to_owned()
        }
        RefusalCause::ThisRequest => {
            "the service answers other requests: send other or less text, and look into its log for the reason"
                .to_owned()
        }
        RefusalCause::Other => match kind {
            ModelKind::Embedder => format!("check that {}, now `{model}`, names an embedding model", name(setting)),
            ModelKind::LanguageModel => format!("check {}, now `{model}`, and the other llm_ settings", name(setting)),
            ModelKind::Reranker => format!("check {}, now `{model}`, and {}", name(setting), name(url)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ModelKind; 3] = [ModelKind::Embedder, ModelKind::LanguageModel, ModelKind::Reranker];
    const CAUSES: [RefusalCause; 10] = [
        RefusalCause::NoKey,
        RefusalCause::InvalidKey,
        RefusalCause::KeyNotAllowed,
        RefusalCause::UnknownModel,
        RefusalCause::Moved,
        RefusalCause::Quota,
        RefusalCause::TooLong,
        RefusalCause::Filtered,
        RefusalCause::ThisRequest,
        RefusalCause::Other,
    ];

    fn hint(error: &ModelError) -> String {
        model_hint(error, &|key| format!("<{key}>")).unwrap_or_default()
    }

    fn refused(kind: ModelKind, cause: RefusalCause) -> ModelError {
        let (server, model, reason) = ("http://x".into(), "m".into(), "HTTP 400".into());
        ModelError::Refused { kind, server, model, reason, cause }
    }

    #[test]
    fn a_hint_names_the_settings_of_its_kind_of_model_only() {
        let prefixes = ["embedder", "llm", "reranker"];
        for (kind, own) in KINDS.into_iter().zip(prefixes) {
            for cause in CAUSES {
                let text = hint(&refused(kind, cause));
                let named: Vec<&str> = text.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
                assert!(named.iter().all(|key| key.starts_with(own)), "{kind}, {cause:?}: {text}");
                let names_key = text.contains("_API_KEY");
                let is_about_text =
                    matches!(cause, RefusalCause::TooLong | RefusalCause::Filtered | RefusalCause::ThisRequest);
                assert_eq!(named.is_empty(), names_key || is_about_text, "{kind}, {cause:?}: {text}");
            }
        }
    }

    #[test]
    fn hints_say_what_to_change() {
        let kind = ModelKind::Embedder;
        let dims = ModelError::Dims { model: "m".into(), expected: 2, found: 3 };
        let answer = |kind, is_empty| ModelError::Answer { kind, server: "s".into(), answer: "x".into(), is_empty };
        let setting = ModelError::Settings { kind, setting: "embedder_url", reason: "is `x`".into() };
        for (error, expected) in [
            (dims, "set <embedder_dims> to 3"),
            (setting, "check <embedder_url>"),
            (refused(kind, RefusalCause::NoKey), "set OPENAI_API_KEY to a key of this service"),
            (refused(kind, RefusalCause::Moved), "set <embedder_url> to the address that it redirects to"),
            (answer(kind, false), "check that <embedder_url> is the base URL of an OpenAI-compatible service"),
            (answer(ModelKind::LanguageModel, true), "set <llm_max_tokens> higher, or use another model"),
        ] {
            assert_eq!(hint(&error), expected);
        }
        let unavailable = ModelError::Unavailable { kind, server: "s".into(), reason: "x".into(), wait: None };
        assert_eq!(model_hint(&unavailable, &str::to_owned), None);
    }
}
