//! One trace from the call that starts a run to each request that Klaviyo gets for it, as a collector has it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use crate::harness::{People, Services, Shape, Sim, wait_for};

/// Spans, and the service of each.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for group in request.into_inner().resource_spans {
            let attributes = group.resource.unwrap_or_default().attributes;
            let name = attributes.into_iter().find(|it| it.key == "service.name");
            let name = text(name.and_then(|it| it.value));
            let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| (name.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|it| it.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    text(span.attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone()))
}

impl Collector {
    /// Listens as long as the runtime is there; returns where.
    fn listen(&self, runtime: &Runtime) -> String {
        let service = TraceServiceServer::new(self.clone());
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            let serving = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener));
            tokio::spawn(serving);
            format!("http://{at}")
        })
    }

    fn spans(&self, is: impl Fn(&Span) -> bool) -> Vec<(String, Span)> {
        self.0.lock().unwrap().iter().filter(|(_, span)| is(span)).cloned().collect()
    }
}

#[test]
fn one_trace_leads_from_the_call_through_every_job_to_klaviyo() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::default();
    let endpoint = collector.listen(&runtime);
    let sim = Sim::free();
    let shape = Shape { control_planes: 1, workers: 2, statuses: 1 };
    let traced =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let services = Services::apart_with(&sim, shape, &traced);
    let people = People::good(25_000);
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    assert_eq!(services.ended(&run)["counts"]["delivered"], 25_000);

    let imported = |span: &Span| attribute(span, "klaviyo.endpoint") == "import";
    let confirmed = |span: &Span| attribute(span, "job.kind") == "confirm";
    wait_for("the spans of three imports and of their confirmation", || {
        (collector.spans(imported).len() >= 3 && !collector.spans(confirmed).is_empty())
            .then_some(())
    });
    let started = collector.spans(|span| span.name == "segue.v1.RunService/StartRun");
    let [(service, started)] = &started[..] else { panic!("{started:?}") };
    assert_eq!(service, "segue-control-plane");
    let of_the_run = |span: &Span| {
        // What becomes of columns is looked at for whoever saves the export, in the trace of that call.
        (span.name == "job.run" && attribute(span, "job.kind") != "look")
            || (span.name == "klaviyo.call" && attribute(span, "klaviyo.endpoint") == "import")
    };
    let mut kinds = BTreeSet::new();
    for (service, span) in collector.spans(of_the_run) {
        assert_eq!(service, "segue-worker");
        assert_eq!(span.trace_id, started.trace_id, "{} is in another trace", span.name);
        kinds.insert(attribute(&span, "job.kind"));
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["", "confirm", "read", "upload"]);
    // What a worker asks of the control-plane is a child of its job, there too.
    let asked = collector.spans(|span| {
        span.name == "segue.v1.WorkerService/Permit" && span.trace_id == started.trace_id
    });
    assert!(asked.iter().any(|(service, _)| service == "segue-control-plane"), "no permit in it");
    let said = format!("{:?}", collector.spans(|_| true));
    for secret in ["pk_sim", "person1@"] {
        assert!(!said.contains(secret), "{secret} is in a span");
    }
}
