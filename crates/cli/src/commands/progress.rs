//! How far long work is: shown on stderr, and only where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts up; gone when the work ends. Hidden where stderr is no terminal.
pub(super) fn counting(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg} ({per_sec})") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
