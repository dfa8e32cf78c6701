use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prost::Message as _;
use segue_access::Subject;
use segue_model::{ConnectionId, SourceId, Who};
use segue_proto::{
    timestamp,
    v1::{
        self, CreateExportRequest, CreateExportResponse, DeleteExportRequest, DeleteExportResponse,
        DuplicateExportRequest, DuplicateExportResponse, GetExportRequest, GetExportResponse,
        ListExportsRequest, ListExportsResponse, PreviewExportRequest, PreviewExportResponse,
        SettleColumnsRequest, SettleColumnsResponse, UpdateExportRequest, UpdateExportResponse,
        export_service_server::ExportService, properties::Select,
    },
};
use segue_store::write::exports::{Problem, Timing};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    columns::columns_message,
    errors::{invalid, status},
    fields::{self, Problems},
    messages::export_message,
    page::Page,
    preview::preview_message,
};
use crate::{
    ControlPlane, ExportFields, ExportSchedule, Freshness, Guards, Mapping, Properties,
    SavedExport, Violation,
    exports::{CONNECTION_FIELD, OWNER_FIELD, SOURCE_FIELD, check_display_name},
};

/// [`ExportService`] of a control-plane.
#[derive(Debug)]
pub struct Exports(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl ExportService for Exports {
    async fn create_export(
        &self,
        request: Request<CreateExportRequest>,
    ) -> Result<Response<CreateExportResponse>, Status> {
        let by = caller(&request)?.clone();
        let CreateExportRequest { export, request_id } = request.into_inner();
        let export = needed(export)?;
        let mut problems = Problems::default();
        problems.take("request_id", fields::request_id(&request_id));
        let connection = problems.connection(&export.connection_id);
        let source = problems.source(SOURCE_FIELD, &export.source_id);
        let fields = ExportFields {
            mapping: problems.mapping(export.mapping.unwrap_or_default()),
            guards: guards(export.guards.unwrap_or_default()),
            schedule: problems.export_schedule(SCHEDULE, export.schedule.unwrap_or_default()),
            freshness: problems.freshness(export.freshness),
            connection,
            source,
            disabled: export.disabled,
            display_name: export.display_name,
            list_id: export.list_id,
            segments: export.segments,
        };
        problems.fields(&fields);
        if export.owner.is_some() {
            problems.note(OWNER_FIELD, "is whoever makes it; give it to somebody else afterwards");
        }
        problems.check()?;
        let request_id = Some(request_id.as_str()).filter(|id| !id.is_empty());
        let made = self.0.create_export(&fields, request_id, &by).await.map_err(status)?;
        let (export, columns) = self.told(made).await?;
        Ok(Response::new(CreateExportResponse { export, columns }))
    }

    async fn get_export(
        &self,
        request: Request<GetExportRequest>,
    ) -> Result<Response<GetExportResponse>, Status> {
        let id = fields::id("id", &request.into_inner().id)?;
        let found = self.0.export(id).await.map_err(status)?;
        let (export, columns) = self.told(found).await?;
        Ok(Response::new(GetExportResponse { export, columns }))
    }

    async fn list_exports(
        &self,
        request: Request<ListExportsRequest>,
    ) -> Result<Response<ListExportsResponse>, Status> {
        let ListExportsRequest { page_size, page_token, connection_id } = request.into_inner();
        let page = Page::wanted(page_size, &page_token)?;
        let connection = match connection_id.as_str() {
            "" => None,
            text => Some(fields::id("connection_id", text)?),
        };
        let problems = &self.0.connection_problems().await.map_err(status)?;
        let read = |after, most| async move {
            let found = self.0.exports(after, connection, most).await.map_err(status)?;
            Ok(found.into_iter().map(|it| (it.id, shown(it, problems))).collect())
        };
        let (found, next_page_token) =
            page.read(read, |(id, _)| *id, |(_, shown)| shown.encoded_len()).await?;
        let exports = found.into_iter().map(|(_, shown)| shown).collect();
        Ok(Response::new(ListExportsResponse { exports, next_page_token }))
    }

    async fn update_export(
        &self,
        request: Request<UpdateExportRequest>,
    ) -> Result<Response<UpdateExportResponse>, Status> {
        let by = caller(&request)?.clone();
        let UpdateExportRequest { export, update_mask } = request.into_inner();
        let export = needed(export)?;
        let id = fields::id("export.id", &export.id)?;
        let changes = changes(&export, &update_mask.unwrap_or_default().paths)?;
        let owner = changes.iter().find_map(Change::owner);
        let apply = |fields: &mut ExportFields| changes.iter().for_each(|change| change.to(fields));
        let saved = self.0.update_export(id, owner, apply, &by).await.map_err(status)?;
        let (export, columns) = self.told(saved).await?;
        Ok(Response::new(UpdateExportResponse { export, columns }))
    }

    async fn delete_export(
        &self,
        request: Request<DeleteExportRequest>,
    ) -> Result<Response<DeleteExportResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        self.0.delete_export(id, &by).await.map_err(status)?;
        Ok(Response::new(DeleteExportResponse {}))
    }

    async fn duplicate_export(
        &self,
        request: Request<DuplicateExportRequest>,
    ) -> Result<Response<DuplicateExportResponse>, Status> {
        let by = caller(&request)?.clone();
        let DuplicateExportRequest { id, display_name, request_id } = request.into_inner();
        let id = fields::id("id", &id)?;
        let mut problems = Problems::default();
        problems.take("request_id", fields::request_id(&request_id));
        let name = Some(display_name).filter(|name| !name.is_empty());
        if let Some(name) = &name {
            problems.take("display_name", check_display_name(name));
        }
        problems.check()?;
        let request_id = Some(request_id.as_str()).filter(|id| !id.is_empty());
        let made = self.0.duplicate_export(id, name, request_id, &by).await.map_err(status)?;
        let (export, columns) = self.told(made).await?;
        Ok(Response::new(DuplicateExportResponse { export, columns }))
    }

    async fn settle_columns(
        &self,
        request: Request<SettleColumnsRequest>,
    ) -> Result<Response<SettleColumnsResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("export_id", &request.into_inner().export_id)?;
        let columns = self.0.settle_columns(id, &by).await.map_err(status)?;
        Ok(Response::new(SettleColumnsResponse { columns: Some(columns_message(columns)) }))
    }

    async fn preview_export(
        &self,
        request: Request<PreviewExportRequest>,
    ) -> Result<Response<PreviewExportResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("export_id", &request.into_inner().export_id)?;
        let previewed = self.0.preview_export(id, &by).await.map_err(status)?;
        Ok(Response::new(preview_message(previewed)))
    }
}

