//! `segue serve`, and each service alone.

mod console;
mod control_plane;
mod gate;
mod migrate;
mod parts;
mod serve;
mod status;
mod worker;

use std::process::ExitCode;

use segue_service::{
    Context, Service,
    config::{Config, ConfigArgs, Role},
};

use crate::{cli::ServiceCommand, ui};

pub(crate) use migrate::migrate;

/// Runs a service until it is told to stop.
pub(crate) fn run(service: &ServiceCommand) -> ExitCode {
    match service {
        ServiceCommand::Serve(args) => start("segue", args, serve::body),
        ServiceCommand::ControlPlane(args) => {
            start("segue-control-plane", args, control_plane::body)
        }
        ServiceCommand::Worker(args) => start("segue-worker", args, worker::body),
        ServiceCommand::Status(args) => start("segue-status", args, status::body),
        ServiceCommand::Console(args) => start("segue-console", args, console::body),
    }
}

fn start<R: Role>(
    name: &'static str,
    args: &ConfigArgs<R>,
    body: impl AsyncFnOnce(&Config, Context) -> anyhow::Result<()>,
) -> ExitCode {
    let config = match args.load() {
        Ok(config) => config,
        Err(err) => return segue_service::report(&err),
    };
    if args.print_config {
        ui::say(config.to_toml().trim_end());
        return ExitCode::SUCCESS;
    }
    let service = Service { name, version: env!("CARGO_PKG_VERSION") };
    segue_service::run(service, &config, async |context| body(&config, context).await)
}
