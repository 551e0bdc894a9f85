//! Parsing of durations.

use std::time::Duration;

use jiff::{SignedDuration, Span};

use crate::error::CliError;

/// Parses a duration greater than zero.
pub(crate) fn duration(key: &str, text: &str) -> anyhow::Result<Duration> {
    let duration: Option<SignedDuration> = text.parse().ok();
    let duration = duration.and_then(|found| Duration::try_from(found).ok()).filter(|found| !found.is_zero());
    Ok(duration.ok_or_else(|| CliError::usage(format!("{key} is `{text}`; give a time such as `60s` or `2m`")))?)
}

/// Parses the session gap, which may be zero.
pub(super) fn session_gap(text: &str) -> anyhow::Result<Span> {
    let gap: Option<SignedDuration> = text.parse().ok().filter(|gap: &SignedDuration| !gap.is_negative());
    let span = gap.and_then(|gap| Span::try_from(gap).ok());
    Ok(span.ok_or_else(|| {
        CliError::usage(format!("session_gap is `{text}`; give hours, minutes or seconds, such as `30m` or `1h 30m`"))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_gaps_are_parsed() {
        for good in ["30m", "1h 30m", "90 minutes", "0s", "PT2H"] {
            assert!(session_gap(good).is_ok(), "{good}");
        }
        for bad in ["", "30", "-5m", "1 day", "soon"] {
            assert!(session_gap(bad).is_err(), "{bad}");
        }
    }
}
