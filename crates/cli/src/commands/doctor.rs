//! `mnemon doctor`: whether the store is sound, and what can be mended.

use mnemon_store::Finding;
use serde_json::{Value, json};

use super::stats::{lines, of_store};
use crate::exit::Exit;
use crate::output::{OnClosed, Output, counted};
use crate::settings::Settings;

/// Whether to mend.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: all is well, or was mended; 3: something was found; 1: the store can't be opened."
)]
pub(crate) struct DoctorArgs {
    /// Mend what can be mended without losing a memory, then check again
    #[arg(long)]
    fix: bool,
}

impl DoctorArgs {
    /// What a closed stdout does to it: the report is the product, repairs are work.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        if self.fix { OnClosed::GoOn } else { OnClosed::Stop(Exit::Failed) }
    }
}

pub(crate) fn run(args: &DoctorArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = settings.open_engine_as_it_is()?;
    let store = engine.store();
    let mended = if args.fix { store.repair()? } else { Vec::new() };
    let info = store.info()?;
    let findings = store.check()?;
    let waiting = engine.waiting()?;
    let answer = json!({
        "ok": findings.is_empty(),
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings.file().map(|file| file.display().to_string()),
        "store": of_store(&info),
        "mended": told(&mended),
        "findings": told(&findings),
        "warnings": store.warnings(),
        "waiting": waiting.requests,
        "waiting_reason": waiting.reason,
    });
    out.value(&answer, |answer| text(answer, args.fix, &out.bold("WARNING")))?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Differences })
}

fn told(findings: &[Finding]) -> Value {
    let told = |finding: &Finding| json!({"check": finding.check, "count": finding.count, "detail": finding.detail});
    findings.iter().map(told).collect()
}

fn text(answer: &Value, fixed: bool, warning: &str) -> String {
    let settings = answer["settings"].as_str().unwrap_or("defaults");
    let mut text = format!("mnemon        {}\nsettings      {settings}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&lines(&answer["store"]));
    text.push('\n');
    let items = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
    for (key, mark) in [("mended", "mended"), ("findings", if fixed { "left  " } else { "found " })] {
        for finding in items(key) {
            let word = |key: &str| finding[key].as_str().unwrap_or_default();
            text.push_str(&format!("{mark} {}: {} {}\n", word("check"), finding["count"], word("detail")));
        }
    }
    if let Some(waiting) = answer["waiting"].as_u64().filter(|waiting| *waiting > 0) {
        text.push_str(&format!(
            "waiting {} for a model{}: a running server takes them up\n",
            counted(waiting as usize, "request", "requests"),
            answer["waiting_reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default(),
        ));
    }
    for sentence in items("warnings") {
        text.push_str(&format!("{warning} {}\n", sentence.as_str().unwrap_or_default()));
    }
    text.push_str(match (items("findings").is_empty(), items("warnings").is_empty()) {
        (true, true) => "all is well\n",
        (true, false) => "all that is stored is sound; heed the warnings\n",
        (false, _) if fixed => "",
        (false, _) => "`mnemon doctor --fix` mends what can be mended\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_last_and_are_no_findings() {
        let answer = json!({
            "store": {"memories": 1}, "mended": [], "findings": [], "warnings": ["no slot for words: recreate it"],
        });
        let text = text(&answer, false, "WARNING");
        let end = "WARNING no slot for words: recreate it\nall that is stored is sound; heed the warnings\n";
        assert!(text.ends_with(end), "{text}");
    }
}
