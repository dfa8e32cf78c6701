//! The binary: the command line, and everything in one process.

mod cli;
mod client;
mod completion;
mod data;
mod embedded;
mod export;
mod interrupt;
mod key;
mod sample;
mod services;
mod simulator;
mod ui;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

/// Batches are buffers of megabytes that come and go; the system's allocator would return each to the
/// kernel and fault it in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let _armed = kill_points::arm();
    match Cli::parse().command {
        Command::Service(service) => services::run(&service),
        Command::Export(args) => once(export::run(*args)),
        Command::Sample(args) => once(async move { sample::run(&args) }),
        Command::Simulator(args) => {
            on(tokio::runtime::Builder::new_multi_thread(), simulator::run(*args))
        }
        Command::Migrate(args) => once(async move { services::migrate(&args).await }),
        Command::Connections(args) => once(client::connections(args)),
        Command::Lists(args) => once(client::lists(args)),
        Command::Sources(args) => once(client::sources(args)),
        Command::Exports(args) => once(client::exports(*args)),
        Command::Schedule(args) => once(client::schedule(args)),
        Command::Runs(args) => once(client::runs(args)),
        Command::Jobs(args) => once(client::jobs(args)),
        Command::Tokens(args) => once(client::tokens(args)),
        Command::Audit(args) => once(client::audit(args)),
        Command::Keys(args) => once(client::keys(args)),
        Command::Apply(args) => once(client::apply(*args)),
        Command::Completion(args) => once(async move { completion::run(&args) }),
    }
}

/// Runs a command that ends by itself. An export has one thread for its calls and others for files: more
/// would only wake one another.
fn once(command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    on(tokio::runtime::Builder::new_current_thread(), command)
}

fn on(
    mut builder: tokio::runtime::Builder,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> ExitCode {
    ui::log_to_stderr();
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return ui::failed(&anyhow::Error::new(err).context("cannot start")),
    };
    let result = runtime.block_on(command);
    // A blocking thread that still reads a file does not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        // Whoever read the output has seen enough, as `head` does.
        Err(err) if ui::nobody_reads(&err) => ExitCode::SUCCESS,
        Err(err) => ui::failed(&err),
    }
}
