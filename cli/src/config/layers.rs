//! The four places where a setting may be chosen, and which of them counts.

use super::flags::{SHORT, key_files};
use super::{DEFAULT, Flags, Settings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

const PREFIX: &str = "WATERSMEET_";

/// Where a value was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Default,
    File { file: PathBuf, line: usize },
    Environment(String),
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File { file, line } => write!(f, "{}:{line}", file.display()),
            Place::Environment(variable) => f.write_str(variable),
            Place::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Everything that is wrong with the configuration, each on a line, with its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {file} cannot be read: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{file} is no TOML: {source}")]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where, and why.
        source: toml::de::Error,
    },
    /// Keys that are none, and values that do not fit.
    #[error("{}", .0.join("\n       "))]
    Wrong(Vec<String>),
}

/// Every key, with the value that counts and its place. See the [module](self).
#[derive(Debug)]
pub(super) struct Layers {
    chosen: BTreeMap<String, (Value, Place)>,
    wrong: Vec<String>,
}

impl Layers {
    /// The defaults, then the file, then the environment, then the flags.
    pub(super) fn gather(flags: &Flags) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some(file) = &flags.config {
            layers.add_file(file)?;
        }
        layers.add_environment(std::env::vars_os());
        for (flag, key, value) in flags.named() {
            layers.put(key.to_owned(), value, Place::Flag(flag.to_owned()));
        }
        layers.add_set(&flags.set);
        Ok(layers)
    }

    pub(super) fn defaults() -> Self {
        let mut chosen = BTreeMap::new();
        // Checked by a test: the file is part of the program.
        let sections: Table = toml::from_str(DEFAULT).unwrap_or_default();
        for (section, keys) in sections {
            for (key, value) in keys.as_table().cloned().unwrap_or_default() {
                chosen.insert(format!("{section}.{key}"), (value, Place::Default));
            }
        }
        Layers { chosen, wrong: Vec::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.chosen.iter().map(|(key, (_, place))| (key.as_str(), place))
    }

    fn add_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let read_error = |source| ConfigError::Read { file: file.to_owned(), source };
        let text = std::fs::read_to_string(file).map_err(read_error)?;
        self.add_text(file, &text).map_err(|source| ConfigError::Syntax { file: file.to_owned(), source })
    }

    fn add_text(&mut self, file: &Path, text: &str) -> Result<(), toml::de::Error> {
        let values: Table = toml::from_str(text)?;
        let at = |start: usize| Place::File {
            file: file.to_owned(),
            line: 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count(),
        };
        for (section, below) in DeTable::parse(text)?.get_ref() {
            let name = section.get_ref().as_ref();
            match (below.get_ref(), values.get(name)) {
                (DeValue::Table(keys), Some(Value::Table(values))) => {
                    self.add_section(name, keys, values, &at)
                }
                _ => self.unknown(name, &at(section.span().start)),
            }
        }
        Ok(())
    }

    fn add_section(&mut self, name: &str, keys: &DeTable<'_>, values: &Table, at: &impl Fn(usize) -> Place) {
        for (key, _) in keys {
            let place = at(Spanned::span(key).start);
            let key = key.get_ref().as_ref();
            if let Some(value) = values.get(key) {
                self.put(format!("{name}.{key}"), value.clone(), place);
            }
        }
    }

    /// `WATERSMEET_SECTION_KEY`, and the short names.
    fn add_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        let mut long: BTreeMap<String, String> = BTreeMap::new();
        for key in self.chosen.keys() {
            long.insert(key.replace('.', "_").to_uppercase(), key.clone());
        }
        for (variable, value) in variables {
            let (Some(variable), Some(text)) = (variable.to_str(), value.to_str()) else { continue };
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            let short = SHORT.iter().find(|(short, _)| *short == name).map(|(_, key)| (*key).to_owned());
            let place = Place::Environment(variable.to_owned());
            match short.or_else(|| long.get(name).cloned()) {
                Some(key) => self.put_text(key, text, place),
                None if self.is_of_a_section(name) => {
                    let nearest = nearest(name, long.keys());
                    self.wrong.push(format!("{variable} is no setting; did you mean {PREFIX}{nearest}?"));
                }
                // The variables of other commands.
                None => {}
            }
        }
    }

    fn is_of_a_section(&self, name: &str) -> bool {
        let sections = self.chosen.keys().filter_map(|key| key.split('.').next());
        sections.into_iter().any(|section| {
            name.strip_prefix(&section.to_uppercase()).is_some_and(|rest| rest.starts_with('_'))
        })
    }

    fn add_set(&mut self, set: &[String]) {
        for setting in set {
            match setting.split_once('=') {
                Some((key, text)) => self.put_text(key.to_owned(), text, Place::Flag(format!("--set {key}"))),
                None => self.wrong.push(format!("--set {setting}: write --set KEY=VALUE")),
            }
        }
    }

    fn put_text(&mut self, key: String, text: &str, place: Place) {
        match self.chosen.get(&key) {
            Some((like, _)) => {
                let value = if key == "access.keys" { keys(text) } else { value(text, like) };
                self.put(key, value, place);
            }
            None => self.unknown(&key, &place),
        }
    }

    fn put(&mut self, key: String, value: Value, place: Place) {
        if !self.chosen.contains_key(&key) {
            return self.unknown(&key, &place);
        }
        // By itself, so that what is wrong with it is said of its place.
        if let Err(error) = settings([(key.as_str(), &value)]) {
            self.wrong.push(format!("{place}: {key}: {}", error.message().trim()));
        }
        self.chosen.insert(key, (value, place));
    }

    fn unknown(&mut self, key: &str, place: &Place) {
        let nearest = nearest(key, self.chosen.keys());
        self.wrong.push(format!("{place}: {key} is no setting; did you mean {nearest}?"));
    }

    /// What counts.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        if !self.wrong.is_empty() {
            return Err(ConfigError::Wrong(self.wrong.clone()));
        }
        let chosen = self.chosen.iter().map(|(key, (value, _))| (key.as_str(), value));
        settings(chosen).map_err(|error| ConfigError::Wrong(vec![error.message().to_owned()]))
    }
}

