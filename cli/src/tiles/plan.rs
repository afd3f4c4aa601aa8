//! A tile set described by a TOML file: its layers, what of them is wanted, and how it is drawn.
//!
//! The keys are those of the tiles' own options, so there is one list of them; `docs/tiles.md` explains each. A key that is
//! none, and a value that does not fit, is told with its line and, for keys, with the nearest that there is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use watersmeet_tiles::{BuildOptions, Filter, Kind, Layer, LayerRules, STDIN, Selection};

/// What to build.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) layers: Vec<Layer>,
    pub(super) options: BuildOptions,
}

/// Why a file is no plan: everything that is wrong, each on a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The file cannot be read.
    #[error("the tile set {file} cannot be read: {source}")]
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
        source: Box<toml::de::Error>,
    },
    /// Keys that are none, and values that do not fit.
    #[error("{}", .0.join("\n       "))]
    Wrong(Vec<String>),
}

/// What a set says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Whole {
    name: Option<String>,
    description: Option<String>,
    attribution: Option<String>,
    archive_zoom: Option<u8>,
}

const WHOLE: [&str; 4] = ["name", "description", "attribution", "archive_zoom"];

/// What a layer is made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    name: Option<String>,
    files: Vec<PathBuf>,
    lon: Option<String>,
    lat: Option<String>,
    filter: Option<Value>,
    attributes: Option<Attributes>,
    id: Option<String>,
    min_zoom: u8,
    max_zoom: Option<u8>,
}

const PART: [&str; 9] = ["name", "files", "lon", "lat", "filter", "attributes", "id", "min_zoom", "max_zoom"];

/// The attributes that are kept: their names, or their names and kinds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Attributes {
    Names(Vec<String>),
    Kinds(BTreeMap<String, Kind>),
}

/// Reads a tile set's description; files are looked for beside it.
///
/// # Errors
/// With everything that is wrong, each with its place.
pub(super) fn read(file: &Path) -> Result<Plan, PlanError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| PlanError::Read { file: file.to_owned(), source })?;
    parse(file, &text)
}

