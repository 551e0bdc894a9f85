//! Results of a check, as text and as JSON.

use serde_json::{Value, json};

use crate::output::{Output, pluralize};

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The server behaved as expected.
    Ok,
    /// The server did not; the detail says what to look at.
    Failed,
    /// The check could not run; the detail says why.
    Skipped,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) status: Status,
    /// Duration in milliseconds.
    pub(crate) ms: u64,
    pub(crate) detail: Option<String>,
}

impl Check {
    /// The check as one line of text.
    pub(super) fn line(&self, out: &Output) -> String {
        let status = format!("{:<7}", self.status.as_str());
        let status = if self.status == Status::Failed { out.bold(&status) } else { status };
        let detail = self.detail.as_deref().unwrap_or_default();
        let line = format!("{status}  {:<10} {:>6} ms  {detail}", self.name, self.ms);
        format!("{}\n", line.trim_end())
    }
}

/// All checks of a server.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Whether no check failed, the run was not interrupted and no test data was left.
    pub(crate) ok: bool,
    pub(crate) url: String,
    /// Name of the server, if it is known.
    pub(crate) server: Option<String>,
    pub(crate) checks: Vec<Check>,
    /// Ids of test memories that could not be deleted.
    pub(crate) left_behind: Vec<String>,
}

impl Report {
    pub(crate) fn to_json(&self) -> Value {
        let check = |check: &Check| json!({"name": check.name, "status": check.status.as_str(), "ms": check.ms, "detail": check.detail});
        json!({
            "ok": self.ok,
            "url": self.url,
            "server": self.server,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "left_behind": self.left_behind,
        })
    }

    /// The last lines of the text output.
    pub(super) fn verdict(&self) -> String {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let failed = count(Status::Failed);
        let server = self.server.as_deref().map(|server| format!(" ({server})")).unwrap_or_default();
        let mut text = if failed > 0 {
            format!("{}{server}: {} failed", self.url, pluralize(failed, "check", "checks"))
        } else if self.ok {
            format!("{}{server}: {} ok", self.url, pluralize(count(Status::Ok), "check", "checks"))
        } else {
            format!("{}{server}: not all checks were run", self.url)
        };
        match count(Status::Skipped) {
            0 => {}
            skipped => text.push_str(&format!(", {skipped} skipped")),
        }
        if !self.left_behind.is_empty() {
            text.push_str(&format!(
                "\ntest data that was not deleted, delete it by hand: {}",
                self.left_behind.join(" ")
            ));
        }
        text + "\n"
    }
}