/// Settings of which these are chosen. An empty text is no choice.
fn settings<'a>(chosen: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<Settings, toml::de::Error> {
    let mut sections = Table::new();
    for (key, value) in chosen.into_iter().filter(|(_, value)| value.as_str() != Some("")) {
        let (section, key) = key.split_once('.').unwrap_or((key, ""));
        let section = sections.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(keys) = section {
            keys.insert(key.to_owned(), value.clone());
        }
    }
    Value::Table(sections).try_into()
}

/// What a text says where a value like `like` is expected.
fn value(text: &str, like: &Value) -> Value {
    let literal = || toml::from_str::<Table>(&format!("it = {text}")).ok()?.remove("it");
    let as_text = || Value::String(text.to_owned());
    match like {
        Value::String(_) => as_text(),
        Value::Boolean(_) if ["1", "0"].contains(&text) => Value::Boolean(text == "1"),
        Value::Array(_) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => literal().unwrap_or_else(as_text),
    }
}

/// Keys are files, unless they are written as the file has them.
fn keys(text: &str) -> Value {
    match value(text, &Value::Array(Vec::new())) {
        Value::Array(files) if files.iter().all(Value::is_str) => {
            key_files(&files.iter().filter_map(Value::as_str).collect::<Vec<_>>())
        }
        other => other,
    }
}

/// The known name that takes the fewest changes, of which to leave out the section is one.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> &'a str {
    let changes = |known: &&String| {
        let key = known.split_once('.').map_or(known.as_str(), |(_, key)| key);
        strsim::damerau_levenshtein(name, known).min(1 + strsim::damerau_levenshtein(name, key))
    };
    known.min_by_key(changes).map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
