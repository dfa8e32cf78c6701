use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use segue_proto::v1;
use serde_json::json;

use super::{
    Output, Servers,
    args::ServerArgs,
    asking, explain,
    output::{self, Described, Source, SourceEntry},
    present,
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
    /// Give a folder a name, by which exports find their segments.
    Create {
        /// What people call it.
        #[arg(long, value_name = "NAME")]
        display_name: String,
        /// Below the workers' source folder; without it that folder itself.
        #[arg(long, value_name = "FOLDER", default_value = "")]
        folder: String,
        /// The same request again makes no second source.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Show one.
    Get { source: String },
    /// Show all.
    List,
    /// Change what is given here and leave the rest.
    Update {
        source: String,
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// Where its exports find their segments from now on. A run that has begun keeps what it began with.
        #[arg(long, value_name = "FOLDER")]
        folder: Option<String>,
    },
    /// Forget a source that no export uses. Its files stay.
    #[command(visible_alias = "remove")]
    Delete { source: String },
    /// Show the files and folders of a source, or of a folder below it.
    Segments {
        /// Id of the source; without it the workers' source folder.
        #[arg(long, value_name = "SOURCE", default_value = "")]
        source: String,
        #[arg(default_value = "")]
        folder: String,
    },
    /// Show the columns of a segment, and what each becomes unless an export says otherwise.
    Describe {
        /// Id of the source; without it the workers' source folder.
        #[arg(long, value_name = "SOURCE", default_value = "")]
        source: String,
        /// A file or glob below the folder of the source. Several are one segment.
        #[arg(value_name = "FILE|GLOB", required = true)]
        segments: Vec<String>,
    },
}

pub(super) async fn run(args: SourcesArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let mut client = servers.sources();
    match args.command {
        Sources::Create { display_name, folder, request_id } => {
            let source = v1::Source { display_name, folder, ..v1::Source::default() };
            let request_id = request_id.unwrap_or_default();
            let request = v1::CreateSourceRequest { source: Some(source), request_id };
            let reply = client.create_source(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().source)?;
        }
        Sources::Get { source: id } => {
            let request = asking(v1::GetSourceRequest { id });
            show(&servers, client.get_source(request).await.map_err(explain)?.into_inner().source)?;
        }
        Sources::List => {
            let all: Vec<_> = all(&servers).await?.into_iter().map(Source::from).collect();
            output::many(servers.output, &all)?;
        }
        Sources::Update { source, display_name, folder } => {
            update(&servers, source, display_name, folder).await?;
        }
        Sources::Delete { source: id } => {
            let request = v1::DeleteSourceRequest { id: id.clone() };
            client.delete_source(asking(request)).await.map_err(explain)?;
            let words = format_args!("{id} is deleted; its files stay");
            output::done(servers.output, &json!({ "id": id, "deleted": true }), words)?;
        }
        Sources::Segments { source, folder } => list_segments(&servers, source, folder).await?,
        Sources::Describe { source, segments } => describe(&servers, source, segments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn all(servers: &Servers) -> anyhow::Result<Vec<v1::Source>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListSourcesRequest { page_size: 1000, page_token };
        let page = servers.sources().list_sources(asking(request)).await.map_err(explain)?;
        let page = page.into_inner();
        all.extend(page.sources);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn update(
    servers: &Servers,
    id: String,
    display_name: Option<String>,
    folder: Option<String>,
) -> anyhow::Result<()> {
    let given = [("display_name", display_name.is_some()), ("folder", folder.is_some())];
    let paths: Vec<_> =
        given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned()).collect();
    if paths.is_empty() {
        bail!("nothing to change: give --display-name or --folder");
    }
    let source = v1::Source {
        id,
        display_name: display_name.unwrap_or_default(),
        folder: folder.unwrap_or_default(),
        ..v1::Source::default()
    };
    let request = v1::UpdateSourceRequest {
        source: Some(source),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let reply = servers.sources().update_source(asking(request)).await.map_err(explain)?;
    show(servers, reply.into_inner().source)
}

fn show(servers: &Servers, source: Option<v1::Source>) -> anyhow::Result<()> {
    output::one(servers.output, &Source::from(present(source, "source")?))
}

async fn list_segments(servers: &Servers, source_id: String, folder: String) -> anyhow::Result<()> {
    let request = asking(v1::ListSegmentsRequest { folder, source_id });
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

async fn describe(
    servers: &Servers,
    source_id: String,
    segments: Vec<String>,
) -> anyhow::Result<()> {
    let request = asking(v1::DescribeSegmentRequest { segments, source_id });
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
