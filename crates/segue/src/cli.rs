//! What can be typed.
#![expect(clippy::doc_markdown, reason = "these comments are the help text, not Markdown")]

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use segue_model::RunId;
use segue_profile::{Country, MapRule};
use segue_service::config::{self, ConfigArgs};

use crate::{
    client::{
        ApplyArgs, AuditArgs, ConnectionsArgs, ExportsArgs, JobsArgs, KeysArgs, ListsArgs,
        RunsArgs, ScheduleArgs, SourcesArgs, TokensArgs,
    },
    completion::CompletionArgs,
    sample::SampleArgs,
    simulator::SimulatorArgs,
};

/// Exports segments of customer profiles into Klaviyo lists.
#[derive(Debug, Parser)]
#[command(name = "segue", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Export a segment to a Klaviyo list.
    ///
    /// Reads CSV or NDJSON files, plain or compressed (.gz, .zst), checks every row, uploads at the pace
    /// that the account allows, waits until Klaviyo has confirmed each batch, and accounts for every row.
    ///
    /// Exit codes: 0 succeeded, 3 completed with rejects, 1 failed, 2 wrong usage, 130 interrupted.
    Export(Box<ExportArgs>),
    /// Write a sample segment of people who cannot exist.
    Sample(SampleArgs),
    /// Run a Klaviyo that exists only on this machine.
    Simulator(Box<SimulatorArgs>),
    #[command(flatten)]
    Service(ServiceCommand),
    /// Bring the schema of the database up to date.
    Migrate(Box<ConfigArgs<config::Migrate>>),
    /// Named Klaviyo accounts, kept by the services.
    Connections(ConnectionsArgs),
    /// The lists of a Klaviyo account, to pick one or make one.
    Lists(ListsArgs),
    /// What lies in the workers' source folder, to pick segments.
    Sources(SourcesArgs),
    /// What is exported where, kept by the services.
    Exports(Box<ExportsArgs>),
    /// When exports run by themselves unless they say otherwise.
    Schedule(ScheduleArgs),
    /// Start, stop and follow runs of exports.
    Runs(RunsArgs),
    /// Look after jobs that no worker could take.
    Jobs(JobsArgs),
    /// By which the services know who asks.
    Tokens(TokensArgs),
    /// Who did what.
    Audit(AuditArgs),
    /// The master key, which seals the keys of all connections.
    Keys(KeysArgs),
    /// Make connections, exports and the schedule of the system what files say.
    ///
    /// Shows what differs, asks, and changes only that. docs/apply.md has the form of a file.
    ///
    /// Exit codes: 0 the server has what the files say, 1 failed, 130 you said no; with --plan 2 if something
    /// would change.
    Apply(Box<ApplyArgs>),
    /// Write a script that lets a shell complete this command line.
    ///
    /// Bash: put it into ~/.local/share/bash-completion/completions/segue. Zsh: into _segue in a folder of
    /// $fpath. Fish: into ~/.config/fish/completions/segue.fish.
    Completion(CompletionArgs),
}

