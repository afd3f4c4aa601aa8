//! Spans to a collector of OpenTelemetry, by OTLP over HTTP (protobuf), from a thread of its own.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::error::Error;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Keeps the export going; dropped, what is left is sent.
pub(crate) struct Exporting(SdkTracerProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// What exports the server's spans to the collector at `url`.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    url: &str,
) -> Result<(impl Layer<S> + use<S>, Exporting), Box<dyn Error>> {
    let endpoint = format!("{}/v1/traces", url.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| format!("telemetry.otlp: {error}"))?;
    let resource = Resource::builder()
        .with_service_name("watersmeet")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("watersmeet"))
        // The exporter's own requests would be exported, too.
        .with_filter(Targets::new().with_target("watersmeet", Level::DEBUG));
    Ok((layer, Exporting(provider)))
}
