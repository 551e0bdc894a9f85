//! Environment variables that are not settings of mnemon, such as API keys of providers.

/// The trimmed value of a variable; `None` if it is unset or blank.
pub(crate) fn non_blank(environment: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    environment(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
