//! `--dry-run`: everything but sending.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use secrecy::SecretString;
use segue_model::{
    Endpoint,
    estimate::{Between, least_seconds},
};
use segue_profile::FieldStats;
use segue_worker::read::{CutOptions, Cutter, Kept, ReadError, Tally};

use super::{
    preflight::{self, CallFailed, Target},
    segment::Planned,
};
use crate::{cli::ExportArgs, embedded::Embedded, ui};

/// Identities that are looked up to estimate how many are new.
const DRAWN: usize = 1000;

pub(super) async fn run(
    embedded: &Embedded,
    key: &SecretString,
    target: &Target,
    planned: Planned,
    args: &ExportArgs,
) -> anyhow::Result<ExitCode> {
    let options = CutOptions {
        list: target.list.id.clone(),
        seed: uuid::Uuid::now_v7().as_u64_pair().1,
        dedupe_memory: args.dedupe_memory,
        scratch: embedded_scratch(embedded),
        batch_profiles: segue_model::MAX_BATCH_PROFILES,
        limit: args.limit,
    };
    let read = move || {
        let kept = Kept { profiles: 1, drawn: DRAWN, ..Kept::default() };
        let mut tally = Tally::new(kept, options.seed);
        let stats = Cutter::new(&planned.segment, &planned.mapping, &options).run(&mut tally)?;
        Ok::<_, ReadError>((tally, stats))
    };
    let (tally, stats) = tokio::task::spawn_blocking(read).await??;
    say(&tally, &stats);
    say_new(embedded, key, target, &tally).await?;
    if tally.sums.rows == 0 && !args.allow_empty {
        ui::say("the segment has no rows: the export would fail (see --allow-empty)");
        return Ok(ExitCode::from(1));
    }
    if let Some(most) = args.max_profiles.filter(|most| tally.sums.profiles > *most) {
        ui::say(format_args!("more than --max-profiles {most}: the export would fail"));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::from(if tally.sums.rejects.is_empty() { 0 } else { 3 }))
}

fn embedded_scratch(embedded: &Embedded) -> PathBuf {
    embedded.scratch().join("dry-run")
}

fn say(tally: &Tally, stats: &FieldStats) {
    for field in stats.lossy() {
        let (lost, all) = (ui::grouped(field.left_out), ui::grouped(field.non_empty));
        let name = ui::plain(&field.field);
        ui::say(format_args!("LEFT OUT in more than 10 %: {name} ({lost} of {all})"));
    }
    ui::say(format_args!(
        "dry run: {} rows, {} profiles in {} batches ({:.1} MB), {} duplicates, {} warnings",
        ui::grouped(tally.sums.rows),
        ui::grouped(tally.sums.profiles),
        tally.sums.batches,
        super::report::megabytes(tally.sums.bytes),
        ui::grouped(tally.sums.duplicates),
        ui::grouped(tally.sums.warnings),
    ));
    let imports = Endpoint::Import.limits();
    let seconds = least_seconds(tally.sums.batches, Endpoint::Import);
    ui::say(format_args!(
        "  {} requests: at least {seconds} s at Klaviyo's limits ({}/s, {}/min)",
        tally.sums.batches, imports.burst, imports.steady
    ));
    let rejected = tally.sums.rejected();
    ui::say(format_args!("  {} rows would be rejected", ui::grouped(rejected)));
    for (reason, n) in &tally.sums.rejects {
        ui::say(format_args!("    {reason:<24} {:>12}  {}", ui::grouped(*n), reason.fix()));
    }
    if let Some(first) = tally.first.first() {
        ui::say(format_args!("  first profile: {first}"));
    }
}

/// How many profiles would be new to the account: Klaviyo bills by active profiles.
async fn say_new(
    embedded: &Embedded,
    key: &SecretString,
    target: &Target,
    tally: &Tally,
) -> anyhow::Result<()> {
    if tally.drawn.is_empty() {
        return Ok(());
    }
    let mut known = 0;
    for some in tally.drawn.chunks(segue_klaviyo::MAX_EMAILS) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        let call = || embedded.client.profiles_by_email(key, &some);
        let control_plane = &embedded.control_plane;
        let asked =
            preflight::paced(control_plane, &target.account.id, Endpoint::Profiles, call).await;
        match asked {
            Ok(reply) => known += reply.value.items.len() as u64,
            Err(CallFailed::Klaviyo(segue_klaviyo::CallError::Forbidden { .. })) => {
                ui::say("  new profiles: unknown, the key may not read profiles (profiles:read)");
                return Ok(());
            }
            Err(err) => return Err(err).context("cannot ask Klaviyo for profiles"),
        }
    }
    let drawn = tally.drawn.len() as u64;
    let Between { low, high } =
        Between::of(tally.sums.profiles, drawn.saturating_sub(known), drawn);
    ui::say(format_args!(
        "  new profiles: between {} and {}, by {} of {} looked up (Klaviyo bills by active profiles)",
        ui::grouped(low),
        ui::grouped(high),
        ui::grouped(drawn),
        ui::grouped(tally.sums.profiles)
    ));
    Ok(())
}
