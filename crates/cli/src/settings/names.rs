//! What a name in the environment or in a settings file means, and which name was meant if it is not known.

use super::declared::{SETTINGS, VARIABLES, find};

/// The beginning of the variables of settings.
const PREFIX: &str = "MNEMON_";

/// What a name in the environment means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A setting or another variable that is declared.
    Declared,
    /// A variable of another program.
    Foreign,
    /// Almost the name of this variable.
    Misspelt(String),
    /// A variable for mnemon that does not exist, and the one that was meant, if it is known.
    Unknown(Option<String>),
}

/// What a name in the environment means.
pub(super) fn meaning(name: &str) -> Meaning {
    if is_declared(name) {
        return Meaning::Declared;
    }
    let capitals = name.to_uppercase();
    let (first_word, _) = capitals.split_once('_').unwrap_or((&capitals, ""));
    let ours = capitals.starts_with("MNEMON") || edits(first_word, "MNEMON") == 1;
    if !ours || name.starts_with("MNEMON_TEST_") || is_of_kubernetes(name) {
        return Meaning::Foreign;
    }
    // Such as ADMIN_API_KEY.
    let without_prefix = capitals.strip_prefix(PREFIX).filter(|rest| is_declared(rest)).map(str::to_owned);
    match closest(&capitals, declared().filter(|name| name.starts_with(PREFIX))) {
        Some(meant) => Meaning::Misspelt(without_prefix.unwrap_or(meant)),
        None if capitals.starts_with(PREFIX) => Meaning::Unknown(without_prefix),
        None => Meaning::Foreign,
    }
}

/// Explains that a key is not a setting, and suggests one.
pub(super) fn explain_key(key: &str) -> String {
    let lower = key.to_lowercase().replace('-', "_");
    let capitals = lower.to_uppercase();
    if VARIABLES.iter().any(|variable| variable.name == capitals) {
        return format!("`{key}` is not read from a file: set the variable {capitals} in the environment");
    }
    let name = lower.strip_prefix("mnemon_").unwrap_or(&lower);
    match closest(name, SETTINGS.iter().map(|setting| setting.key.to_owned())) {
        Some(meant) => format!("`{key}` is not a setting; did you mean `{meant}`?"),
        None => format!("`{key}` is not a setting; docs/settings.md lists all settings"),
    }
}

/// The flag, if any, and the variable of a setting: `--store, MNEMON_STORE`.
pub(super) fn describe(key: &str) -> String {
    match find(key) {
        Some(setting) if setting.flag.is_empty() => setting.variable(),
        Some(setting) => format!("{}, {}", setting.flag, setting.variable()),
        None => key.to_owned(),
    }
}

/// A setting by its key, with its flag, if any, and its variable. Any other name, such as that of a variable, stays as
/// it is.
pub(crate) fn with_variable(key: &str) -> String {
    find(key).map_or_else(|| key.to_owned(), |_| format!("{key} ({})", describe(key)))
}

fn declared() -> impl Iterator<Item = String> {
    let settings = SETTINGS.iter().map(|setting| setting.variable());
    settings.chain(VARIABLES.iter().map(|variable| variable.name.to_owned()))
}

fn is_declared(name: &str) -> bool {
    declared().any(|declared| declared == name)
}

/// Whether Kubernetes sets this variable for a service whose name is mnemon or starts with `mnemon-`.
fn is_of_kubernetes(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("MNEMON") else { return false };
    let is_port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        let (protocol, part) = protocol.split_once('_').unwrap_or((protocol, "PORT"));
        number.parse::<u16>().is_ok()
            && ["TCP", "UDP", "SCTP"].contains(&protocol)
            && ["PORT", "PROTO", "ADDR"].contains(&part)
    };
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| rest.ends_with(end))
        || rest.contains("_SERVICE_PORT_")
        || rest.match_indices("_PORT_").any(|(at, text)| is_port(&rest[at + text.len()..]))
}

/// The name that is at most two edits from this one. At most one if it has four letters or less, not counting the
/// prefix: `MNEMON_TAG` is not `MNEMON_LOG`.
fn closest(given: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let near = names.filter(|name| name.len().abs_diff(given.chars().count()) <= 2);
    let near = near.map(|name| (edits(given, &name), name));
    let is_short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).len() <= 4;
    let near = near.filter(|(edits, name)| *edits <= if is_short(name) { 1 } else { 2 });
    near.min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// How many letters must be added, removed, replaced or swapped with the next one to get from one name to the other.
