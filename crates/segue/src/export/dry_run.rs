//! `--dry-run`: everything but sending.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use secrecy::SecretString;
use segue_model::{Endpoint, RejectReason};
use segue_profile::FieldStats;
use segue_worker::read::{Cut, CutOptions, Cutter, ReadError, Sink};

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
        let mut tally = Tally::default();
        let stats = Cutter::new(&planned.segment, &planned.mapping, &options).run(&mut tally)?;
        Ok::<_, ReadError>((tally, stats))
    };
    let (tally, stats) = tokio::task::spawn_blocking(read).await??;
    tally.say(&stats);
    say_new(embedded, key, target, &tally).await?;
    if tally.rows == 0 && !args.allow_empty {
        ui::say("the segment has no rows: the export would fail (see --allow-empty)");
        return Ok(ExitCode::from(1));
    }
    if let Some(most) = args.max_profiles.filter(|most| tally.profiles > *most) {
        ui::say(format_args!("more than --max-profiles {most}: the export would fail"));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::from(if tally.rejects.is_empty() { 0 } else { 3 }))
}

fn embedded_scratch(embedded: &Embedded) -> PathBuf {
    embedded.scratch().join("dry-run")
}

/// What would have been sent.
#[derive(Default)]
struct Tally {
    rows: u64,
    profiles: u64,
    batches: u64,
    bytes: u64,
    duplicates: u64,
    warnings: u64,
    rejects: BTreeMap<RejectReason, u64>,
    first: Option<Vec<u8>>,
    drawn: Vec<String>,
    looked_at: u64,
    random: SplitMix,
}

impl Sink for Tally {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        self.rows += cut.rows;
        self.profiles += cut.profiles;
        self.batches += u64::from(cut.profiles > 0);
        self.bytes += cut.body.len() as u64;
        self.duplicates += cut.duplicates;
        self.warnings += cut.warnings;
        for (reason, n) in cut.rejects {
            *self.rejects.entry(reason).or_default() += n;
        }
        Ok(())
    }

    /// Keeps the first profile, and a uniform sample of identities (reservoir sampling).
    fn look(&mut self, profile: &[u8], identity: &[u8]) {
        if self.first.is_none() {
            self.first = Some(profile.to_vec());
        }
        self.looked_at += 1;
        let place = if self.drawn.len() < DRAWN {
            self.drawn.push(String::new());
            self.drawn.len() - 1
        } else {
            usize::try_from(self.random.below(self.looked_at)).unwrap_or(usize::MAX)
        };
        if let Some(drawn) = self.drawn.get_mut(place) {
            *drawn = String::from_utf8_lossy(identity).into_owned();
        }
    }
}

impl Tally {
    fn say(&self, stats: &FieldStats) {
        for field in stats.lossy() {
            let (lost, all) = (ui::grouped(field.left_out), ui::grouped(field.non_empty));
            let name = ui::plain(&field.field);
            ui::say(format_args!("LEFT OUT in more than 10 %: {name} ({lost} of {all})"));
        }
        ui::say(format_args!(
            "dry run: {} rows, {} profiles in {} batches ({:.1} MB), {} duplicates, {} warnings",
            ui::grouped(self.rows),
            ui::grouped(self.profiles),
            self.batches,
            super::report::megabytes(self.bytes),
            ui::grouped(self.duplicates),
            ui::grouped(self.warnings),
        ));
        let imports = Endpoint::Import.limits();
        let seconds = at_klaviyos_limits(self.batches, imports.burst, imports.steady);
        ui::say(format_args!(
            "  {} requests: at least {seconds} s at Klaviyo's limits ({}/s, {}/min)",
            self.batches, imports.burst, imports.steady
        ));
        let rejected: u64 = self.rejects.values().sum();
        ui::say(format_args!("  {} rows would be rejected", ui::grouped(rejected)));
        for (reason, n) in &self.rejects {
            ui::say(format_args!("    {reason:<24} {:>12}  {}", ui::grouped(*n), reason.fix()));
        }
        if let Some(first) = &self.first {
            ui::say(format_args!("  first profile: {}", String::from_utf8_lossy(first)));
        }
    }
}

/// Whole seconds from the first to the last of so many requests.
fn at_klaviyos_limits(requests: u64, burst: u32, steady: u32) -> u64 {
    let Some(after_first) = requests.checked_sub(1) else { return 0 };
    let (burst, steady) = (u64::from(burst), u64::from(steady));
    (after_first / steady) * 60 + (after_first % steady) / burst
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
            Ok(reply) => known += reply.value.items.len(),
            Err(CallFailed::Klaviyo(segue_klaviyo::CallError::Forbidden { .. })) => {
                ui::say("  new profiles: unknown, the key may not read profiles (profiles:read)");
                return Ok(());
            }
            Err(err) => return Err(err).context("cannot ask Klaviyo for profiles"),
        }
    }
    let drawn = tally.drawn.len();
    let (low, high) = wilson(drawn.saturating_sub(known), drawn);
    let (low, high) = (share(tally.profiles, low), share(tally.profiles, high));
    ui::say(format_args!(
        "  new profiles: between {} and {}, by {} of {} looked up (Klaviyo bills by active profiles)",
        ui::grouped(low),
        ui::grouped(high),
        ui::grouped(drawn as u64),
        ui::grouped(tally.profiles)
    ));
    Ok(())
}

/// The 95 % interval of Wilson for `hits` in `draws`.
#[expect(clippy::cast_precision_loss, reason = "at most a thousand draws")]
fn wilson(hits: usize, draws: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (n, p) = (draws as f64, hits as f64 / draws as f64);
    let middle = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, between 0 and the number of profiles"
)]
fn share(of: u64, part: f64) -> u64 {
    (of as f64 * part).round() as u64
}

/// A small generator for the sample: which people are looked up need not be secret.
struct SplitMix(u64);

impl Default for SplitMix {
    fn default() -> Self {
        Self(uuid::Uuid::now_v7().as_u64_pair().1)
    }
}

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::{at_klaviyos_limits, wilson};

    #[test]
    fn time_counts_from_the_first_to_the_last_request() {
        assert_eq!(at_klaviyos_limits(0, 10, 150), 0);
        assert_eq!(at_klaviyos_limits(10, 10, 150), 0);
        assert_eq!(at_klaviyos_limits(100, 10, 150), 9);
        assert_eq!(at_klaviyos_limits(151, 10, 150), 60);
    }

    #[test]
    fn interval_holds_the_share_and_stays_within_bounds() {
        let (low, high) = wilson(500, 1000);
        assert!(low > 0.46 && low < 0.5 && high > 0.5 && high < 0.54);
        assert!(wilson(0, 1000).0.abs() < f64::EPSILON);
        assert!(wilson(1000, 1000).1 <= 1.0);
    }
}
