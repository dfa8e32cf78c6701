//! `segue completion`.

use std::{io::Write as _, process::ExitCode};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// Which shell reads it.
    shell: Shell,
}

/// Writes what the shell has to read.
pub(crate) fn run(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Vec<u8> {
    // Into memory first: the library panics if nobody reads it any more.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "segue", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};
    use clap_complete::Shell;

    use crate::cli::Cli;

    #[test]
    fn every_shell_knows_every_command() {
        let command = Cli::command();
        for shell in Shell::value_variants() {
            let script = String::from_utf8(super::script(*shell)).unwrap();
            for name in command.get_subcommands().map(clap::Command::get_name) {
                assert!(script.contains(name), "{shell} does not know {name}");
            }
            assert!(script.contains("allow-live-flows"), "{shell}");
        }
    }
}
