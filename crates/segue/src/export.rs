//! `segue export`: one segment, one list, one report.

mod dry_run;
mod preflight;
mod progress;
mod records;
mod report;
mod segment;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use segue_control_plane::{NewRun, Origin, Resumed, RunColumns};
use segue_klaviyo::{Client, Config, ListId};
use segue_model::{Guards, Id, RunId, RunState};
use segue_source::Segment;
use segue_worker::read::{Plan, ReadPlan, segment_sources};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::ExportArgs,
    data::DataFolder,
    embedded::{Embedded, Memory},
    export::{preflight::Target, segment::Planned},
    interrupt, key, ui,
};

/// How long a run may take before it is given up.
const DEADLINE: Duration = Duration::from_hours(24);
/// How many batches of one run may be split in two: enough to find one bad row in each of some batches,
/// not enough to send a whole segment in pieces.
const SPLITS: u64 = 256;

pub(crate) async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let interrupted = CancellationToken::new();
    interrupt::watch(interrupted.clone()).context("cannot listen for signals")?;
    let key = key::read(args.api_key_file.as_deref())?;
    let client = client(&args)?;
    let folder = DataFolder::open(args.data.clone()).await?;
    let memory = Memory { dedupe: args.dedupe_memory, staging: args.staging_memory };
    let embedded = Embedded::open(&folder, client, memory).await?;
    let export = Export { args, embedded, memory, key, interrupted };
    match export.args.resume {
        Some(run) => export.resume(run).await,
        None => export.start().await,
    }
}

fn client(args: &ExportArgs) -> anyhow::Result<Client> {
    let mut config = Config::for_base_url(args.klaviyo_url.clone());
    config.revision.clone_from(&args.revision);
    Client::new(&config).with_context(|| format!("cannot use {}", args.klaviyo_url))
}

struct Export {
    args: ExportArgs,
    embedded: Embedded,
    memory: Memory,
    key: secrecy::SecretString,
    interrupted: CancellationToken,
}

impl Export {
    async fn start(self) -> anyhow::Result<ExitCode> {
        let list: ListId = match &self.args.list {
            Some(list) => list.parse().with_context(|| format!("{list:?} is no id of a list"))?,
            None => bail!("name the list with --list"),
        };
        let (args, url) = (&self.args, self.args.klaviyo_url.as_str());
        // Klaviyo is asked while the segment is looked at; neither waits for the other.
        let (planned, target) = tokio::join!(
            segment::plan(args),
            preflight::ask(&self.embedded, &self.key, url, &list),
        );
        let (planned, target) = (planned?, target?);
        for run in segue_store::read::unfinished(self.embedded.control_plane.store()).await? {
            ui::note(format_args!("unfinished run in this folder: segue export --resume {run}"));
        }
        self.show(&planned, &target);
        if args.dry_run {
            return dry_run::run(&self.embedded, &self.key, &target, planned, args).await;
        }
        if let Some(code) = self.may_begin(&target)? {
            return Ok(code);
        }
        let run: RunId = Id::from_uuid(uuid::Uuid::now_v7());
        self.embedded.keys.insert(target.account.id.clone(), self.key.clone());
        self.embedded.control_plane.start_run(&self.new_run(run, &planned, &target)?).await?;
        // Said before the first request: whoever kills the process gets no last word from it.
        ui::note(format_args!("run      {run}, if it is cut short: segue export --resume {run}"));
        self.see_through(run, planned.segment, &target).await
    }

    fn new_run(&self, run: RunId, planned: &Planned, target: &Target) -> anyhow::Result<NewRun> {
        let plan = ReadPlan {
            rules_version: ReadPlan::RULES_VERSION,
            sources: self.args.sources.clone(),
            manifest: planned.segment.manifest(),
            mapping: planned.mapping.clone(),
            limit: self.args.limit,
            batch_profiles: None,
        };
        let (allow_empty, max_profiles) = (self.args.allow_empty, self.args.max_profiles);
        let guards = Guards { allow_empty, max_profiles, ..Guards::default() };
        let segments = segment_sources(&planned.segment, &self.args.sources);
        Ok(NewRun {
            run,
            account_id: target.account.id.clone(),
            list_id: target.list.id.as_str().to_owned(),
            plan: Plan::Frozen(plan).to_json()?,
            hold: guards.hold(),
            guards,
            guards_overridden: false,
            trial_rows: self.args.limit,
            freshness: None,
            segments: Some(serde_json::to_string(&segments)?),
            columns: RunColumns::default(),
            confirm_timeout: self.args.confirm_timeout,
            deadline: DEADLINE,
            splits: SPLITS,
            frozen: true,
            origin: Origin::default(),
        })
    }

