//! What was found, for people and for programs.

use serde_json::{Value, json};

use crate::output::{Output, counted};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The server did what it should.
    Ok,
    /// It did not; the detail says what to look at.
    Failed,
    /// It could not be tried; the detail says why.
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

/// One thing that was tried.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) status: Status,
    /// Milliseconds it took.
    pub(crate) ms: u64,
    pub(crate) detail: Option<String>,
}

impl Check {
    /// A line for people.
    pub(super) fn line(&self, out: &Output) -> String {
        let status = format!("{:<7}", self.status.as_str());
        let status = if self.status == Status::Failed { out.bold(&status) } else { status };
        let detail = self.detail.as_deref().unwrap_or_default();
        let line = format!("{status}  {:<10} {:>6} ms  {detail}", self.name, self.ms);
        format!("{}\n", line.trim_end())
    }
}

/// All that was tried on a server.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Whether no check failed and nothing was left undone.
    pub(crate) ok: bool,
    pub(crate) url: String,
    /// What the server calls itself, if it does.
    pub(crate) server: Option<String>,
    pub(crate) checks: Vec<Check>,
    /// Ids of memories that were written and could not be deleted.
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

    /// The last lines for people.
    pub(super) fn verdict(&self) -> String {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let failed = count(Status::Failed);
        let server = self.server.as_deref().map(|server| format!(" ({server})")).unwrap_or_default();
        let mut text = if failed > 0 {
            format!("{}{server}: {} failed", self.url, counted(failed, "check", "checks"))
        } else if self.ok {
            format!("{}{server}: {} ok", self.url, counted(count(Status::Ok), "check", "checks"))
        } else {
            format!("{}{server}: not all was tried", self.url)
        };
        match count(Status::Skipped) {
            0 => {}
            skipped => text.push_str(&format!(", {skipped} skipped")),
        }
        if !self.left_behind.is_empty() {
            text.push_str(&format!("\nleft behind, delete by hand: {}", self.left_behind.join(" ")));
        }
        text + "\n"
    }
}