fn edits(from: &str, to: &str) -> usize {
    strsim::damerau_levenshtein(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misspelt(name: &str) -> Meaning {
        Meaning::Misspelt(name.to_owned())
    }

    #[test]
    fn each_declared_name_has_one_meaning() {
        let names: Vec<String> = declared().collect();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(meaning(name), Meaning::Declared);
            assert!(!names[..at].contains(name), "{name} is declared twice");
            assert!(!is_of_kubernetes(name) && !name.starts_with("MNEMON_TEST_"), "{name} would be foreign");
        }
    }

    #[test]
    fn typing_errors_in_a_variable_are_found() {
        for name in declared().filter(|name| name.starts_with(PREFIX)) {
            let mut typed = vec![name.to_lowercase(), name.replacen('_', "", 1), name.replacen("MNEMON", "Mnemon", 1)];
            for at in 0..name.len() {
                let (before, after) = name.split_at(at);
                typed.push(format!("{before}{}", &after[1..]));
                typed.push(format!("{before}X{after}"));
                typed.push(format!("{before}X{}", &after[1..]));
                if let (Some(first), Some(second)) = (after.get(..1), after.get(1..2)) {
                    typed.push(format!("{before}{second}{first}{}", &after[2..]));
                }
            }
            for typed in typed {
                // Some are one edit from two names, or are another name.
                let found = meaning(&typed);
                let near = matches!(&found, Meaning::Misspelt(meant) if *meant == name || edits(&typed, meant) == 1);
                assert!(near || found == Meaning::Declared, "{typed} for {name}: {found:?}");
            }
        }
    }

    #[test]
    fn names_have_a_meaning() {
        for (name, expected) in [
            ("MNEMON_STOR", misspelt("MNEMON_STORE")),
            ("MNEMON_STROE", misspelt("MNEMON_STORE")),
            ("MNEMON_EMBEDDERDIMS", misspelt("MNEMON_EMBEDDER_DIMS")),
            ("MNEMONSTORE", misspelt("MNEMON_STORE")),
            ("MNEMON-STORE", misspelt("MNEMON_STORE")),
            ("MNEMON__STORE", misspelt("MNEMON_STORE")),
            ("MENMON_STORE", misspelt("MNEMON_STORE")),
            ("mnemon_store", misspelt("MNEMON_STORE")),
            ("Mnemon_Stor", misspelt("MNEMON_STORE")),
            ("MNEMON_LOGG", misspelt("MNEMON_LOG")),
            ("MNEMON_LGO", misspelt("MNEMON_LOG")),
            ("MNEMON_LL", misspelt("MNEMON_LLM")),
            ("MNEMON_STOREGE", misspelt("MNEMON_STORE")),
            ("MNEMON_TAG", Meaning::Unknown(None)),
            ("MNEMON_FOO", Meaning::Unknown(None)),
            ("MNEMON_PATH", Meaning::Unknown(None)),
            ("MNEMON_UID", Meaning::Unknown(None)),
            ("MNEMON_GID", Meaning::Unknown(None)),
            ("MNEMON_EMBEDING", Meaning::Unknown(None)),
            ("MNEMON_DATABASE", Meaning::Unknown(None)),
            ("mnemon_database", Meaning::Unknown(None)),
            ("MNEMON_", Meaning::Unknown(None)),
            ("MNEMON_API_KEYS", misspelt("API_KEYS")),
            ("MNEMON_ADMIN_API_KEY", Meaning::Unknown(Some("ADMIN_API_KEY".to_owned()))),
            ("MNEMON_TEST_QDRANT", Meaning::Foreign),
            ("MNEMON", Meaning::Foreign),
            ("MNEMONIC", Meaning::Foreign),
            ("MNEMONIC_PHRASE", Meaning::Foreign),
            ("MEMO_USER", Meaning::Foreign),
            ("MEM0_API_KEYS", Meaning::Foreign),
            ("USER", Meaning::Foreign),
            ("", Meaning::Foreign),
            ("LANG_ÄÖ", Meaning::Foreign),
        ] {
            assert_eq!(meaning(name), expected, "{name}");
        }
    }

    #[test]
    fn services_of_kubernetes_are_foreign() {
        for service in ["MNEMON", "MNEMON_SERVER", "MNEMON_QDRANT", "MNEMON_PORT_SERVER"] {
            for part in [
                "SERVICE_HOST",
                "SERVICE_PORT",
                "SERVICE_PORT_HTTP",
                "SERVICE_PORT_GRPC_INTERNAL",
                "PORT",
                "PORT_8000_TCP",
                "PORT_8000_TCP_PROTO",
                "PORT_8000_TCP_PORT",
                "PORT_8000_TCP_ADDR",
                "PORT_53_UDP",
                "PORT_53_UDP_ADDR",
                "PORT_9_SCTP",
            ] {
                assert_eq!(meaning(&format!("{service}_{part}")), Meaning::Foreign, "{service}_{part}");
            }
        }
        for name in ["MNEMON_PORT_HTTP", "MNEMON_PORT_99999_TCP", "MNEMON_PORT_8000", "MNEMON_PORT_8000_TCP_NAME"] {
            assert_eq!(meaning(name), Meaning::Unknown(None), "{name}");
        }
    }

    #[test]
    fn a_setting_has_a_variable_and_some_have_a_flag() {
        assert_eq!(with_variable("embedder_dims"), "embedder_dims (MNEMON_EMBEDDER_DIMS)");
        assert_eq!(with_variable("embedder"), "embedder (--embedder, MNEMON_EMBEDDER)");
        assert_eq!(with_variable("OPENAI_API_KEY"), "OPENAI_API_KEY");
    }

    #[test]
    fn unknown_keys_are_explained() {
        for (key, expected) in [
            ("stor", "did you mean `store`?"),
            ("embedder-dims", "did you mean `embedder_dims`?"),
            ("Embedder_Dims", "did you mean `embedder_dims`?"),
            ("MNEMON_STORE", "did you mean `store`?"),
            ("ru", "did you mean `run`?"),
            ("url", "docs/settings.md"),
            ("", "docs/settings.md"),
            ("openai_api_key", "the variable OPENAI_API_KEY"),
            ("api-keys", "the variable API_KEYS"),
        ] {
            assert!(explain_key(key).contains(expected), "{key}: {}", explain_key(key));
        }
    }
}
