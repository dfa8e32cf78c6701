//! `segue connections|lists|sources|exports|schedule|runs|jobs|tokens|audit|keys|apply`: the command line as a client of the
//! services.

mod apply;
mod args;
mod args_admin;
mod args_runs;
mod audit;
mod connections;
mod exports;
mod guards;
mod jobs;
mod lists;
mod live_flows;
mod output;
mod preview;
mod runs;
mod schedule;
mod sources;
mod token;
mod tokens;
mod watch;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use segue_proto::v1::{
    audit_service_client::AuditServiceClient, connection_service_client::ConnectionServiceClient,
    export_service_client::ExportServiceClient, job_service_client::JobServiceClient,
    list_service_client::ListServiceClient, run_service_client::RunServiceClient,
    schedule_service_client::ScheduleServiceClient, source_service_client::SourceServiceClient,
    status_service_client::StatusServiceClient, token_service_client::TokenServiceClient,
};
use tonic::{
    Code, Status,
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt as _;

pub(crate) use args::{
    ApplyArgs, ConnectionsArgs, ExportsArgs, ListsArgs, ScheduleArgs, TokensArgs,
};
use args::{Output, ServerArgs};
pub(crate) use args_admin::{AuditArgs, KeysArgs};
pub(crate) use args_runs::{JobsArgs, RunsArgs};
pub(crate) use sources::SourcesArgs;
use token::Caller;

pub(crate) async fn connections(args: ConnectionsArgs) -> anyhow::Result<ExitCode> {
    connections::run(args).await
}

pub(crate) async fn lists(args: ListsArgs) -> anyhow::Result<ExitCode> {
    lists::run(args).await
}

pub(crate) async fn sources(args: SourcesArgs) -> anyhow::Result<ExitCode> {
    sources::run(args).await
}

pub(crate) async fn exports(args: ExportsArgs) -> anyhow::Result<ExitCode> {
    exports::run(args).await
}

pub(crate) async fn runs(args: RunsArgs) -> anyhow::Result<ExitCode> {
    runs::run(args).await
}

pub(crate) async fn jobs(args: JobsArgs) -> anyhow::Result<ExitCode> {
    jobs::run(args).await
}

pub(crate) async fn schedule(args: ScheduleArgs) -> anyhow::Result<ExitCode> {
    schedule::run(args).await
}

pub(crate) async fn audit(args: AuditArgs) -> anyhow::Result<ExitCode> {
    audit::run(args).await
}

pub(crate) async fn keys(args: KeysArgs) -> anyhow::Result<ExitCode> {
    audit::keys(args).await
}

pub(crate) async fn tokens(args: TokensArgs) -> anyhow::Result<ExitCode> {
    tokens::run(args).await
}

pub(crate) async fn apply(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    apply::run(args).await
}

/// A channel that says who asks.
type Known = InterceptedService<Channel, Caller>;

/// The services that a command asks. Connections are made with the first call.
struct Servers {
    control_plane: Known,
    status: Known,
    output: Output,
}

impl Servers {
    fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let caller = Caller::find(args)?;
        for url in std::iter::once(&args.server).chain(&args.status_url) {
            caller.may_go_to(url, args.insecure_http)?;
        }
        let known = |channel| InterceptedService::new(channel, caller.clone());
        let control_plane = known(channel(&args.server, args)?);
        let status = match &args.status_url {
            Some(url) => known(channel(url, args)?),
            None => control_plane.clone(),
        };
        Ok(Self { control_plane, status, output: args.output })
    }

    fn connections(&self) -> ConnectionServiceClient<Known> {
        ConnectionServiceClient::new(self.control_plane.clone())
    }

    fn lists(&self) -> ListServiceClient<Known> {
        ListServiceClient::new(self.control_plane.clone())
    }

    fn sources(&self) -> SourceServiceClient<Known> {
        SourceServiceClient::new(self.control_plane.clone())
    }

    fn exports(&self) -> ExportServiceClient<Known> {
        ExportServiceClient::new(self.control_plane.clone())
    }

    fn runs(&self) -> RunServiceClient<Known> {
        RunServiceClient::new(self.control_plane.clone())
    }

    fn jobs(&self) -> JobServiceClient<Known> {
        JobServiceClient::new(self.control_plane.clone())
    }

    fn schedule(&self) -> ScheduleServiceClient<Known> {
        ScheduleServiceClient::new(self.control_plane.clone())
    }

    fn audit(&self) -> AuditServiceClient<Known> {
        AuditServiceClient::new(self.control_plane.clone())
    }

    fn tokens(&self) -> TokenServiceClient<Known> {
        TokenServiceClient::new(self.control_plane.clone())
    }

    fn status(&self) -> StatusServiceClient<Known> {
        StatusServiceClient::new(self.status.clone())
    }
}

/// Longer than the server takes to ask Klaviyo about a key.
const PATIENCE: Duration = Duration::from_secs(90);

fn channel(url: &str, args: &ServerArgs) -> anyhow::Result<Channel> {
    let wrong = || {
        format!("{url:?} is no address of a server: write http://HOST:PORT or https://HOST:PORT")
    };
    let mut endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(wrong)?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    if url.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(file) = &args.tls_ca_file {
            let pem = std::fs::read(file)
                .with_context(|| format!("cannot read the certificate {}", file.display()))?;
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        endpoint = endpoint.tls_config(tls).with_context(wrong)?;
    }
    Ok(endpoint.connect_lazy())
}

/// A request that gives up after a while.
fn asking<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// What a service refused, in words, with the fields that it names.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn explain(status: Status) -> anyhow::Error {
    let details = status.get_error_details();
    let mut words = match status.code() {
        Code::Unavailable
            if status.message().contains("transport error")
                || status.message().contains("tcp connect") =>
        {
            "the server cannot be reached: is it running, and does --server name it?".to_owned()
        }
        Code::Unauthenticated => format!("the server does not know you: {}", status.message()),
        _ => status.message().to_owned(),
    };
    if words.is_empty() {
        status.code().description().clone_into(&mut words);
    }
    let fields =
        details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    for violation in fields {
        if !words.contains(&violation.description) || !words.contains(&violation.field) {
            words = format!("{words} ({}: {})", violation.field, violation.description);
        }
    }
    anyhow!(words)
}

/// A field that every answer of the server has.
fn present<T>(field: Option<T>, name: &str) -> anyhow::Result<T> {
    field.with_context(|| format!("the server's answer has no {name}: is it of another version?"))
}
