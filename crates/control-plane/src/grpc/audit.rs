use std::sync::Arc;

use prost::Message as _;
use segue_model::{Id, Kind};
use segue_proto::{
    timestamp,
    v1::{
        self, ListAuditEntriesRequest, ListAuditEntriesResponse, VerifyAuditRequest,
        VerifyAuditResponse, audit_service_server::AuditService,
    },
};
use segue_store::write::audit::Entry;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{errors::status, page::Page};
use crate::{AuditCheck, ControlPlane};

/// [`AuditService`] of a control-plane.
#[derive(Debug)]
pub struct Audit(pub(super) Arc<ControlPlane>);

/// Entries have numbers.
enum Place {}

impl Kind for Place {
    const PREFIX: &'static str = "aud";
}

fn place(seq: u64) -> Id<Place> {
    Id::from_uuid(Uuid::from_u128(seq.into()))
}

fn seq(place: Id<Place>) -> u64 {
    u64::try_from(place.uuid().as_u128()).unwrap_or(u64::MAX)
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let ListAuditEntriesRequest { page_size, page_token, object_id } = request.into_inner();
        let page = Page::<Place>::wanted(page_size, &page_token)?;
        let object = &object_id;
        let read = |behind: Option<Id<Place>>, most| async move {
            let found = self.0.audit(behind.map(seq), object, most).await.map_err(status)?;
            Ok(found.into_iter().map(shown).collect())
        };
        let (entries, next_page_token) = page
            .read(read, |it: &v1::AuditEntry| place(it.seq), v1::AuditEntry::encoded_len)
            .await?;
        Ok(Response::new(ListAuditEntriesResponse { entries, next_page_token }))
    }

    async fn verify_audit(
        &self,
        _: Request<VerifyAuditRequest>,
    ) -> Result<Response<VerifyAuditResponse>, Status> {
        let AuditCheck { entries, broken, last_hash } =
            self.0.check_audit().await.map_err(status)?;
        let (broken_seq, problem) = broken.unwrap_or_default();
        Ok(Response::new(VerifyAuditResponse { entries, broken_seq, problem, last_hash }))
    }
}

fn shown(entry: Entry) -> v1::AuditEntry {
    // Destructured, so that a field that is added cannot be forgotten.
    let Entry { seq, at, subject, name, action, object, detail, hash } = entry;
    v1::AuditEntry {
        seq,
        at: Some(timestamp(at)),
        subject,
        display_name: name,
        action,
        object_id: object,
        detail,
        hash,
    }
}
