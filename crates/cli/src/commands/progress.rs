//! Progress of long work, on stderr if it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts up and disappears at the end.
pub(super) fn counter(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {human_pos} {msg} ({per_sec})"));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A line for work of several steps. It disappears when this is dropped.
pub(super) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    pub(super) fn new(quiet: bool) -> Self {
        Self { bar: counter("", quiet) }
    }

    /// Shows bytes done.
    pub(super) fn bytes(&self, step: String, done: u64, total: Option<u64>) {
        self.show("{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)", step, done, total);
    }

    /// Shows items done.
    pub(super) fn items(&self, step: String, done: u64, total: u64) {
        self.show(
            "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} ({per_sec}, {eta} left)",
            step,
            done,
            Some(total),
        );
    }

    /// Shows a step of unknown length.
    pub(super) fn running(&self, step: String) {
        self.show("{spinner} {msg} ({elapsed})", step, 0, None);
    }

    /// Hides the line while something else is written to stderr.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    fn show(&self, template: &str, step: String, done: u64, total: Option<u64>) {
        if self.bar.message() != step {
            self.bar.set_style(style(template));
            self.bar.set_message(step);
            // The rate counts from here: earlier runs did the rest.
            self.bar.set_position(done);
            self.bar.reset_eta();
            self.bar.reset_elapsed();
        }
        if let Some(total) = total {
            self.bar.set_length(total.max(done));
        }
        self.bar.set_position(done);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