impl Exports {
    /// One export, with what becomes of its columns.
    async fn told(
        &self,
        export: SavedExport,
    ) -> Result<(Option<v1::Export>, Option<v1::Columns>), Status> {
        let problems = self.0.connection_problems().await.map_err(status)?;
        let columns = self.0.columns(&export).await.map_err(status)?;
        Ok((Some(shown(export, &problems)), columns.map(columns_message)))
    }
}

fn needed(export: Option<v1::Export>) -> Result<v1::Export, Status> {
    export.ok_or_else(|| invalid(vec![Violation::new("export", "is missing")]))
}

/// One path of an update mask, with the new value.
enum Change {
    DisplayName(String),
    Connection(ConnectionId),
    ListId(String),
    Source(Option<SourceId>),
    Segments(Vec<String>),
    Mapping(Mapping),
    Email(String),
    Attributes(BTreeMap<String, String>),
    Properties(Properties),
    DefaultCountry(String),
    Guards(Guards),
    AllowLiveFlows(bool),
    AllowEmpty(bool),
    MaxProfiles(Option<u64>),
    MaxGrowth(Option<u32>),
    MaxShrinkage(Option<u32>),
    MaxRejects(Option<u32>),
    Freshness(Option<Freshness>),
    Schedule(ExportSchedule),
    Disabled(bool),
    Owner(Subject),
}

