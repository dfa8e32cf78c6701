use std::process::ExitCode;

use anyhow::bail;
use segue_proto::v1;
use serde_json::json;
use uuid::Uuid;

use super::{
    Output, Servers,
    args::{Exports, ExportsArgs, MappingArgs},
    asking, explain, lists, live_flows,
    output::{self, Export},
    present, preview,
    schedule::export_schedule_of,
};
use crate::{interrupt, ui};

pub(super) async fn run(args: ExportsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    match args.command {
        Exports::Create {
            display_name,
            connection,
            list,
            list_name,
            source,
            segments,
            mapping,
            guards,
            freshness,
            schedule,
            request_id,
        } => {
            let list_id = lists::pick(&servers, &connection, (list, list_name)).await?;
            let export = v1::Export {
                display_name,
                connection_id: connection,
                list_id,
                source_id: source,
                segments,
                mapping: Some(mapping_of(mapping)),
                guards: Some(guards.message()),
                freshness: freshness.message(),
                schedule: export_schedule_of(schedule)?,
                ..v1::Export::default()
            };
            return create(&servers, export, request_id.unwrap_or_default(), guards.yes).await;
        }
        Exports::Get { export } => get(&servers, export).await?,
        Exports::List { connection } => list(&servers, connection.unwrap_or_default()).await?,
        Exports::Update {
            export: id,
            display_name,
            connection,
            list,
            source,
            segments,
            guards,
            schedule,
            owner,
        } => {
            let mut export = v1::Export { id, ..v1::Export::default() };
            let mut paths = Vec::new();
            let mut set = |path: &str, field: &mut String, value: Option<String>| {
                if let Some(value) = value {
                    *field = value;
                    paths.push(path.to_owned());
                }
            };
            set("display_name", &mut export.display_name, display_name);
            set("connection_id", &mut export.connection_id, connection);
            set("list_id", &mut export.list_id, list);
            set("source_id", &mut export.source_id, source);
            if !segments.is_empty() {
                export.segments = segments;
                paths.push("segments".to_owned());
            }
            paths.extend(guards.change(&mut export));
            if let Some(schedule) = export_schedule_of(schedule)? {
                export.schedule = Some(schedule);
                paths.push("schedule".to_owned());
            }
            if let Some(subject) = owner {
                export.owner = Some(v1::Owner { subject, ..v1::Owner::default() });
                paths.push("owner.subject".to_owned());
            }
            if paths.is_empty() {
                bail!(
                    "nothing to change: give --display-name, --connection, --list, --source, --segment, --owner, a guard, --max-source-age or a schedule"
                );
            }
            return change(&servers, export, paths, guards.yes).await;
        }
        Exports::Enable { export } => disable(&servers, export, false).await?,
        Exports::Disable { export } => disable(&servers, export, true).await?,
        Exports::Duplicate { export, display_name } => {
            duplicate(&servers, export, display_name.unwrap_or_default()).await?;
        }
        Exports::Schedule { exports: export_ids, all: _, schedule, keep_own } => {
            let schedule = export_schedule_of(schedule)?;
            let request = v1::ScheduleExportsRequest { export_ids, schedule, keep_own };
            reschedule(&servers, request).await?;
        }
        Exports::Columns { export, again } => preview::columns(&servers, export, again).await?,
        Exports::Preview { export } => preview::preview(&servers, export).await?,
        Exports::Delete { export } => delete(&servers, export).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(
    servers: &Servers,
    export: v1::Export,
    request_id: String,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let place = (export.connection_id.as_str(), export.list_id.as_str());
    let allowed = export.guards.unwrap_or_default().allow_live_flows;
    if !allowed && !live_flows::may_save(servers, place, "--allow-live-flows", yes).await? {
        return Ok(nothing_saved());
    }
    let request = v1::CreateExportRequest { export: Some(export), request_id };
    let reply = servers.exports().create_export(asking(request)).await.map_err(explain)?;
    show(servers, reply.into_inner().export)?;
    Ok(ExitCode::SUCCESS)
}

async fn change(
    servers: &Servers,
    export: v1::Export,
    paths: Vec<String>,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    if !live_flows::may_update(servers, &export, &paths, yes).await? {
        return Ok(nothing_saved());
    }
    update(servers, export, paths).await?;
    Ok(ExitCode::SUCCESS)
}

/// Of somebody who was asked and did not say yes.
fn nothing_saved() -> ExitCode {
    ui::note("nothing was saved");
    ExitCode::from(interrupt::EXIT_CODE)
}

async fn get(servers: &Servers, id: String) -> anyhow::Result<()> {
    let request = asking(v1::GetExportRequest { id });
    let reply = servers.exports().get_export(request).await.map_err(explain)?;
    show(servers, reply.into_inner().export)
}

async fn disable(servers: &Servers, id: String, disabled: bool) -> anyhow::Result<()> {
    let export = v1::Export { id, disabled, ..v1::Export::default() };
    update(servers, export, vec!["disabled".to_owned()]).await
}

async fn delete(servers: &Servers, id: String) -> anyhow::Result<()> {
    let request = v1::DeleteExportRequest { id: id.clone() };
    servers.exports().delete_export(asking(request)).await.map_err(explain)?;
    let words = format_args!("{id} is deleted");
    output::done(servers.output, &json!({ "id": id, "deleted": true }), words)
}

async fn duplicate(servers: &Servers, id: String, display_name: String) -> anyhow::Result<()> {
    let request_id = Uuid::now_v7().to_string();
    let request = v1::DuplicateExportRequest { id, display_name, request_id };
    let reply = servers.exports().duplicate_export(asking(request)).await.map_err(explain)?;
    show(servers, reply.into_inner().export)
}

async fn update(servers: &Servers, export: v1::Export, paths: Vec<String>) -> anyhow::Result<()> {
    let request = v1::UpdateExportRequest {
        export: Some(export),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let reply = servers.exports().update_export(asking(request)).await.map_err(explain)?;
    show(servers, reply.into_inner().export)
}

async fn reschedule(servers: &Servers, request: v1::ScheduleExportsRequest) -> anyhow::Result<()> {
    if request.schedule.is_none() {
        bail!("say when: --at 03:00, --cron, --follow-system or --unscheduled");
    }
    let reply = servers.schedule().schedule_exports(asking(request)).await;
    let changed = reply.map_err(explain)?.into_inner().export_ids;
    if servers.output == Output::Table {
        changed.iter().for_each(ui::say);
    }
    let words = format_args!("{} exports have another schedule now", changed.len());
    output::done(servers.output, &json!({ "export_ids": changed }), words)
}

async fn list(servers: &Servers, connection_id: String) -> anyhow::Result<()> {
    let mut all: Vec<Export> = Vec::new();
    let mut page_token = String::new();
    loop {
        let connection_id = connection_id.clone();
        let request = v1::ListExportsRequest { page_size: 1000, page_token, connection_id };
        let page =
            servers.exports().list_exports(asking(request)).await.map_err(explain)?.into_inner();
        all.extend(page.exports.into_iter().map(Export::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return output::many(servers.output, &all);
        }
    }
}

fn show(servers: &Servers, export: Option<v1::Export>) -> anyhow::Result<()> {
    output::one(servers.output, &Export::from(present(export, "export")?))
}

fn mapping_of(args: MappingArgs) -> v1::Mapping {
    use v1::properties::Select;
    let (select, columns) = match args.properties.as_str() {
        "all" => (Select::All, Vec::new()),
        "none" => (Select::None, Vec::new()),
        names => (Select::Only, names.split(',').map(|name| name.trim().to_owned()).collect()),
    };
    v1::Mapping {
        email: args.email,
        attributes: args.map.into_iter().collect(),
        properties: Some(v1::Properties { select: select.into(), columns }),
        default_country: args.default_country,
    }
}
