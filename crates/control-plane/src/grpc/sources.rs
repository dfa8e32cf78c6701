use std::sync::Arc;

use prost::Message as _;
use segue_model::{
    SourceId,
    look::{DescribedColumn, DescribedObject, Description, Entry, Listing},
};
use segue_proto::{
    timestamp,
    v1::{
        self, ColumnType, CreateSourceRequest, CreateSourceResponse, DeleteSourceRequest,
        DeleteSourceResponse, DescribeSegmentRequest, DescribeSegmentResponse, GetSourceRequest,
        GetSourceResponse, ListSegmentsRequest, ListSegmentsResponse, ListSourcesRequest,
        ListSourcesResponse, SourceColumn, SourceEntry, SourceFile, UpdateSourceRequest,
        UpdateSourceResponse, source_service_server::SourceService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    errors::{invalid, status},
    fields::{self, Problems},
    page::Page,
};
use crate::{ControlPlane, Source, SourceFields, Violation};

/// [`SourceService`] of a control-plane.
#[derive(Debug)]
pub struct Sources(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl SourceService for Sources {
    async fn create_source(
        &self,
        request: Request<CreateSourceRequest>,
    ) -> Result<Response<CreateSourceResponse>, Status> {
        let by = caller(&request)?.clone();
        let CreateSourceRequest { source, request_id } = request.into_inner();
        let v1::Source { display_name, folder, .. } = needed(source)?;
        let fields = SourceFields { display_name, folder };
        let mut problems = Problems::default();
        problems.take("request_id", fields::request_id(&request_id));
        for Violation { field, words } in fields.violations() {
            problems.note(field, words);
        }
        problems.check()?;
        let request_id = Some(request_id.as_str()).filter(|id| !id.is_empty());
        let made = self.0.create_source(&fields, request_id, &by).await.map_err(status)?;
        Ok(Response::new(CreateSourceResponse { source: Some(shown(made)) }))
    }

    async fn get_source(
        &self,
        request: Request<GetSourceRequest>,
    ) -> Result<Response<GetSourceResponse>, Status> {
        let id = fields::id("id", &request.into_inner().id)?;
        let found = self.0.source(id).await.map_err(status)?;
        Ok(Response::new(GetSourceResponse { source: Some(shown(found)) }))
    }

    async fn list_sources(
        &self,
        request: Request<ListSourcesRequest>,
    ) -> Result<Response<ListSourcesResponse>, Status> {
        let ListSourcesRequest { page_size, page_token } = request.into_inner();
        let page = Page::wanted(page_size, &page_token)?;
        let read = |after, most| async move {
            let found = self.0.sources(after, most).await.map_err(status)?;
            Ok(found.into_iter().map(|it| (it.id, shown(it))).collect())
        };
        let (found, next_page_token) =
            page.read(read, |(id, _)| *id, |(_, shown)| shown.encoded_len()).await?;
        let sources = found.into_iter().map(|(_, shown)| shown).collect();
        Ok(Response::new(ListSourcesResponse { sources, next_page_token }))
    }

    async fn update_source(
        &self,
        request: Request<UpdateSourceRequest>,
    ) -> Result<Response<UpdateSourceResponse>, Status> {
        let by = caller(&request)?.clone();
        let UpdateSourceRequest { source, update_mask } = request.into_inner();
        let source = needed(source)?;
        let id = fields::id("source.id", &source.id)?;
        let changes = changes(source, &update_mask.unwrap_or_default().paths)?;
        let apply = |fields: &mut SourceFields| changes.iter().for_each(|change| change.to(fields));
        let saved = self.0.update_source(id, apply, &by).await.map_err(status)?;
        Ok(Response::new(UpdateSourceResponse { source: Some(shown(saved)) }))
    }

    async fn delete_source(
        &self,
        request: Request<DeleteSourceRequest>,
    ) -> Result<Response<DeleteSourceResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        self.0.delete_source(id, &by).await.map_err(status)?;
        Ok(Response::new(DeleteSourceResponse {}))
    }

    async fn list_segments(
        &self,
        request: Request<ListSegmentsRequest>,
    ) -> Result<Response<ListSegmentsResponse>, Status> {
        let ListSegmentsRequest { folder, source_id } = request.into_inner();
        let source = source(&source_id)?;
        let Listing { entries, truncated } =
            self.0.list_segments(source, &folder).await.map_err(status)?;
        let entries = entries.into_iter().map(entry).collect();
        Ok(Response::new(ListSegmentsResponse { entries, truncated }))
    }

    async fn describe_segment(
        &self,
        request: Request<DescribeSegmentRequest>,
    ) -> Result<Response<DescribeSegmentResponse>, Status> {
        let DescribeSegmentRequest { segments, source_id } = request.into_inner();
        let source = source(&source_id)?;
        let Description { objects, columns, sampled_rows, problem } =
            self.0.describe_segment(source, segments).await.map_err(status)?;
        Ok(Response::new(DescribeSegmentResponse {
            files: objects.into_iter().map(file).collect(),
            columns: columns.into_iter().map(column).collect(),
            sampled_rows,
            problem: problem.unwrap_or_default(),
        }))
    }
}

fn needed(source: Option<v1::Source>) -> Result<v1::Source, Status> {
    source.ok_or_else(|| invalid(vec![Violation::new("source", "is missing")]))
}

/// Where somebody looks; empty: in the workers' source folder.
fn source(text: &str) -> Result<Option<SourceId>, Status> {
    let mut problems = Problems::default();
    let source = problems.source("source_id", text);
    problems.check()?;
    Ok(source)
}

/// One path of an update mask, with the new value.
enum Change {
    DisplayName(String),
    Folder(String),
}

impl Change {
    fn to(&self, fields: &mut SourceFields) {
        match self {
            Self::DisplayName(name) => fields.display_name.clone_from(name),
            Self::Folder(folder) => fields.folder.clone_from(folder),
        }
    }
}

fn changes(source: v1::Source, paths: &[String]) -> Result<Vec<Change>, Status> {
    let v1::Source { display_name, folder, .. } = source;
    let mut problems = Problems::default();
    let mut changes = Vec::new();
    if paths.is_empty() {
        problems.note("update_mask", "is missing: name the fields that change");
    }
    for path in paths {
        match path.as_str() {
            "display_name" => changes.push(Change::DisplayName(display_name.clone())),
            "folder" => changes.push(Change::Folder(folder.clone())),
            "id" | "created_at" | "updated_at" => {
                problems.note("update_mask", format!("{path} is given by the server"));
            }
            other => problems.note("update_mask", format!("a source has no field {other:?}")),
        }
    }
    problems.check()?;
    Ok(changes)
}

fn shown(source: Source) -> v1::Source {
    // Destructured, so that a field that is added cannot be forgotten.
    let Source { id, display_name, folder, created, updated } = source;
    v1::Source {
        id: id.to_string(),
        display_name,
        folder,
        created_at: Some(timestamp(created)),
        updated_at: Some(timestamp(updated)),
    }
}

fn entry(entry: Entry) -> SourceEntry {
    let Entry { path, folder, size, modified, rows } = entry;
    let modified_at = modified.map(timestamp);
    SourceEntry { path, is_folder: folder, size_bytes: size, modified_at, rows }
}

fn file(object: DescribedObject) -> SourceFile {
    let DescribedObject { name, format, compression, size } = object;
    SourceFile { path: name, format, compression, size_bytes: size }
}

fn column(column: DescribedColumn) -> SourceColumn {
    let DescribedColumn { name, kind, filled, longest, attribute } = column;
    let r#type = match kind.as_str() {
        "text" => ColumnType::Text,
        "number" => ColumnType::Number,
        "boolean" => ColumnType::Boolean,
        "date" => ColumnType::Date,
        "list" => ColumnType::List,
        // Of a worker of a later version.
        _ => ColumnType::Unspecified,
    };
    v1::SourceColumn {
        name,
        r#type: r#type.into(),
        filled_rows: filled,
        longest_chars: longest,
        attribute,
    }
}
