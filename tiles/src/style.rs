//! A default style for any set: every layer is drawn, whatever it holds, so that a bare map library shows a map.
//!
//! One idea: a layer's name says what it is to anybody who knows maps, and its attributes say what it is called; what
//! neither says gets a colour of its own. Areas lie below lines, lines below points, labels above all. Labels name no
//! fonts unless the server has some: then a map library draws them with those of the device. Not here: URLs.
//!
//! Source of the form: the `MapLibre` style specification, version 8.

use serde_json::{Map, Value, json};

use crate::content::Content;
use crate::set::Facts;

/// How a kind of layer is drawn.
struct Look {
    /// What layers of this kind are called, in parts of names.
    words: &'static [&'static str],
    fill: &'static str,
    line: &'static str,
    /// Those with a higher number lie above.
    order: u8,
}

const PAPER: &str = "#f4f1ea";
const SEA: &str = "#c9dde4";
const INK: &str = "#3c4a4f";

#[rustfmt::skip]
const LOOKS: [Look; 9] = [
    Look { words: &["water", "ocean", "lake", "river", "hydro", "marine"], fill: "#b3d1db", line: "#8db8c6", order: 3 },
    Look { words: &["building", "housenum"], fill: "#dfd5c8", line: "#c7b9a6", order: 5 },
    Look { words: &["bound", "border", "admin"], fill: "#efe7dc", line: "#a58fa8", order: 6 },
    Look { words: &["road", "transport", "street", "highway", "rail", "path", "route", "aeroway"], fill: "#e8e0d2", line: "#d9a45b", order: 7 },
    Look { words: &["park", "wood", "forest", "green", "grass", "landcover", "farm"], fill: "#d4e2c1", line: "#a9c18c", order: 2 },
    Look { words: &["landuse", "site", "zone"], fill: "#ebe4d6", line: "#cfc3ac", order: 2 },
    Look { words: &["place", "cit", "town", "settle", "label", "poi", "name"], fill: "#f0d9c4", line: "#b5651d", order: 9 },
    Look { words: &["contour", "hill", "terrain", "mountain"], fill: "#e6dfd1", line: "#b79d78", order: 4 },
    Look { words: &["land", "earth", "countr", "continent", "island", "state", "region", "province"], fill: "#f4f1ea", line: "#b9ab95", order: 1 },
];

/// For layers whose names say nothing: fill and line.
const OTHERS: [[&str; 2]; 6] = [
    ["#cfe0ea", "#4a7fa5"],
    ["#ead6cf", "#b4574a"],
    ["#dbe6cd", "#6b8f3f"],
    ["#e4d7e8", "#84599a"],
    ["#efe3c2", "#b08a2e"],
    ["#cfe6e0", "#3f8f81"],
];

/// Attributes that hold a name, the best first.
const NAMES: [&str; 9] =
    ["name", "name:latin", "name_en", "name:en", "NAME", "Name", "title", "label", "ref"];

/// Where a style finds what it names.
pub(crate) struct Urls {
    /// The set's TileJSON.
    pub(crate) tilejson: String,
    /// Glyphs, with placeholders, and the font to take, where the server has fonts.
    pub(crate) glyphs: Option<(String, String)>,
}

struct Drawn<'a> {
    id: &'a str,
    fill: &'a str,
    line: &'a str,
    order: u8,
    min_zoom: Option<u64>,
    names: Vec<&'a str>,
}

/// The style document of a set.
pub(crate) fn style(name: &str, facts: &Facts, urls: &Urls) -> Value {
    let layers = if facts.content == Content::Vector { vector(name, facts, urls) } else { raster(name) };
    let kind = if facts.content == Content::Vector { "vector" } else { "raster" };
    let mut source = json!({ "type": kind, "url": urls.tilejson });
    if kind == "raster" {
        source["tileSize"] = 256.into();
    }
    let mut style = json!({
        "version": 8,
        "name": facts.metadata["name"].as_str().unwrap_or(name),
        "center": facts.center,
        "zoom": facts.center_zoom,
        "sources": { name: source },
        "layers": layers,
    });
    if let Some((glyphs, _)) = &urls.glyphs {
        style["glyphs"] = glyphs.clone().into();
    }
    style
}

fn raster(name: &str) -> Vec<Value> {
    vec![json!({ "id": name, "type": "raster", "source": name })]
}