fn parse(file: &Path, text: &str) -> Result<Plan, PlanError> {
    let syntax = |source| PlanError::Syntax { file: file.to_owned(), source: Box::new(source) };
    let values: Table = toml::from_str(text).map_err(syntax)?;
    let spans = DeTable::parse(text).map_err(syntax)?;
    let mut reader = Reader { file, text, wrong: Vec::new() };
    let plan = reader.plan(&values, spans.get_ref());
    if reader.wrong.is_empty() { Ok(plan) } else { Err(PlanError::Wrong(reader.wrong)) }
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: Range<usize>, message: &str) {
        let line = 1 + self.text.as_bytes()[..at.start].iter().filter(|byte| **byte == b'\n').count();
        self.wrong.push(format!("{}:{line}: {message}", self.file.display()));
    }

    fn plan(&mut self, values: &Table, spans: &DeTable<'_>) -> Plan {
        let mut options = BuildOptions::default();
        let render = keys_of(&options.render);
        let known: Vec<_> = WHOLE.into_iter().chain(render.iter().map(String::as_str)).collect();
        self.check_keys(spans, &[&known[..], &["layer"]].concat());
        let base = Table::try_from(&options.render).unwrap_or_default();
        options.render = self.chosen(values, spans, &render, base);
        let whole: Whole = self.chosen(values, spans, &WHOLE.map(str::to_owned), Table::new());
        options.archive_zoom = whole.archive_zoom;
        (options.name, options.description) = (whole.name, whole.description);
        options.attribution = whole.attribution;
        let mut layers = Vec::new();
        match (values.get("layer"), spans.get("layer").map(Spanned::get_ref)) {
            (Some(Value::Array(values)), Some(DeValue::Array(spans))) => {
                for (value, span) in values.iter().zip(spans) {
                    if let (Value::Table(values), DeValue::Table(inner)) = (value, span.get_ref()) {
                        layers.extend(self.layer(values, inner, span.span(), &mut options));
                    }
                }
            }
            _ => self.wrong.push(format!("{}: it has no [[layer]]", self.file.display())),
        }
        Plan { layers, options }
    }

    fn layer(
        &mut self,
        values: &Table,
        spans: &DeTable<'_>,
        at: Range<usize>,
        options: &mut BuildOptions,
    ) -> Option<Layer> {
        let rules = keys_of(&LayerRules::default());
        self.check_keys(spans, &PART.into_iter().chain(rules.iter().map(String::as_str)).collect::<Vec<_>>());
        let rules: LayerRules = self.chosen(values, spans, &rules, Table::new());
        let part: Part = self.chosen(values, spans, &PART.map(str::to_owned), Table::new());
        let Some(first) = part.files.first() else {
            self.wrong(at, "a layer needs files = [\"...\"]");
            return None;
        };
        let mut layer = Layer::from_path(first);
        layer.name = part.name.unwrap_or(layer.name);
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let beside = |file: &PathBuf| if file == Path::new(STDIN) { file.clone() } else { folder.join(file) };
        layer.paths = part.files.iter().map(beside).collect();
        (layer.columns.lon, layer.columns.lat) = (part.lon, part.lat);
        let filter = part.filter.and_then(|value| match filter(&value) {
            Ok(filter) => Some(filter),
            Err(message) => {
                let at = spans.get_key_value("filter").map_or(at, |(key, _)| Spanned::span(key));
                self.wrong(at, &format!("filter: {message}"));
                None
            }
        });
        let attributes = part.attributes.map(|attributes| match attributes {
            Attributes::Names(names) => names.into_iter().map(|name| (name, None)).collect(),
            Attributes::Kinds(kinds) => kinds.into_iter().map(|(name, kind)| (name, Some(kind))).collect(),
        });
        let (id, min_zoom, max_zoom) = (part.id, part.min_zoom, part.max_zoom);
        let selection = Selection { filter, attributes, id, min_zoom, max_zoom };
        options.selections.insert(layer.name.clone(), selection);
        options.layers.insert(layer.name.clone(), rules);
        Some(layer)
    }

    fn check_keys(&mut self, spans: &DeTable<'_>, known: &[&str]) {
        for (key, _) in spans {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
                let nearest = nearest.copied().unwrap_or_default();
                self.wrong(Spanned::span(key), &format!("{name} is no key here; did you mean {nearest}?"));
            }
        }
    }

    /// The struct that the keys which are there make of `base`. Each is tried by itself, so that what is wrong with it
    /// has a place.
    fn chosen<T: DeserializeOwned + Default>(
        &mut self,
        values: &Table,
        spans: &DeTable<'_>,
        keys: &[String],
        mut base: Table,
    ) -> T {
        for key in keys {
            let (Some(value), Some((place, _))) = (values.get(key), spans.get_key_value(key.as_str())) else {
                continue;
            };
            let mut with = base.clone();
            with.insert(key.clone(), value.clone());
            match Value::Table(with.clone()).try_into::<T>() {
                Ok(_) => base = with,
                Err(error) => {
                    self.wrong(Spanned::span(place), &format!("{key}: {}", error.message().trim()));
                }
            }
        }
        // Each of its keys has been tried.
        Value::Table(base).try_into().unwrap_or_default()
    }
}

/// The keys of a struct of options, those without a value included.
fn keys_of(options: &impl Serialize) -> Vec<String> {
    match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(members)) => members.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// A filter as TOML writes it, or as JSON in a text.
fn filter(value: &Value) -> Result<Filter, String> {
    let json = match value {
        Value::String(text) => serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?,
        other => serde_json::to_value(other).map_err(|error| error.to_string())?,
    };
    Filter::parse(&json).map_err(|error| error.to_string())
}

