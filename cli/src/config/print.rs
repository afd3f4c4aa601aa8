//! `watersmeet config print`: what counts, and where each of it was chosen.

use super::layers::{ConfigError, Layers, Place};
use super::{Flags, Settings};
use std::fmt::Write;
use toml::{Table, Value};

/// The settings that count as TOML, each with its place. Secrets are not shown.
///
/// # Errors
/// If something is wrong with them.
pub(crate) fn print(flags: &Flags) -> Result<String, ConfigError> {
    let layers = Layers::gather(flags)?;
    Ok(shown(&layers, &layers.settings()?))
}

pub(super) fn shown(layers: &Layers, settings: &Settings) -> String {
    // From the settings, not from what was written: their secrets do not show themselves.
    let sections = Table::try_from(settings).unwrap_or_default();
    let (mut text, mut before) = (String::new(), "");
    for (path, place) in layers.iter() {
        let (section, key) = path.split_once('.').unwrap_or((path, ""));
        if section != before {
            let line = if before.is_empty() { "" } else { "\n" };
            // A `String` takes any text.
            let _ = writeln!(text, "{line}[{section}]");
            before = section;
        }
        let none = Value::String(String::new());
        let value = sections.get(section).and_then(|keys| keys.get(key)).unwrap_or(&none);
        let _ = match place {
            Place::Default => writeln!(text, "{key} = {value}"),
            place => writeln!(text, "{key} = {value}  # {place}"),
        };
    }
    text
}
