//! `mnemon update`: changes a memory; what is not named stays.

use jiff::civil::Date;
use mnemon_engine::UpdateRequest;

use super::input::{self, MetadataArgs};
use super::list::for_people;
use crate::error::Exit;
use crate::output::{Output, item};
use crate::settings::Settings;
use crate::wiring;

/// What to change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Metadata that is given takes the place of all there was. The text before stays in the history."
)]
pub(crate) struct UpdateArgs {
    /// The memory's id
    id: String,
    /// Its new text
    text: Option<String>,
    #[command(flatten)]
    metadata: MetadataArgs,
    /// The last day it is shown
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = input::date)]
    expires: Option<Date>,
    /// Show it without end
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
    out.value(&item(&memory, None), |_| for_people(&memory, out))?;
    Ok(Exit::Ok)
}
