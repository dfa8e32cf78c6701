//! What can be typed after `segue connections|lists|exports|schedule|tokens|apply`.
#![expect(clippy::doc_markdown, reason = "these comments are the help text, not Markdown")]

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    args_admin::{KeyReferenceArgs, SharingArgs},
    guards::{FreshnessArgs, GuardArgs, GuardChangeArgs},
};

/// Where the services are, and how to show what they say.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The control-plane.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "SEGUE_SERVER",
        default_value = "http://127.0.0.1:7400"
    )]
    pub(super) server: String,
    /// The status service, if it is not where the control-plane is.
    #[arg(long, global = true, value_name = "URL", env = "SEGUE_STATUS_URL")]
    pub(super) status_url: Option<String>,
    /// A certificate (PEM) to trust besides those of the system.
    #[arg(long, global = true, value_name = "FILE", env = "SEGUE_TLS_CA_FILE")]
    pub(super) tls_ca_file: Option<PathBuf>,
    /// Send the token over http to another machine, where whoever is between can read it.
    #[arg(long, global = true, env = "SEGUE_INSECURE_HTTP")]
    pub(super) insecure_http: bool,
    /// A file with the token by which the server knows who asks; SEGUE_TOKEN may hold the token itself. On the
    /// machine of `segue serve` its first token is found without this.
    #[arg(long, global = true, value_name = "FILE", env = "SEGUE_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// For people or for programs.
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Connections,
}