    async fn resume(self, run: RunId) -> anyhow::Result<ExitCode> {
        let control_plane = Arc::clone(&self.embedded.control_plane);
        let known = segue_store::read::planned(control_plane.store(), run).await?;
        let Some(known) = known else {
            bail!("{run} is not in this data folder: look for it with --data");
        };
        let Ok(Plan::Frozen(plan)) = Plan::parse(&known.plan) else {
            bail!("the run was planned by another version of segue, start a new one");
        };
        let list: ListId = known.list_id.parse().context("the run has no valid list")?;
        let url = self.args.klaviyo_url.as_str();
        let sources = plan.sources.clone();
        let (segment, target) = tokio::join!(
            segment::open(sources),
            preflight::ask(&self.embedded, &self.key, url, &list),
        );
        let (segment, target) = (segment?, target?);
        segment.check(&plan.manifest).context("the run cannot go on; start a new one")?;
        if target.account.id != known.account_id {
            bail!(
                "the run was started for the Klaviyo account {}, but the key belongs to {}",
                known.account_id,
                target.account.id
            );
        }
        preflight::show(&target);
        if let Some(code) = self.may_begin(&target)? {
            return Ok(code);
        }
        self.embedded.keys.insert(target.account.id.clone(), self.key.clone());
        match control_plane.resume_run(run).await? {
            Resumed::GoesOn(_) => {}
            Resumed::Ended(state) => ui::note(format_args!("{run} has ended already: {state}")),
        }
        self.see_through(run, segment, &target).await
    }

    fn show(&self, planned: &Planned, target: &Target) {
        preflight::show(target);
        segment::show(planned);
        if let Some(most) = self.args.max_profiles {
            ui::note(format_args!("nothing is sent if there are more than {most} profiles"));
        }
    }

    /// Asks whoever has to be asked. An exit code means: not today.
    fn may_begin(&self, target: &Target) -> anyhow::Result<Option<ExitCode>> {
        report::check_paths(&self.args)?;
        if !self.args.allow_live_flows {
            target.refuse_live_flows()?;
        }
        if self.args.yes || !ui::is_terminal() {
            return Ok(None);
        }
        let question = format!("export to the list {:?}?", ui::plain(&target.list_name()));
        if ui::ask(&question)? {
            return Ok(None);
        }
        ui::note("nothing was sent");
        Ok(Some(ExitCode::from(interrupt::EXIT_CODE)))
    }

    /// Runs the services until the run has ended, and reports.
    async fn see_through(
        self,
        run: RunId,
        segment: Segment,
        target: &Target,
    ) -> anyhow::Result<ExitCode> {
        let store = self.embedded.control_plane.store().clone();
        let mut running = self.embedded.start(self.memory, segment.clone());
        let size = segment.size_bytes();
        let watched = progress::watch(store.clone(), run, size, running.readers.of(run));
        let ended = tokio::select! {
            state = self.embedded.control_plane.ended(run) => Some(state?),
            err = running.failed() => return Err(err.context(unfinished(run))),
            () = self.interrupted.cancelled() => None,
        };
        watched.finish().await;
        running.drain().await;
        let Some(state) = ended else {
            ui::note(format_args!("interrupted. {}", unfinished(run)));
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        };
        report::write(&self.args, &self.embedded, run, &segment, target).await?;
        self.embedded.staging.off_thread(move |staging| staging.delete_run(run)).await?;
        Ok(ExitCode::from(match state {
            RunState::Succeeded => 0,
            RunState::CompletedWithRejects => 3,
            _ => 1,
        }))
    }
}

fn unfinished(run: RunId) -> String {
    format!("The run is not finished; go on with: segue export --resume {run}")
}