impl Change {
    fn to(&self, fields: &mut ExportFields) {
        match self {
            Self::DisplayName(name) => fields.display_name.clone_from(name),
            Self::Connection(id) => fields.connection = Some(*id),
            Self::ListId(id) => fields.list_id.clone_from(id),
            Self::Source(source) => fields.source = *source,
            Self::Segments(segments) => fields.segments.clone_from(segments),
            Self::Mapping(mapping) => fields.mapping.clone_from(mapping),
            Self::Email(column) => fields.mapping.email.clone_from(column),
            Self::Attributes(attributes) => fields.mapping.attributes.clone_from(attributes),
            Self::Properties(properties) => fields.mapping.properties.clone_from(properties),
            Self::DefaultCountry(code) => fields.mapping.default_country.clone_from(code),
            Self::Guards(guards) => fields.guards = *guards,
            Self::AllowLiveFlows(allow) => fields.guards.allow_live_flows = *allow,
            Self::AllowEmpty(allow) => fields.guards.allow_empty = *allow,
            Self::MaxProfiles(most) => fields.guards.max_profiles = *most,
            Self::MaxGrowth(most) => fields.guards.max_growth = *most,
            Self::MaxShrinkage(most) => fields.guards.max_shrinkage = *most,
            Self::MaxRejects(most) => fields.guards.max_rejects = *most,
            Self::Freshness(freshness) => fields.freshness = *freshness,
            Self::Schedule(schedule) => fields.schedule.clone_from(schedule),
            Self::Disabled(disabled) => fields.disabled = *disabled,
            Self::Owner(_) => {}
        }
    }

    fn owner(&self) -> Option<&Subject> {
        match self {
            Self::Owner(subject) => Some(subject),
            _ => None,
        }
    }
}

/// All that people decide about an export, but for whose it is.
const ALL: [&str; 10] = [
    "display_name",
    "connection_id",
    "list_id",
    "source_id",
    "segments",
    "mapping",
    "guards",
    "freshness",
    "schedule",
    "disabled",
];
const SCHEDULE: &str = "export.schedule";

fn changes(export: &v1::Export, paths: &[String]) -> Result<Vec<Change>, Status> {
    let mut problems = Problems::default();
    let given: Vec<&str> = paths.iter().map(String::as_str).collect();
    let paths = match given.as_slice() {
        [] => {
            problems.note("update_mask", "is missing: name the fields that change, or *");
            &[]
        }
        ["*"] => ALL.as_slice(),
        paths => paths,
    };
    let changes = paths.iter().filter_map(|path| problems.change(export, path)).collect();
    problems.check()?;
    Ok(changes)
}

impl Problems {
    fn change(&mut self, export: &v1::Export, path: &str) -> Option<Change> {
        let mapping = || export.mapping.clone().unwrap_or_default();
        let guarded = || guards(export.guards.unwrap_or_default());
        Some(match path {
            "display_name" => Change::DisplayName(export.display_name.clone()),
            "connection_id" => Change::Connection(self.connection(&export.connection_id)?),
            "list_id" => Change::ListId(export.list_id.clone()),
            "source_id" => Change::Source(self.source(SOURCE_FIELD, &export.source_id)),
            "segments" => Change::Segments(export.segments.clone()),
            "mapping" => Change::Mapping(self.mapping(mapping())),
            "mapping.email" => Change::Email(mapping().email),
            "mapping.attributes" => Change::Attributes(mapping().attributes.into_iter().collect()),
            "mapping.properties" => {
                Change::Properties(self.properties(mapping().properties.unwrap_or_default()))
            }
            "mapping.default_country" => Change::DefaultCountry(mapping().default_country),
            "guards" => Change::Guards(guarded()),
            "guards.allow_live_flows" => Change::AllowLiveFlows(guarded().allow_live_flows),
            "guards.allow_empty" => Change::AllowEmpty(guarded().allow_empty),
            "guards.max_profiles" => Change::MaxProfiles(guarded().max_profiles),
            "guards.max_growth_percent" => Change::MaxGrowth(guarded().max_growth),
            "guards.max_shrinkage_percent" => Change::MaxShrinkage(guarded().max_shrinkage),
            "guards.max_rejects_percent" => Change::MaxRejects(guarded().max_rejects),
            "freshness" => Change::Freshness(self.freshness(export.freshness)),
            "schedule" => Change::Schedule(
                self.export_schedule(SCHEDULE, export.schedule.clone().unwrap_or_default()),
            ),
            "disabled" => Change::Disabled(export.disabled),
            "owner" | "owner.subject" => {
                let subject = export.owner.as_ref().map_or("", |owner| owner.subject.as_str());
                match subject.parse() {
                    Ok(subject) => Change::Owner(subject),
                    Err(err) => {
                        self.note(OWNER_FIELD, format!("is {err}"));
                        return None;
                    }
                }
            }
            "id" | "created_at" | "updated_at" | "next_run_at" | "schedule_problem"
            | "connection_problem" => {
                self.note("update_mask", format!("{path} is given by the server"));
                return None;
            }
            "*" => {
                self.note("update_mask", "* stands for all fields, so it stands alone");
                return None;
            }
            other => {
                self.note("update_mask", format!("an export has no field {other:?}"));
                return None;
            }
        })
    }

