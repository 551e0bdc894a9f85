//! `mnemon doctor`: whether the store is sound.

use serde_json::{Value, json};

use super::stats::{lines, of_store};
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0: all is well; 3: something was found; 1: the store can't be opened.")]
pub(crate) struct DoctorArgs {}

pub(crate) fn run(_: &DoctorArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = settings.open_engine_as_it_is()?;
    let info = engine.store().info()?;
    let findings = engine.store().check()?;
    let shown: Vec<Value> = findings
        .iter()
        .map(|finding| json!({"check": finding.check, "count": finding.count, "detail": finding.detail}))
        .collect();
    let answer = json!({
        "ok": findings.is_empty(),
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings.file().map(|file| file.display().to_string()),
        "store": of_store(&info),
        "findings": shown,
    });
    out.value(&answer, |answer| {
        let settings = answer["settings"].as_str().unwrap_or("defaults");
        let mut text = format!("mnemon        {}\nsettings      {settings}\n", env!("CARGO_PKG_VERSION"));
        text.push_str(&lines(&answer["store"]));
        text.push('\n');
        for finding in &findings {
            text.push_str(&format!("found  {}: {} {}\n", finding.check, finding.count, finding.detail));
        }
        if findings.is_empty() {
            text.push_str("all is well\n");
        }
        text
    })?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Differences })
}
