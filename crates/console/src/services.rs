//! The services, as somebody who is signed in calls them.

use std::time::Duration;

use secrecy::SecretString;
use segue_proto::v1::{
    self, audit_service_client::AuditServiceClient,
    connection_service_client::ConnectionServiceClient, export_service_client::ExportServiceClient,
    job_service_client::JobServiceClient, list_service_client::ListServiceClient,
    run_service_client::RunServiceClient, schedule_service_client::ScheduleServiceClient,
    source_service_client::SourceServiceClient, status_service_client::StatusServiceClient,
    token_service_client::TokenServiceClient,
};
use segue_service::grpc::{Client, Token};
use tonic::Status;

/// Longer than the server takes to ask Klaviyo about a key.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most that a service gives at a time.
const PAGE: i32 = 1000;

/// Connections to the services. Calls are made in the name of whoever [`Services::of`] says; without that they are
/// refused.
#[derive(Debug, Clone)]
pub struct Services {
    control_plane: Client,
    status: Client,
}

impl Services {
    pub fn new(control_plane: Client, status: Client) -> Self {
        Self { control_plane, status }
    }

    /// The same for the calls of whoever has this token. `None`: no header can hold it.
    #[must_use]
    pub(crate) fn of(&self, token: &SecretString) -> Option<Self> {
        let token = Token::new(token)?;
        let control_plane = self.control_plane.with_token(token.clone());
        Some(Self { control_plane, status: self.status.with_token(token) })
    }

    pub(crate) fn audit(&self) -> AuditServiceClient<Client> {
        AuditServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn connections(&self) -> ConnectionServiceClient<Client> {
        ConnectionServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn exports(&self) -> ExportServiceClient<Client> {
        ExportServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn lists(&self) -> ListServiceClient<Client> {
        ListServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn sources(&self) -> SourceServiceClient<Client> {
        SourceServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Client> {
        RunServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Client> {
        JobServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn schedule(&self) -> ScheduleServiceClient<Client> {
        ScheduleServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Client> {
        TokenServiceClient::new(self.control_plane.clone())
    }

    pub(crate) fn status(&self) -> StatusServiceClient<Client> {
        StatusServiceClient::new(self.status.clone())
    }

    /// Whether the services answer at all, to whoever asks.
    pub(crate) async fn reached(&self) -> Result<(), Status> {
        let strangers = [
            self.tokens().get_caller(v1::GetCallerRequest {}).await.err(),
            self.status().get_run(v1::GetRunRequest::default()).await.err(),
        ];
        // Refused is answered.
        let answered = |status: &Status| status.code() == tonic::Code::Unauthenticated;
        match strangers.into_iter().flatten().find(|status| !answered(status)) {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }

    /// All exports, or those of a connection.
    pub(crate) async fn all_exports(&self, connection: &str) -> Result<Vec<v1::Export>, Status> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let connection_id = connection.to_owned();
            let request = v1::ListExportsRequest { page_size: PAGE, page_token, connection_id };
            let page = self.exports().list_exports(asking(request)).await?.into_inner();
            all.extend(page.exports);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn all_connections(&self) -> Result<Vec<v1::Connection>, Status> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListConnectionsRequest { page_size: PAGE, page_token };
            let page = self.connections().list_connections(asking(request)).await?.into_inner();
            all.extend(page.connections);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn all_sources(&self) -> Result<Vec<v1::Source>, Status> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListSourcesRequest { page_size: PAGE, page_token };
            let page = self.sources().list_sources(asking(request)).await?.into_inner();
            all.extend(page.sources);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The newest runs, of an export or of all, in one state or in any, at most `most`.
    pub(crate) async fn newest_runs(
        &self,
        export: &str,
        state: v1::RunState,
        most: i32,
    ) -> Result<Vec<v1::Run>, Status> {
        let request = v1::ListRunsRequest {
            export_id: export.to_owned(),
            state: state.into(),
            page_size: most,
            page_token: String::new(),
        };
        Ok(self.status().list_runs(asking(request)).await?.into_inner().runs)
    }
}

/// A request that gives up after a while.
pub(crate) fn asking<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// A field that every answer of the server has.
pub(crate) fn present<T>(field: Option<T>) -> Result<T, Status> {
    let words = "the server's answer lacks something: is it of another version?";
    field.ok_or_else(|| Status::internal(words))
}
