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

use crate::config::{Format, Level, Log, Settings};
use otel::Exporting;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How the server logs, once it does.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Starts logging as the settings say, and exporting until what is returned is dropped.
///
/// # Errors
/// If spans cannot be exported as they say.
pub(crate) fn start(settings: &Settings) -> Result<Option<Exporting>, Box<dyn Error>> {
    let exported = settings.telemetry.otlp.as_deref().map(otel::layer).transpose()?;
    let (layer, exporting) = exported.unzip();
    let Log { level, format } = settings.log;
    tracing_subscriber::registry().with(layer).with(said(level, format, std::io::stderr)).init();
    let _ = FORMAT.set(format);
    std::panic::set_hook(Box::new(tell_panic));
    Ok(exporting)
}

/// Has a defect said as everything else is, so that collectors find it, and each line stays one of theirs.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a word");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(at, %backtrace, "a defect: panicked: {message}"),
        _ => tracing::error!(at, "a defect: panicked: {message}"),
    }
}

/// Says why the program ends: in the log where that is read by a collector, and plainly otherwise.
pub(crate) fn tell_failure(error: &dyn Error) {
    match FORMAT.get() {
        Some(Format::Json) if tracing::enabled!(tracing::Level::ERROR) => tracing::error!("{error}"),
        _ => eprintln!("error: {error}"),
    }
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
    tracing_subscriber::registry().with(said(level, Format::Human, std::io::stderr)).init();
    Ok(())
}

fn said<S: Subscriber + for<'a> LookupSpan<'a>>(
    level: Level,
    format: Format,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Box<dyn Layer<S> + Send + Sync> {
    let said =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(std::io::stderr().is_terminal());
    // Of its tries, each a line, the library of object stores tells who looks for a fault; what came of them, we tell.
    let tries = if level >= Level::Debug { level } else { level.min(Level::Warn) };
    let filter = Targets::new()
        .with_default(LevelFilter::from(level))
        .with_target("object_store", LevelFilter::from(tries));
    match format {
        Format::Human => said.with_filter(filter).boxed(),
        Format::Json => said.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_is_one_line_of_json() {
        let log: Arc<Mutex<Vec<u8>>> = Arc::default();
        let writer = log.clone();
        let write = move || Shared(writer.clone());
        let subscriber = tracing_subscriber::registry().with(said(Level::Info, Format::Json, write));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(tell_panic));
        let panicked = tracing::subscriber::with_default(subscriber, || {
            catch_unwind(|| panic!("on two\nlines, \"quoted\""))
        });
        std::panic::set_hook(before);
        assert!(panicked.is_err());
        let said = String::from_utf8(log.lock().expect("nobody panics").clone()).expect("text");
        let [line] = said.lines().collect::<Vec<_>>()[..] else { panic!("one line: {said}") };
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(json["message"], "a defect: panicked: on two\nlines, \"quoted\"");
        assert_eq!(json["level"], "ERROR");
        assert!(json["at"].as_str().is_some_and(|at| at.contains("log/mod.rs:")), "{line}");
    }

    /// A log that can be read.
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