impl Plan {
    /// Says what would be built.
    pub(super) fn describe(&self) -> String {
        let BuildOptions { render, selections, .. } = &self.options;
        let (min, max, archived) = (render.min_zoom, render.max_zoom, self.options.last_archived_zoom());
        let mut text = format!("zooms {min} to {max}, rendered beforehand to {archived}\n");
        for Layer { name, paths, .. } in &self.layers {
            let files: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            let _ = write!(text, "layer {name}: {}", files.join(", "));
            let selection = selections.get(name).cloned().unwrap_or_default();
            let _ = write!(
                text,
                "; zooms {} to {}",
                selection.min_zoom.max(min),
                selection.max_zoom.unwrap_or(max).min(max)
            );
            if selection.filter.is_some() {
                text.push_str("; filtered");
            }
            if let Some(attributes) = &selection.attributes {
                let names: Vec<_> = attributes.keys().map(String::as_str).collect();
                let _ = write!(text, "; attributes {}", names.join(", "));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_tiles::PointRule;

    fn parsed(text: &str) -> Result<Plan, String> {
        parse(Path::new("maps/town.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_set_is_what_its_file_says() {
        let plan = parsed(
            r#"
            name = "Town"
            max_zoom = 12
            tolerance = 2.0
            [[layer]]
            files = ["parks.geojson", "-"]
            filter = ["==", "class", "park"]
            attributes = ["name"]
            min_zoom = 5
            [[layer]]
            name = "people"
            files = ["places.csv.gz"]
            lon = "e"
            points = "cluster"
            cluster.radius = 30.0
            filter = '[">", ["get", "pop"], 3]'
            [layer.attributes]
            pop = "integer"
            "#,
        )
        .unwrap();
        let options = &plan.options;
        assert_eq!(
            (options.name.as_deref(), options.render.max_zoom, options.render.tolerance),
            (Some("Town"), 12, 2.0)
        );
        assert_eq!(options.render.extent, BuildOptions::default().render.extent);
        let [parks, people] = &plan.layers[..] else { panic!("{plan:?}") };
        assert_eq!((parks.name.as_str(), people.name.as_str()), ("parks", "people"));
        assert_eq!(parks.paths, [PathBuf::from("maps/parks.geojson"), PathBuf::from("-")]);
        assert_eq!(people.columns.lon.as_deref(), Some("e"));
        assert_eq!(
            (options.selections["parks"].min_zoom, options.layers["people"].points),
            (5, PointRule::Cluster)
        );
        assert_eq!(options.layers["people"].cluster.radius, 30.0);
        assert!(options.selections["people"].filter.is_some());
        assert_eq!(options.selections["people"].attributes.as_ref().unwrap()["pop"], Some(Kind::Integer));
        assert!(
            plan.describe()
                .contains("layer parks: maps/parks.geojson, -; zooms 5 to 12; filtered; attributes name")
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_all_at_once() {
        let error = parsed(
            r#"max_zom = 3
min_zoom = "low"

[[layer]]
files = ["a.csv"]
filter = ["~", "a"]
attribute = []
[[layer]]
name = "b"
points = "some"
"#,
        )
        .unwrap_err();
        for expected in [
            "maps/town.toml:1: max_zom is no key here; did you mean max_zoom?",
            "maps/town.toml:2: min_zoom: invalid type: string \"low\"",
            "maps/town.toml:6: filter: \"~\" is no operator",
            "maps/town.toml:7: attribute is no key here; did you mean attributes?",
            "maps/town.toml:10: points: unknown variant `some`",
            "maps/town.toml:8: a layer needs files",
        ] {
            assert!(error.contains(expected), "{expected}\n{error}");
        }
        assert!(parsed("name = \"x\"").unwrap_err().contains("it has no [[layer]]"));
        assert!(parsed("name = ").unwrap_err().contains("is no TOML"));
    }
}