/// What runs until it is told to stop.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Run all services in this one process.
    Serve(Box<ConfigArgs<config::Serve>>),
    /// Run the service that decides: connections, exports, runs, jobs, permits.
    ControlPlane(Box<ConfigArgs<config::ControlPlane>>),
    /// Run a service that reads, uploads and confirms.
    Worker(Box<ConfigArgs<config::Worker>>),
    /// Run the service that tells how runs fare.
    Status(Box<ConfigArgs<config::Status>>),
    /// Run the web console: pages for people, a client of the services.
    Console(Box<ConfigArgs<config::Console>>),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct ExportArgs {
    /// Files or globs; together they are one segment, in this order.
    #[arg(value_name = "FILE|GLOB", required_unless_present = "resume")]
    pub(crate) sources: Vec<String>,
    /// Id of the Klaviyo list, as its page shows it.
    #[arg(long, value_name = "LIST_ID", required_unless_present = "resume")]
    pub(crate) list: Option<String>,

    #[command(flatten)]
    pub(crate) mapping: MappingArgs,

    /// Write the report as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Write the rejected rows as CSV, with their original columns, to be mended and exported again.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) rejects: Option<PathBuf>,
    /// Write the warnings as CSV: fields that were left out although the person was sent.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) warnings: Option<PathBuf>,

    /// Export only the first N rows.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub(crate) limit: Option<u64>,
    /// Read and check everything, say what would be sent, and send nothing.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Go on although the list starts a live flow: people who join it will get its messages.
    #[arg(long)]
    pub(crate) allow_live_flows: bool,
    /// A segment without rows is no failure.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) allow_empty: bool,
    /// Send nothing if the segment has more profiles. The whole segment is then read before the first
    /// request.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub(crate) max_profiles: Option<u64>,
    /// Go on with an unfinished run.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["sources", "list", "email", "map", "properties", "default_country"])]
    pub(crate) resume: Option<RunId>,

    /// A file that holds the private API key; without it the key comes from KLAVIYO_API_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Where Klaviyo is.
    #[arg(
        long,
        value_name = "URL",
        env = "SEGUE_KLAVIYO_URL",
        default_value = "https://a.klaviyo.com"
    )]
    pub(crate) klaviyo_url: url::Url,
    /// The revision of Klaviyo's API.
    #[arg(
        long,
        value_name = "YYYY-MM-DD",
        env = "SEGUE_KLAVIYO_REVISION",
        default_value = segue_klaviyo::DEFAULT_REVISION
    )]
    pub(crate) revision: String,
    /// Where runs are kept [default: $XDG_DATA_HOME/segue]. One export at a time uses a folder.
    #[arg(long, value_name = "FOLDER", env = "SEGUE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Memory for the addresses that were seen; beyond it they go to the data folder.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes)]
    pub(crate) dedupe_memory: usize,
    /// Memory for batches that wait; beyond it they go to the data folder.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes)]
    pub(crate) staging_memory: usize,
    /// How long Klaviyo may take to confirm a batch that it has accepted.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = duration, conflicts_with = "resume")]
    pub(crate) confirm_timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct MappingArgs {
    /// The column that holds the email address, if its name does not say so or several do.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email: Option<String>,
    /// Send a column as an attribute: `location.city=town`, `properties.tier=loyalty`,
    /// `properties.tier:text=loyalty`. May be repeated.
    #[arg(long, value_name = "ATTRIBUTE=COLUMN")]
    pub(crate) map: Vec<MapRule>,
    /// Which other columns become custom properties: `all`, `none`, or their names with commas.
    #[arg(long, value_name = "all|none|COL,COL", default_value = "all")]
    pub(crate) properties: String,
    /// Where phone numbers without + are from, such as `DE`. Without it they are left out.
    #[arg(long, value_name = "ISO CODE")]
    pub(crate) default_country: Option<Country>,
}

/// `64MiB`, `1GiB`, `500kB` or a number of bytes.
fn bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let unit = UNITS.iter().find(|(name, _)| text.ends_with(name));
    let (digits, factor) =
        unit.map_or((text, 1), |(name, factor)| (&text[..text.len() - name.len()], *factor));
    let number = digits.trim().parse::<usize>().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "write a size such as 64MiB".to_owned())
}

/// `90s`, `10m`, `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.trim().parse::<u64>().ok();
    let parsed = match text.char_indices().last() {
        Some((at, 's')) => number(&text[..at]).map(Duration::from_secs),
        Some((at, 'm')) => number(&text[..at]).map(|n| Duration::from_secs(n.saturating_mul(60))),
        Some((at, 'h')) => number(&text[..at]).map(|n| Duration::from_secs(n.saturating_mul(3600))),
        _ => None,
    };
    parsed.ok_or_else(|| "write a time such as 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use super::{Cli, bytes, duration};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        assert_eq!(bytes("8MiB"), Ok(8 << 20));
        assert_eq!(bytes("500kB"), Ok(500_000));
        assert_eq!(bytes("12"), Ok(12));
        assert!(bytes("much").is_err() && bytes("99999999999GiB").is_err());
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("2").is_err() && duration("").is_err());
    }
}