fn vector(name: &str, facts: &Facts, urls: &Urls) -> Vec<Value> {
    let described = facts.metadata["vector_layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut drawn: Vec<_> =
        described.iter().enumerate().filter_map(|(number, layer)| drawn(number, layer)).collect();
    // Stable: what the set's author put first lies lower.
    drawn.sort_by_key(|layer| layer.order);
    let has_land = drawn.iter().any(|layer| layer.order == 1);
    let background = if has_land { SEA } else { PAPER };
    let mut layers = vec![json!({
        "id": "background", "type": "background", "paint": { "background-color": background },
    })];
    let font = urls.glyphs.as_ref().map(|(_, font)| font.as_str());
    layers.extend(drawn.iter().map(|layer| of(name, layer, "fill", area(layer))));
    layers.extend(drawn.iter().map(|layer| of(name, layer, "outline", outline(layer))));
    layers.extend(drawn.iter().map(|layer| of(name, layer, "line", line(layer))));
    layers.extend(drawn.iter().map(|layer| of(name, layer, "point", point(layer))));
    let named = || drawn.iter().filter(|layer| !layer.names.is_empty());
    layers.extend(named().map(|layer| of(name, layer, "line label", label(layer, font, "LineString"))));
    layers.extend(named().map(|layer| of(name, layer, "label", label(layer, font, "Point"))));
    layers
}

fn drawn(number: usize, layer: &Value) -> Option<Drawn<'_>> {
    let id = layer["id"].as_str()?;
    let lower = id.to_lowercase();
    let look = LOOKS.iter().find(|look| look.words.iter().any(|word| lower.contains(word)));
    let [fill, line] = look.map_or(OTHERS[number % OTHERS.len()], |look| [look.fill, look.line]);
    let fields = layer["fields"].as_object();
    let names = NAMES.into_iter().filter(|name| fields.is_some_and(|fields| fields.contains_key(*name)));
    Some(Drawn {
        id,
        fill,
        line,
        order: look.map_or(8, |look| look.order),
        min_zoom: layer["minzoom"].as_u64(),
        names: names.collect(),
    })
}

/// A layer of the style, with what all have.
fn of(source: &str, layer: &Drawn<'_>, what: &str, mut rest: Map<String, Value>) -> Value {
    rest.insert("id".to_owned(), format!("{} {what}", layer.id).into());
    rest.insert("source".to_owned(), source.into());
    rest.insert("source-layer".to_owned(), layer.id.into());
    if let Some(zoom) = layer.min_zoom {
        rest.insert("minzoom".to_owned(), zoom.into());
    }
    Value::Object(rest)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn by_zoom(stops: [[f64; 2]; 3]) -> Value {
    let [[a, b], [c, d], [e, f]] = stops;
    json!(["interpolate", ["exponential", 1.4], ["zoom"], a, b, c, d, e, f])
}

fn area(layer: &Drawn<'_>) -> Map<String, Value> {
    // What lies on top of other areas lets them show through.
    let opacity = if layer.order == 8 { 0.6 } else { 1.0 };
    object(json!({
        "type": "fill",
        "filter": ["==", "$type", "Polygon"],
        "paint": { "fill-color": layer.fill, "fill-opacity": opacity },
    }))
}

fn outline(layer: &Drawn<'_>) -> Map<String, Value> {
    object(json!({
        "type": "line",
        "filter": ["==", "$type", "Polygon"],
        "layout": { "line-join": "round" },
        "paint": { "line-color": layer.line, "line-width": by_zoom([[0.0, 0.3], [8.0, 0.8], [16.0, 1.2]]) },
    }))
}

fn line(layer: &Drawn<'_>) -> Map<String, Value> {
    let mut paint =
        json!({ "line-color": layer.line, "line-width": by_zoom([[0.0, 0.5], [8.0, 1.2], [16.0, 5.0]]) });
    if layer.order == 6 {
        paint["line-dasharray"] = json!([3, 1.5]);
    }
    object(json!({
        "type": "line",
        "filter": ["==", "$type", "LineString"],
        "layout": { "line-join": "round", "line-cap": if layer.order == 6 { "butt" } else { "round" } },
        "paint": paint,
    }))
}

fn point(layer: &Drawn<'_>) -> Map<String, Value> {
    object(json!({
        "type": "circle",
        "filter": ["==", "$type", "Point"],
        "paint": {
            "circle-color": layer.line,
            "circle-radius": by_zoom([[0.0, 1.2], [8.0, 2.6], [16.0, 5.0]]),
            "circle-stroke-color": PAPER,
            "circle-stroke-width": by_zoom([[0.0, 0.0], [8.0, 0.8], [16.0, 1.2]]),
        },
    }))
}

fn label(layer: &Drawn<'_>, font: Option<&str>, geometry: &str) -> Map<String, Value> {
    let mut text = vec![json!("coalesce")];
    text.extend(layer.names.iter().map(|name| json!(["get", name])));
    let mut layout = json!({
        "text-field": ["to-string", text],
        "text-size": by_zoom([[0.0, 9.5], [8.0, 12.0], [16.0, 15.0]]),
        "text-padding": 4,
    });
    if geometry == "LineString" {
        layout["symbol-placement"] = "line".into();
    } else {
        layout["text-variable-anchor"] = json!(["left", "right", "top", "bottom"]);
        layout["text-radial-offset"] = 0.5.into();
        layout["text-justify"] = "auto".into();
    }
    if let Some(font) = font {
        layout["text-font"] = json!([font]);
    }
    object(json!({
        "type": "symbol",
        "filter": ["==", "$type", geometry],
        "layout": layout,
        "paint": { "text-color": INK, "text-halo-color": PAPER, "text-halo-width": 1.3 },
    }))
}
