//! `mnemon update`: changes parts of a memory.

use jiff::civil::Date;
use mnemon_engine::UpdateRequest;

use super::input::{self, MetadataArgs};
use super::list::to_text;
use crate::error::Exit;
use crate::output::{Output, memory_to_json};
use crate::settings::Settings;
use crate::wiring;

/// What to change. Parts that are not given stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Given metadata replaces all previous metadata. The previous text stays in the history.")]
pub(crate) struct UpdateArgs {
    /// The memory's id
    id: String,
    /// New text
    text: Option<String>,
    #[command(flatten)]
    metadata: MetadataArgs,
    /// New expiration date: the last day on which the memory is shown
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = input::date)]
    expires: Option<Date>,
    /// Remove the expiration date
    #[arg(long, conflicts_with = "expires")]
    no_expires: bool,
}

pub(crate) fn run(args: &UpdateArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let id = input::memory_id(&args.id)?;
    let request = UpdateRequest {
        text: args.text.clone(),
        metadata: args.metadata.read()?,
        expiration_date: if args.no_expires { Some(None) } else { args.expires.map(Some) },
    };
    let memory = wiring::open_engine(settings)?.update(id, &request)?;
    out.value(&memory_to_json(&memory, None), |_| to_text(&memory, out))?;
    Ok(Exit::Ok)
}
