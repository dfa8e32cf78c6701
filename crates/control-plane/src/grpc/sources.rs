use std::sync::Arc;

use segue_model::look::{DescribedColumn, DescribedObject, Description, Entry, Listing};
use segue_proto::{
    timestamp,
    v1::{
        self, ColumnType, DescribeSegmentRequest, DescribeSegmentResponse, ListSegmentsRequest,
        ListSegmentsResponse, SourceColumn, SourceEntry, SourceFile,
        source_service_server::SourceService,
    },
};
use tonic::{Request, Response, Status};

use super::errors::status;
use crate::ControlPlane;

/// [`SourceService`] of a control-plane.
#[derive(Debug)]
pub struct Sources(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl SourceService for Sources {
    async fn list_segments(
        &self,
        request: Request<ListSegmentsRequest>,
    ) -> Result<Response<ListSegmentsResponse>, Status> {
        let ListSegmentsRequest { folder } = request.into_inner();
        let Listing { entries, truncated } = self.0.list_segments(&folder).await.map_err(status)?;
        let entries = entries.into_iter().map(entry).collect();
        Ok(Response::new(ListSegmentsResponse { entries, truncated }))
    }

    async fn describe_segment(
        &self,
        request: Request<DescribeSegmentRequest>,
    ) -> Result<Response<DescribeSegmentResponse>, Status> {
        let DescribeSegmentRequest { segments } = request.into_inner();
        let Description { objects, columns, sampled_rows, problem } =
            self.0.describe_segment(segments).await.map_err(status)?;
        Ok(Response::new(DescribeSegmentResponse {
            files: objects.into_iter().map(file).collect(),
            columns: columns.into_iter().map(column).collect(),
            sampled_rows,
            problem: problem.unwrap_or_default(),
        }))
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
