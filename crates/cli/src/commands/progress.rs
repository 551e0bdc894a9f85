//! How far long work is: shown on stderr, and only where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts up; gone when the work ends. Hidden where stderr is no terminal.
pub(super) fn counting(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {human_pos} {msg} ({per_sec})"));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A line for work of several steps.
pub(super) struct Steps {
    bar: ProgressBar,
}

impl Steps {
    pub(super) fn new(quiet: bool) -> Self {
        Self { bar: counting("", quiet) }
    }

    /// Counts bytes.
    pub(super) fn bytes(&self, step: String, done: u64, total: Option<u64>) {
        self.at("{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)", step, done, total);
    }

    /// Counts things.
    pub(super) fn things(&self, step: String, done: u64, total: u64) {
        self.at("{spinner} {msg} [{bar:30}] {human_pos}/{human_len} ({per_sec}, {eta} left)", step, done, Some(total));
    }

    /// Counts nothing.
    pub(super) fn working(&self, step: String) {
        self.at("{spinner} {msg} ({elapsed})", step, 0, None);
    }

    /// Writes to stderr between two looks of the line.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    fn at(&self, template: &str, step: String, done: u64, total: Option<u64>) {
        if self.bar.message() != step {
            self.bar.set_style(style(template));
            self.bar.set_message(step);
            // What was there before says nothing of the rate.
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

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
