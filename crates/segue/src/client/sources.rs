use std::process::ExitCode;

use clap::{Args, Subcommand};
use segue_proto::v1;

use super::{
    Output, Servers,
    args::ServerArgs,
    asking, explain,
    output::{self, Described, SourceEntry},
};
use crate::ui;

#[derive(Debug, Args)]
pub(crate) struct SourcesArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Sources,
}

#[derive(Debug, Subcommand)]
enum Sources {
    /// Show the files and folders in the workers' source folder, or in a folder below it.
    List { folder: Option<String> },
    /// Show the columns of a segment, and what each becomes unless an export says otherwise.
    Describe {
        /// A file or glob below the workers' source folder. Several are one segment.
        #[arg(value_name = "FILE|GLOB", required = true)]
        segments: Vec<String>,
    },
}

pub(super) async fn run(args: SourcesArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    match args.command {
        Sources::List { folder } => list(&servers, folder.unwrap_or_default()).await?,
        Sources::Describe { segments } => describe(&servers, segments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(servers: &Servers, folder: String) -> anyhow::Result<()> {
    let request = asking(v1::ListSegmentsRequest { folder });
    let found = servers.sources().list_segments(request).await.map_err(explain)?.into_inner();
    let entries: Vec<_> = found.entries.into_iter().map(SourceEntry::from).collect();
    output::many(servers.output, &entries)?;
    if found.truncated {
        ui::note(format_args!(
            "there are more than these {}: name a folder below",
            ui::grouped(entries.len() as u64)
        ));
    }
    Ok(())
}

async fn describe(servers: &Servers, segments: Vec<String>) -> anyhow::Result<()> {
    let request = asking(v1::DescribeSegmentRequest { segments });
    let reply = servers.sources().describe_segment(request).await.map_err(explain)?;
    let found = Described::from(reply.into_inner());
    match servers.output {
        Output::Json => ui::say(serde_json::to_string_pretty(&found)?),
        Output::Table => {
            output::many(servers.output, &found.columns)?;
            ui::note(format_args!(
                "by the first {} rows of {}",
                ui::grouped(found.sampled_rows),
                match found.files.as_slice() {
                    [file] => ui::plain(&file.path),
                    files => format!("{} files", files.len()),
                }
            ));
            if !found.problem.is_empty() {
                ui::note(format_args!(
                    "not to be exported as it is: {}",
                    ui::plain(&found.problem)
                ));
            }
        }
    }
    Ok(())
}