    fn connection(&mut self, text: &str) -> Option<ConnectionId> {
        match text.parse() {
            Ok(id) => Some(id),
            Err(err) => {
                self.note(CONNECTION_FIELD, format!("is {err}"));
                None
            }
        }
    }

    fn freshness(&mut self, given: Option<v1::Freshness>) -> Option<Freshness> {
        let v1::Freshness { max_source_age, wait } = given?;
        let Some(max_source_age) = max_source_age else {
            self.note("export.freshness.max_source_age", "is missing");
            return None;
        };
        let max_source_age = self.duration("export.freshness.max_source_age", max_source_age);
        let wait = match wait {
            Some(wait) => self.duration("export.freshness.wait", wait),
            None => Some(Duration::ZERO),
        };
        Some(Freshness { max_source_age: max_source_age?, wait: wait? })
    }

    fn duration(&mut self, field: &str, given: prost_types::Duration) -> Option<Duration> {
        let given = Duration::try_from(given).ok();
        if given.is_none() {
            self.note(field, "is negative, or no duration");
        }
        given
    }

    fn mapping(&mut self, mapping: v1::Mapping) -> Mapping {
        let v1::Mapping { email, attributes, properties, default_country } = mapping;
        let properties = self.properties(properties.unwrap_or_default());
        Mapping { email, attributes: attributes.into_iter().collect(), properties, default_country }
    }

    fn properties(&mut self, properties: v1::Properties) -> Properties {
        const SELECT: &str = "export.mapping.properties.select";
        const COLUMNS: &str = "export.mapping.properties.columns";
        let v1::Properties { select, columns } = properties;
        let given = !columns.is_empty();
        let (properties, takes_columns) = match Select::try_from(select) {
            Ok(Select::Unspecified | Select::All) => (Properties::All, false),
            Ok(Select::None) => (Properties::None, false),
            Ok(Select::Only) => (Properties::Only(columns), true),
            Err(_) => {
                self.note(SELECT, format!("{select} is no choice"));
                return Properties::All;
            }
        };
        match (given, takes_columns) {
            (true, false) => self.note(COLUMNS, "are for SELECT_ONLY"),
            (false, true) => self.note(COLUMNS, "names none: that is SELECT_NONE"),
            _ => {}
        }
        properties
    }

    fn fields(&mut self, fields: &ExportFields) {
        for Violation { field, words } in fields.violations() {
            self.note(field, words);
        }
    }
}

fn guards(guards: v1::Guards) -> Guards {
    let v1::Guards {
        allow_live_flows,
        allow_empty,
        max_profiles,
        max_growth_percent: max_growth,
        max_shrinkage_percent: max_shrinkage,
        max_rejects_percent: max_rejects,
    } = guards;
    let max_profiles = Some(max_profiles).filter(|most| *most > 0);
    Guards { allow_live_flows, allow_empty, max_profiles, max_growth, max_shrinkage, max_rejects }
}

/// `problems`: what is known against the keys of connections.
fn shown(export: SavedExport, problems: &BTreeMap<ConnectionId, String>) -> v1::Export {
    // Destructured, so that a field that is added cannot be forgotten.
    let SavedExport { id, fields, owner, timing, created, updated } = export;
    let connection = fields.connection;
    let Timing { next, waiting: _, missed: _, problem } = timing;
    v1::Export {
        id: id.to_string(),
        created_at: Some(timestamp(created)),
        updated_at: Some(timestamp(updated)),
        next_run_at: next.map(timestamp),
        schedule_problem: problem.map(|Problem { due, reason, detail }| v1::ScheduleProblem {
            due_at: Some(timestamp(due)),
            reason,
            detail,
        }),
        owner: Some(owner)
            .filter(|it| !it.subject.is_empty())
            .map(|Who { subject, name }| v1::Owner { subject, display_name: name }),
        connection_problem: connection
            .and_then(|id| problems.get(&id).cloned())
            .unwrap_or_default(),
        ..export_message(fields)
    }
}
