//! `watersmeet tiles decode`.

use crate::say::say;
use clap::Args;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use watersmeet_tiles::compress::{self, Encoding};
use watersmeet_tiles::decode::{self, DecodedFeature, DecodedLayer, DecodedValue, GeometryKind};
use watersmeet_tiles::simplify::TilePoint;
use watersmeet_tiles::{Content, TileCoord, TileSet, Tiles, project};

/// Say what is in a tile: its features as GeoJSON in degrees, one a line, each with its `layer`. A tile above the
/// pre-rendered zooms is rendered for it. What the specification of vector tiles forbids is an error.
#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// A PMTiles or MBTiles file; or a vector tile alone, packed with gzip, zstd or not at all.
    file: PathBuf,
    /// Which tile: Z/X/Y, counted from the north.
    #[arg(value_parser = tile)]
    tile: TileCoord,
}

impl Decode {
    pub(super) fn run(self) -> Result<(), Box<dyn Error>> {
        let ending = self.file.extension().and_then(|ending| ending.to_str());
        let bytes = match ending {
            Some("pmtiles" | "mbtiles") => of_set(&self.file, self.tile)?,
            _ => alone(&self.file)?,
        };
        let named = |error: &dyn Error| format!("{}, tile {}: {error}", self.file.display(), self.tile);
        let layers = decode::tile(&bytes).map_err(|error| named(&error))?;
        let mut text = String::new();
        for layer in &layers {
            layer
                .features
                .iter()
                .try_for_each(|feature| writeln!(text, "{}", geojson(self.tile, layer, feature)))?;
        }
        Ok(say(text)?)
    }
}

fn tile(text: &str) -> Result<TileCoord, String> {
    let parts: Option<Vec<u32>> = text.split('/').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some(&[z, x, y]) => {
            TileCoord::new(u8::try_from(z).unwrap_or(u8::MAX), x, y).map_err(|error| error.to_string())
        }
        _ => Err("write Z/X/Y, such as 3/4/2".to_owned()),
    }
}

fn of_set(file: &Path, tile: TileCoord) -> Result<Vec<u8>, Box<dyn Error>> {
    let set = TileSet::open(file)?;
    if set.facts().content != Content::Vector {
        return Err(format!("{}: its tiles are images, not vector tiles", file.display()).into());
    }
    if !set.covers(tile) {
        let (min, max) = (set.min_zoom(), set.max_zoom());
        return Err(
            format!("{}: tile {tile} lies outside of it (zooms {min} to {max})", file.display()).into()
        );
    }
    match set.tile(tile, &|| false)? {
        Some(found) => Ok(compress::unpack(&found.bytes, found.encoding)?),
        None => Ok(Vec::new()),
    }
}

/// A tile in a file of its own. What it is packed with is told by its first bytes, which no vector tile begins with.
fn alone(file: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let encoding = match bytes.as_slice() {
        [0x1F, 0x8B, ..] => Encoding::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Encoding::Zstd,
        _ => return Ok(bytes),
    };
    Ok(compress::unpack(&bytes, encoding).map_err(|error| format!("{}: {error}", file.display()))?)
}

fn geojson(tile: TileCoord, layer: &DecodedLayer, feature: &DecodedFeature) -> Value {
    let properties: Map<_, _> =
        feature.tags.iter().map(|(key, value)| (key.as_ref().to_owned(), self::value(value))).collect();
    let mut said = json!({
        "type": "Feature",
        "layer": *layer.name,
        "properties": properties,
        "geometry": geometry(feature, &|point| degrees(tile, layer.extent, point)),
    });
    if let (Some(id), Some(members)) = (feature.id, said.as_object_mut()) {
        members.insert("id".to_owned(), id.into());
    }
    said
}

fn value(value: &DecodedValue) -> Value {
    match value {
        DecodedValue::Text(text) => json!(**text),
        // By its own shortest digits: as a double, 3.1 would become 3.0999999046325684.
        DecodedValue::Float(number) => serde_json::from_str(&number.to_string()).unwrap_or(Value::Null),
        DecodedValue::Double(number) => json!(number),
        DecodedValue::Signed(number) => json!(number),
        DecodedValue::Unsigned(number) => json!(number),
        DecodedValue::Bool(yes) => json!(yes),
    }
}

/// Several parts make a `Multi` geometry; one, a plain one.
fn geometry(feature: &DecodedFeature, degrees: &dyn Fn(&TilePoint) -> Value) -> Value {
    let along = |part: &Vec<TilePoint>| part.iter().map(degrees).collect::<Vec<_>>();
    let (kind, mut parts) = match feature.kind {
        GeometryKind::Unknown => return Value::Null,
        GeometryKind::Points => ("Point", feature.parts.iter().flat_map(along).collect::<Vec<_>>()),
        GeometryKind::Lines => ("LineString", feature.parts.iter().map(|part| json!(along(part))).collect()),
        GeometryKind::Polygons => {
            ("Polygon", polygons(feature, &along).into_iter().map(Value::Array).collect())
        }
    };
    match parts.len() {
        1 => json!({ "type": kind, "coordinates": parts.remove(0) }),
        _ => json!({ "type": format!("Multi{kind}"), "coordinates": parts }),
    }
}

/// An outer ring begins a polygon, a hole belongs to the one before it. GeoJSON turns its rings the other way, as its
/// latitudes grow northwards, and closes them.
fn polygons(feature: &DecodedFeature, along: &dyn Fn(&Vec<TilePoint>) -> Vec<Value>) -> Vec<Vec<Value>> {
    let mut polygons: Vec<Vec<Value>> = Vec::new();
    for part in &feature.parts {
        let mut ring = along(part);
        ring.extend(ring.first().cloned());
        ring.reverse();
        match polygons.last_mut() {
            Some(polygon) if decode::doubled_area(part) < 0 => polygon.push(json!(ring)),
            _ => polygons.push(vec![json!(ring)]),
        }
    }
    polygons
}

#[expect(
    clippy::cast_precision_loss,
    reason = "within a few tiles around, a tile unit is far above a double's last bit"
)]
fn degrees(tile: TileCoord, extent: u32, point: &TilePoint) -> Value {
    let tiles = f64::from(1_u32 << tile.z());
    let fraction = |tile: u32, at: i64| (f64::from(tile) + at as f64 / f64::from(extent.max(1))) / tiles;
    let place = project::degrees_at([fraction(tile.x(), point.x), fraction(tile.y(), point.y)]);
    json!(place)
}
