//! Trace context across processes, as W3C writes it: `00-<trace>-<span>-<flags>`.

use std::collections::HashMap;

use opentelemetry::{propagation::TextMapPropagator as _, trace::TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The name of the header, in gRPC metadata and in messages.
pub const TRACEPARENT: &str = "traceparent";

/// The context of the current span, for others to go on from. `None`: nobody traces.
pub fn current_traceparent() -> Option<String> {
    traceparent(&Span::current())
}

/// The context of a span.
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| {
        let flags = context.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
    })
}

/// Makes the span a child of one in another process. Before the span is entered: later it has no effect. What
/// is no `traceparent`, or nobody traces, changes nothing.
pub fn set_parent(span: &Span, traceparent: &str) {
    // Nobody else has to parse it then.
    if span.is_disabled() {
        return;
    }
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // An error says that nobody traces.
        drop(span.set_parent(context));
    }
}
