//! `segue apply`: what there should be, as files say it.
//!
//! Files are read into a [`Document`](document::Document) each, together they are what is
//! [`Desired`], the server tells what is [`Present`], and a pure function plans what has to change.

mod desired;
mod document;
mod field;
mod lines;
mod perform;
mod plan;
mod present;
#[cfg(test)]
mod schema;
mod show;
mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timing;
mod warn;

use std::process::ExitCode;

use anyhow::bail;

use super::{Output, Servers, args::ApplyArgs, connections::CONSENT_VERSION};
use crate::{interrupt, ui};
use desired::{Desired, Problems};
use plan::{Action, Change};
use present::Present;
use source::Source;

/// The form of a file, for editors.
const SCHEMA: &str = include_str!("../../../../docs/segue.schema.json");
/// Of `--plan`, if something would change.
const WOULD_CHANGE: u8 = 2;

pub(super) async fn run(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        ui::say(SCHEMA.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let desired = read(&args)?;
    let servers = Servers::new(&args.server)?;
    let present = Present::read(&servers).await?;
    let mut changes = plan::plan(&desired, &present, CONSENT_VERSION, args.prune)?;
    let nothing = !changes.iter().any(|change| change.action.changes_something());
    if servers.output == Output::Table {
        show::lines(&changes).iter().for_each(ui::say);
    }
    if args.plan || nothing {
        warn::of_live_flows(&servers, &desired, &present, &changes).await;
        // Where nothing is left to do the server has it already.
        tell(servers.output, &changes, nothing && !args.plan)?;
        return Ok(ExitCode::from(if nothing { 0 } else { WOULD_CHANGE }));
    }
    let keys = perform::keys(&desired, &changes)?;
    if !may_begin(&args, &changes)? {
        ui::note("nothing was changed");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    perform::perform(&servers, &desired, &present, &keys, &mut changes).await?;
    tell(servers.output, &changes, true)?;
    Ok(ExitCode::SUCCESS)
}

/// All files, or all that is wrong with them.
fn read(args: &ApplyArgs) -> anyhow::Result<Desired> {
    let mut desired = Desired::default();
    let mut problems = Problems::default();
    for path in &args.files {
        let source = Source::read(path)?;
        desired.add(&source.name, &source.folder, source.parse()?, &mut problems);
    }
    problems.check()?;
    Ok(desired)
}

fn tell(output: Output, changes: &[Change], applied: bool) -> anyhow::Result<()> {
    if output == Output::Json {
        let summary = show::Summary::of(changes);
        ui::say(serde_json::to_string_pretty(&show::Shown { applied, summary, changes })?);
    }
    Ok(())
}

/// Asks whoever sits there. Where nobody does, nothing is removed without `--yes`: a file that has lost a part
/// of itself would take exports with it.
fn may_begin(args: &ApplyArgs, changes: &[Change]) -> anyhow::Result<bool> {
    if args.yes {
        return Ok(true);
    }
    let removed = changes.iter().filter(|it| it.action == Action::Remove).count();
    if ui::is_terminal() {
        let question = match removed {
            0 => "apply this?".to_owned(),
            n => format!("apply this, and remove {n} of what the server has?"),
        };
        return Ok(ui::ask(&question)?);
    }
    if removed > 0 {
        bail!(
            "nothing was changed: --prune removes {removed} of what the server has; look at it with --plan, \
             then add --yes"
        );
    }
    Ok(true)
}
