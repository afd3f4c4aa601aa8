//! What is said on stderr, for people or as JSON for collectors; and spans to a collector, if the settings name one.

#[cfg(feature = "otel")]
mod otel;
/// The binary was built without.
#[cfg(not(feature = "otel"))]
mod otel {
    use std::error::Error;
    use tracing_subscriber::layer::Identity;

    pub(crate) struct Exporting;

    pub(super) fn layer(_: &str) -> Result<(Identity, Exporting), Box<dyn Error>> {
        Err("telemetry.otlp: this binary was built without the feature `otel`".into())
    }
}

use crate::config::{Format, Level, Settings};
use otel::Exporting;
use std::error::Error;
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as the settings say, and exporting until what is returned is dropped.
///
/// # Errors
/// If spans cannot be exported as they say.
pub(crate) fn start(settings: &Settings) -> Result<Option<Exporting>, Box<dyn Error>> {
    let exported = settings.telemetry.otlp.as_deref().map(otel::layer).transpose()?;
    let (layer, exporting) = exported.unzip();
    tracing_subscriber::registry().with(layer).with(said(settings.log.level, settings.log.format)).init();
    Ok(exporting)
}

/// Starts logging for commands that have no settings: by the flag, or the environment's `WATERSMEET_LOG`.
///
/// # Errors
/// If the environment names no level.
pub(crate) fn plainly(level: Option<Level>) -> Result<(), Box<dyn Error>> {
    let level = match (level, std::env::var("WATERSMEET_LOG")) {
        (Some(level), _) => level,
        (None, Ok(name)) => <Level as clap::ValueEnum>::from_str(&name, true)
            .map_err(|_| format!("WATERSMEET_LOG: {name:?} is no level"))?,
        (None, Err(_)) => Level::default(),
    };
    tracing_subscriber::registry().with(said(level, Format::Human)).init();
    Ok(())
}

fn said<S: Subscriber + for<'a> LookupSpan<'a>>(
    level: Level,
    format: Format,
) -> Box<dyn Layer<S> + Send + Sync> {
    let said = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let level = LevelFilter::from(level);
    match format {
        Format::Human => said.with_filter(level).boxed(),
        Format::Json => said.json().flatten_event(true).with_filter(level).boxed(),
    }
}
