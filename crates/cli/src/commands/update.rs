//! `mnemon update`: changes parts of a memory.

use jiff::civil::Date;
use mnemon_engine::{MetadataMode, UpdateRequest};

use super::input::{self, MetadataArgs};
use super::list::to_text;
use crate::error::Exit;
use crate::output::{Output, memory_to_json};
use crate::settings::Settings;
use crate::wiring;

/// What to change. Parts that are not given stay.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Given metadata is added to the previous metadata: keys that are not given stay, unless --replace-metadata is set. The \
                  previous text stays in the history."
)]
pub(crate) struct UpdateArgs {
    /// The memory's id
    id: String,
    /// New text
    text: Option<String>,
    #[command(flatten)]
    metadata: MetadataArgs,
    /// Remove the metadata keys that are not given; without keys, all of them
    #[arg(long)]
    replace_metadata: bool,
    /// New expiration date: the last day on which the memory is shown, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = input::date)]
    expires: Option<Date>,
    /// Remove the expiration date
    #[arg(long, conflicts_with = "expires")]
    no_expires: bool,
}

pub(crate) fn run(args: &UpdateArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let id = input::memory_id(&args.id)?;
    let mut metadata = args.metadata.read()?;
    let mut metadata_mode = MetadataMode::Merge;
    if args.replace_metadata {
        metadata.get_or_insert_default();
        metadata_mode = MetadataMode::Replace(|_, _, _| false);
    }
    let request = UpdateRequest {
        text: args.text.clone(),
        metadata,
        metadata_mode,
        event_time: None,
        expiration_date: if args.no_expires { Some(None) } else { args.expires.map(Some) },
    };
    let memory = wiring::open_engine(settings)?.update(id, &request)?;
    out.value(&memory_to_json(&memory, None), |_| to_text(&memory, out))?;
    Ok(Exit::Ok)
}