#[derive(Debug, Subcommand)]
pub(super) enum Connections {
    /// Keep a private key of a Klaviyo account. The key comes from KLAVIYO_API_KEY or a file.
    Create {
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        display_name: String,
        /// A file that holds the private API key; without it the key comes from KLAVIYO_API_KEY.
        #[arg(long, value_name = "FILE", conflicts_with = "KeyReferenceArgs")]
        api_key_file: Option<PathBuf>,
        #[command(flatten)]
        reference: KeyReferenceArgs,
        /// You agree that personal data is sent to Klaviyo: docs/consent.md has the text.
        #[arg(long)]
        accept_consent: bool,
        /// Who agrees.
        #[arg(long, value_name = "WHO", env = "USER")]
        accepted_by: String,
        #[command(flatten)]
        sharing: SharingArgs,
        /// The same request again makes no second connection.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Show one.
    Get { connection: String },
    /// Show all.
    List,
    /// Ask Klaviyo whether the key is good, what it may do, and what is left of the limits. Nothing is written there.
    Verify { connection: String },
    /// Change what is given here and leave the rest.
    Update {
        connection: String,
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// Use another key of the same account from now on. It comes from KLAVIYO_API_KEY or a file.
        #[arg(long, conflicts_with = "KeyReferenceArgs")]
        new_key: bool,
        /// A file that holds the new key.
        #[arg(long, value_name = "FILE", requires = "new_key")]
        api_key_file: Option<PathBuf>,
        #[command(flatten)]
        reference: KeyReferenceArgs,
        #[command(flatten)]
        sharing: SharingArgs,
        /// Let administrators only use it from now on.
        #[arg(long, conflicts_with = "share")]
        unshare: bool,
    },
    /// Forget a connection and its key.
    Delete {
        connection: String,
        /// Exports that use it stay, without a connection. Runs are cancelled at once; what Klaviyo has, it keeps.
        #[arg(long)]
        detach: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Lists,
}

#[derive(Debug, Subcommand)]
pub(super) enum Lists {
    /// Show the lists of the account, by name.
    List {
        /// Id of the connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: String,
        /// Only those with this in their name, in upper or lower case.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
    /// Show one, and the live flows that start for people who join it.
    Get {
        #[arg(value_name = "LIST_ID")]
        list: String,
        /// Id of the connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: String,
    },
    /// Make an empty list, unless the account has one of this name.
    Create {
        /// Id of the connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: String,
        #[arg(long, value_name = "NAME")]
        name: String,
        /// The same request again makes no second list [default: a new one].
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExportsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Exports,
}

#[derive(Debug, Subcommand)]
pub(super) enum Exports {
    /// Save what is exported where. Nothing runs yet.
    Create {
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        display_name: String,
        /// Id of the connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: String,
        /// Id of the Klaviyo list, as its page shows it.
        #[arg(long, value_name = "LIST_ID", required_unless_present = "list_name")]
        list: Option<String>,
        /// In its place the exact name of the list.
        #[arg(long, value_name = "NAME", conflicts_with = "list")]
        list_name: Option<String>,
        /// Id of the source that has its segments; without it they are in the workers' source folder itself.
        #[arg(long, value_name = "SOURCE", default_value = "")]
        source: String,
        /// A file or glob below the folder of the source. May be repeated: together they are one set.
        #[arg(long = "segment", value_name = "FILE|GLOB", required = true)]
        segments: Vec<String>,
        #[command(flatten)]
        mapping: MappingArgs,
        #[command(flatten)]
        guards: GuardArgs,
        #[command(flatten)]
        freshness: FreshnessArgs,
        #[command(flatten)]
        schedule: ExportScheduleArgs,
        /// The same request again makes no second export.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Show one.
    Get { export: String },
    /// Show all.
    List {
        /// Only those of this connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: Option<String>,
    },
    /// Change what is given here and leave the rest.
    Update {
        export: String,
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        #[arg(long, value_name = "CONNECTION")]
        connection: Option<String>,
        #[arg(long, value_name = "LIST_ID")]
        list: Option<String>,
        /// Id of the source that has its segments; '' for the workers' source folder itself.
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        /// Replaces all segments.
        #[arg(long = "segment", value_name = "FILE|GLOB")]
        segments: Vec<String>,
        #[command(flatten)]
        guards: Box<GuardChangeArgs>,
        #[command(flatten)]
        schedule: ExportScheduleArgs,
        /// For whom it runs by its schedule, as `segue tokens whoami` shows them.
        #[arg(long, value_name = "SUBJECT")]
        owner: Option<String>,
    },
    /// Let it run again.
    Enable { export: String },
    /// Do not let it run, neither by itself nor when asked to.
    Disable { export: String },
    /// Make another that is the same. It is disabled at first.
    Duplicate {
        export: String,
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
    },
    /// Say when several exports run by themselves.
    Schedule {
        #[arg(required_unless_present = "all")]
        exports: Vec<String>,
        /// All exports.
        #[arg(long, conflicts_with = "exports")]
        all: bool,
        #[command(flatten)]
        schedule: ExportScheduleArgs,
        /// Exports that have a schedule of their own keep it.
        #[arg(long)]
        keep_own: bool,
    },
    /// Show what becomes of its columns, which was settled when it was saved, or by its first run.
    Columns {
        export: String,
        /// Look at its segments again, and keep what is found.
        #[arg(long)]
        again: bool,
    },
    /// Show what a run would send now. Nothing is sent.
    Preview { export: String },
    /// Forget an export. Its ended runs stay.
    Delete { export: String },
}

#[derive(Debug, Args)]
pub(super) struct MappingArgs {
    /// The column that holds the email address, if its name does not say so.
    #[arg(long, value_name = "COLUMN", default_value = "")]
    pub(super) email: String,
    /// Send a column as an attribute, such as `location.city=town`. May be repeated.
    #[arg(long, value_name = "ATTRIBUTE=COLUMN", value_parser = pair)]
    pub(super) map: Vec<(String, String)>,
    /// Which other columns become custom properties: `all`, `none`, or their names with commas.
    #[arg(long, value_name = "all|none|COL,COL", default_value = "all")]
    pub(super) properties: String,
    /// Where phone numbers without + are from, such as `DE`.
    #[arg(long, value_name = "ISO CODE", default_value = "")]
    pub(super) default_country: String,
}

/// When something happens again and again.
#[derive(Debug, Args)]
pub(super) struct RecurrenceArgs {
    /// A time of day, as 03:00; up to four, with commas. Every day, or on the days that --on names.
    #[arg(long, value_name = "HH:MM,...", value_delimiter = ',', conflicts_with = "cron")]
    pub(super) at: Vec<String>,
    /// Only on these days, as monday,friday.
    #[arg(long, value_name = "DAY,...", value_delimiter = ',', requires = "at")]
    pub(super) on: Vec<String>,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[arg(long, value_name = "EXPRESSION")]
    pub(super) cron: Option<String>,
    /// Whose time it is, as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExportScheduleArgs {
    #[command(flatten)]
    pub(super) own: RecurrenceArgs,
    /// Run whenever the schedule of the system says so. It is so from the start.
    #[arg(long, conflicts_with_all = ["at", "cron", "unscheduled"])]
    pub(super) follow_system: bool,
    /// Run only when somebody asks for it.
    #[arg(long, conflicts_with_all = ["at", "cron"])]
    pub(super) unscheduled: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Schedule,
}

#[derive(Debug, Subcommand)]
pub(super) enum Schedule {
    /// Show when exports run by themselves unless they say otherwise.
    Get,
    /// Run the exports that follow it by this schedule.
    Set {
        #[command(flatten)]
        recurrence: RecurrenceArgs,
    },
    /// Run no export by itself but those with a schedule of their own.
    Off,
    /// Show when a schedule would run next, and change nothing.
    Preview {
        #[command(flatten)]
        recurrence: RecurrenceArgs,
        /// How many times.
        #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(i32).range(1..=100))]
        count: i32,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((attribute, column)) if !attribute.is_empty() && !column.is_empty() => {
            Ok((attribute.to_owned(), column.to_owned()))
        }
        _ => Err("write ATTRIBUTE=COLUMN, such as location.city=town".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Tokens,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Make a token. It is shown this once.
    Create {
        /// What people call it, such as who uses it for what.
        #[arg(long, value_name = "NAME")]
        display_name: String,
        /// What it lets its holder do.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// From then on it is refused; a date, or days from now, as 90d.
        #[arg(long, value_name = "YYYY-MM-DD|DAYSd")]
        expires: Option<String>,
    },
    /// Show all, without what proves them.
    List,
    /// Take a token back: from now on it is refused.
    Revoke { token: String },
    /// Show who you are to the server.
    Whoami,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleArg {
    /// See exports, schedules and runs.
    Viewer,
    /// Manage and run exports, and read rejected rows.
    Contributor,
    /// All.
    Administrator,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// What there should be, as YAML; - is standard input. May be repeated: together they are one.
    #[arg(long = "file", short = 'f', value_name = "FILE", required_unless_present = "schema")]
    pub(super) files: Vec<PathBuf>,
    /// Show what would change, and change nothing. The exit code is 2 if something would, and 0 if not.
    #[arg(long, conflicts_with = "yes")]
    pub(super) plan: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Remove connections and exports that no file names. A part that no file has, such as connections, is left
    /// alone.
    #[arg(long)]
    pub(super) prune: bool,
    /// Write the JSON schema of such a file, for editors.
    #[arg(long, conflicts_with_all = ["files", "plan", "yes", "prune"])]
    pub(super) schema: bool,
}
