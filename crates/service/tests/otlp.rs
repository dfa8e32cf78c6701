//! One trace across a call, as a collector receives it. A binary of its own: the process has one subscriber.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "it/echo.rs"]
mod echo;

use std::sync::{Arc, Mutex};

use clap::Parser;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{Span, span::SpanKind},
};
use segue_service::{
    config::{Client, ConfigArgs},
    grpc::Limits,
    telemetry::Telemetry,
    trace,
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use tracing::Instrument as _;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    config: ConfigArgs<Client>,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for group in request.into_inner().resource_spans {
            let attributes = group.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|it| it.key == "service.name").unwrap();
            let name = format!("{:?}", name.value);
            for scope in group.scope_spans {
                let spans = scope.spans.into_iter().map(|span| (name.clone(), span));
                self.0.lock().unwrap().extend(spans);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_receives_one_trace_across_a_call() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    let config = Line::try_parse_from(["segue"]).unwrap().config;
    let config = config.load_from([("SEGUE_LOG", "error")]).unwrap();
    let variable = |name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone());
    let telemetry = Telemetry::init_from("segue-test", "0.0.0", &config, variable).unwrap();

    let untraced = &["/test.v1.Echo/Count"];
    let server = echo::start(Limits::default(), |it| it.untraced(untraced)).await;
    let client = echo::client(&server);
    let outer = tracing::info_span!(target: "segue_test", "outer");
    // As from a message: the trace began elsewhere.
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    trace::set_parent(&outer, &format!("00-{trace_id}-b7ad6b7169203331-01"));
    let said = async {
        echo::count(&client, "1").await.unwrap();
        let here = trace::current_traceparent().unwrap();
        (here, echo::say(&client, "trace").await.unwrap())
    };
    let (here, there) = said.instrument(outer).await;
    assert_eq!(here.split('-').nth(1), Some(trace_id));
    assert_eq!(there.split('-').nth(1), Some(trace_id));
    assert_ne!(here, there, "the call has no span of its own");
    assert_eq!(trace::current_traceparent(), None, "outside of any span");
    // Whatever strangers send is no error.
    let odd = tracing::info_span!(target: "segue_test", "odd");
    for nonsense in
        ["", "00-0-0-00", "garbage", "00-00000000000000000000000000000000-0000000000000000-00"]
    {
        trace::set_parent(&odd, nonsense);
    }
    drop(odd);
    // Its span ends with the last byte of the answer, which a client may have before the server knows.
    server.drain.soft.cancel();
    drop(client);
    server.served.await.unwrap().unwrap();
    telemetry.shutdown().await;

    let spans = collector.0.lock().unwrap();
    let names: Vec<_> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    assert_eq!(spans.len(), 3, "{names:?}");
    let find = |name: &str| &spans.iter().find(|(_, span)| span.name == name).unwrap().1;
    let (outer, call) = (find("outer"), find("test.v1.Echo/Say"));
    assert_eq!(hex(&outer.trace_id), trace_id);
    assert_eq!(hex(&outer.parent_span_id), "b7ad6b7169203331");
    assert_eq!(call.trace_id, outer.trace_id);
    assert_eq!(call.parent_span_id, outer.span_id);
    assert_eq!(call.kind, i32::from(SpanKind::Server));
    let attribute = |key: &str| {
        let found = call.attributes.iter().find(|it| it.key == key);
        format!("{:?}", found.unwrap_or_else(|| panic!("no {key}: {call:?}")).value)
    };
    assert!(attribute("rpc.service").contains("test.v1.Echo"));
    assert!(attribute("rpc.method").contains("Say"));
    assert!(attribute("rpc.grpc.status_code").contains('0'));
    assert!(spans.iter().all(|(service, _)| service.contains("segue-test")));
}
