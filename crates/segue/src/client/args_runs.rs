//! What can be typed after `segue runs|jobs`.

use clap::{Args, Subcommand};

use super::args::ServerArgs;

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Runs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    /// Start a run of an export.
    Start {
        #[arg(required_unless_present = "all")]
        export: Option<String>,
        /// Start a run of each export that runs by a schedule.
        #[arg(long, conflicts_with_all = ["export", "watch"])]
        all: bool,
        /// The same request again starts no second run [default: a new one].
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Send whatever the guards of growth, shrinkage, rejects and number of profiles say, this once.
        #[arg(long, conflicts_with = "all")]
        override_guards: bool,
        /// A trial: read and send only the first rows. No other run is measured by it.
        #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
        trial_rows: Option<u64>,
        /// Wait until it has ended. The exit code tells how: 0 succeeded, 3 completed with rejects, 1 otherwise.
        #[arg(long)]
        watch: bool,
    },
    /// Send nothing more. What Klaviyo has accepted is still confirmed.
    Cancel { run: String },
    /// Send what an ended run left undelivered, as a new run.
    Retry {
        run: String,
        /// The same request again starts no second run [default: a new one].
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Wait until it has ended.
        #[arg(long)]
        watch: bool,
    },
    /// Show one.
    Get { run: String },
    /// Show runs, newest first.
    List {
        /// Only those of this export.
        #[arg(long, value_name = "EXPORT")]
        export: Option<String>,
        /// Only those in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value = "20")]
        limit: usize,
    },
    /// Follow a run to its end. The exit code tells how it ended.
    Watch { run: String },
    /// Write the rejected rows of a run as CSV, or as JSON lines.
    Rejects {
        run: String,
        /// Fields that were left out, in place of rows that were not delivered.
        #[arg(long)]
        warnings: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Jobs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// Jobs whose messages no worker could take.
    Dead {
        #[command(subcommand)]
        command: DeadJobs,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadJobs {
    /// Show them: which run, which batch, why, and when the job is announced again by itself.
    List {
        /// Only those of this run.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// Announce the job again, now.
    Requeue {
        #[arg(value_name = "DEAD_JOB")]
        dead_job: String,
    },
    /// Give up what the job was for: its batch stays undelivered, and a run that was not read fails.
    Drop {
        #[arg(value_name = "DEAD_JOB")]
        dead_job: String,
    },
}
