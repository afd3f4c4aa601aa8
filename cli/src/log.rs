//! What is said on stderr: for people, or as JSON for collectors.

use crate::config::{Format, Level, Settings};
use std::error::Error;
use std::io::IsTerminal;
use tracing_subscriber::filter::LevelFilter;

/// Keeps the export of spans going; dropped, what is left is sent.
pub(crate) struct Exporting;

/// Starts logging as the settings say.
///
/// # Errors
/// If spans cannot be exported as they say.
pub(crate) fn start(settings: &Settings) -> Result<Exporting, Box<dyn Error>> {
    if settings.telemetry.otlp.is_some() {
        return Err("telemetry.otlp: this binary was built without the feature `otel`".into());
    }
    say(settings.log.level, settings.log.format);
    Ok(Exporting)
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
    say(level, Format::Human);
    Ok(())
}

fn say(level: Level, format: Format) {
    let said = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        Format::Human => said.init(),
        Format::Json => said.json().flatten_event(true).init(),
    }
}
