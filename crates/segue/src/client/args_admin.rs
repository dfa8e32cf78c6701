//! What can be typed after `segue audit|keys`, and what several commands of administrators have in common.
#![expect(clippy::doc_markdown, reason = "these comments are the help text, not Markdown")]

use clap::{Args, Subcommand};

use super::args::ServerArgs;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Audit,
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Show who did what, newest first.
    List {
        /// Only what was done to this connection, export, run or token.
        #[arg(long, value_name = "ID")]
        object: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value = "100")]
        limit: usize,
    },
    /// Check that no entry was changed, added or taken out by other hands. Fails if one was.
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Keys,
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Seal the keys of all connections with the present master key. The control-plane needs the old one, too, as
    /// old_master_key_file, until this is done.
    Rotate,
}

/// With whom a connection is shared.
#[derive(Debug, Args)]
pub(super) struct SharingArgs {
    /// Let contributors make and run exports with it. Without this only administrators may.
    #[arg(long)]
    pub(super) share: bool,
    /// Let contributors use this list only. May be repeated.
    #[arg(long = "only-list", value_name = "LIST_ID", requires = "share")]
    pub(super) only_lists: Vec<String>,
}

/// A key that stays where the operator keeps it.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct KeyReferenceArgs {
    /// In place of a key the name of a variable of the control-plane, which looks there whenever it needs the key.
    /// It begins with SEGUE_KLAVIYO_KEY_ unless the control-plane is configured otherwise.
    #[arg(long, value_name = "NAME")]
    pub(super) key_env: Option<String>,
    /// In place of a key a file where the control-plane runs, below its key_dir, such as a mounted secret.
    #[arg(long, value_name = "PATH")]
    pub(super) key_file: Option<String>,
}
