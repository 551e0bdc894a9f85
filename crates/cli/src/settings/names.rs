//! How messages name a setting.

/// Settings that every command also takes as a flag.
const FLAGS: [&str; 5] = ["store", "embedder", "user", "agent", "run"];

/// A setting by its key, with its flag, if it has one, and its environment variable. A name in capitals is the environment
/// variable of a service's key, and stays as it is.
pub(crate) fn with_variable(key: &str) -> String {
    if key.chars().any(|c| c.is_ascii_uppercase()) {
        return key.to_owned();
    }
    let flag = if FLAGS.contains(&key) { format!("--{}, ", key.replace('_', "-")) } else { String::new() };
    format!("{key} ({flag}MNEMON_{})", key.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_a_variable_and_some_have_a_flag() {
        assert_eq!(with_variable("embedder_dims"), "embedder_dims (MNEMON_EMBEDDER_DIMS)");
        assert_eq!(with_variable("embedder"), "embedder (--embedder, MNEMON_EMBEDDER)");
        assert_eq!(with_variable("OPENAI_API_KEY"), "OPENAI_API_KEY");
    }
}
