//! GeoJSON: a collection, a single feature or geometry, or one of these a line (RFC 7946, RFC 8142).
//!
//! One idea: a feature's text is found first and judged later (see [`text`](super::text)), so that the format needs no
//! flag, all cores parse, and a broken feature costs that feature only. Not here: TopoJSON, and coordinate systems
//! other than WGS 84.

use std::io::Read;

use serde::de::DeserializeSeed;

use super::input::Counted;
use super::lenient::{Coordinates, Member, Object, Reader};
use super::text::{Broken, Part, Splitter, Texts};
use super::{BadFeature, Batch, Fault, Place, Shape, Sink, Source, SourceError, SourceFeature};

/// GeoJSON text as a layer.
pub(super) struct GeoJson<R> {
    layer: String,
    origin: String,
    splitter: Splitter<R>,
    counted: Counted,
    features: u64,
}

impl<R: Read + Send> GeoJson<R> {
    pub(super) fn new(layer: &str, origin: &str, input: R, counted: Counted) -> Self {
        let splitter = Splitter::new(input);
        Self { layer: layer.to_owned(), origin: origin.to_owned(), splitter, counted, features: 0 }
    }

    /// The first value, when it is not a collection whose features have gone before.
    fn first(&mut self, line: u64, text: &[u8]) -> Result<Option<Batch>, SourceError> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let member = Reader(Some(&mut |_| {})).deserialize(&mut deserializer);
        match member.map_err(|error| self.not_json(line, &error))? {
            Member::Object(object) if object.had_features => Ok(None),
            member if is_geojson(&member) => {
                let place = Place { index: self.features, line: Some(line) };
                self.features += 1;
                Ok(Some(Box::new(move |sink| sink(place, feature(member)))))
            }
            member => {
                let origin = self.origin.clone();
                Err(SourceError::NotGeoJson { origin, found: described(&member) })
            }
        }
    }

    fn not_json(&self, line: u64, error: &serde_json::Error) -> SourceError {
        SourceError::NotJson {
            origin: self.origin.clone(),
            line: line + error.line().saturating_sub(1) as u64,
            column: error.column(),
            features: self.features,
            message: plain_message(error),
        }
    }

    fn broken(&self, broken: Broken) -> SourceError {
        match broken {
            Broken::Io(error) => SourceError::Io { origin: self.origin.clone(), error },
            Broken::NotJson { line, text } => {
                let mut deserializer = serde_json::Deserializer::from_slice(&text);
                match Reader(None).deserialize(&mut deserializer) {
                    Ok(member) => {
                        SourceError::NotGeoJson { origin: self.origin.clone(), found: described(&member) }
                    }
                    Err(error) => self.not_json(line, &error),
                }
            }
        }
    }
}

impl<R: Read + Send> Source for GeoJson<R> {
    fn layer(&self) -> &str {
        &self.layer
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        loop {
            match self.splitter.next().map_err(|broken| self.broken(broken))? {
                Part::End => return Ok(None),
                Part::Texts(texts) => {
                    let index = self.features;
                    self.features += texts.len() as u64;
                    return Ok(Some(Box::new(move |sink| judge(&texts, index, sink))));
                }
                Part::First { line, text } => {
                    let batch = self.first(line, &text)?;
                    if batch.is_some() {
                        return Ok(batch);
                    }
                }
            }
        }
    }

    fn bytes_read(&self) -> Option<(u64, u64)> {
        self.counted.bytes_read()
    }
}

/// Parses each text by itself.
fn judge(texts: &Texts, first_index: u64, sink: &mut Sink<'_>) {
    for (index, (line, text)) in (first_index..).zip(texts.iter()) {
        let place = Place { index, line: Some(line) };
        let mut each = |member| sink(place, feature(member));
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let read = Reader(Some(&mut each)).deserialize(&mut deserializer);
        match read.and_then(|member| deserializer.end().map(|()| member)) {
            Ok(Member::Object(object)) if object.had_features => {}
            Ok(member) => sink(place, feature(member)),
            Err(error) => {
                let line = line + error.line().saturating_sub(1) as u64;
                let message = format!("{} at line {line} column {}", plain_message(&error), error.column());
                sink(place, Err(BadFeature { id: None, fault: Fault::NotJson(message) }));
            }
        }
    }
}

/// The parser's message without its own mention of line and column.
fn plain_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

fn is_geojson(member: &Member) -> bool {
    matches!(member, Member::Object(object) if object.kind.is_some())
}

fn described(member: &Member) -> String {
    match member {
        Member::Object(Object { kind: Some(kind), .. }) => format!("an object of type {kind:?}"),
        Member::Object(_) => "an object without a type".to_owned(),
        Member::Other(what) => format!("{what} instead of an object"),
    }
}

/// Judges what stands where a feature belongs. A bare geometry counts as a feature without attributes.
fn feature(member: Member) -> Result<SourceFeature, BadFeature> {
    let bad = |id, fault| Err(BadFeature { id, fault });
    let Member::Object(mut object) = member else {
        return bad(None, Fault::NotAFeature(described(&member)));
    };
    let id = object.id.take();
    let geometry = match object.kind.as_deref() {
        Some("Feature") => match object.geometry.take().map(|member| *member) {
            Some(Member::Object(geometry)) => geometry,
            None | Some(Member::Other("null")) => return bad(id, Fault::NoGeometry),
            Some(other) => {
                return bad(id, Fault::NotAFeature(format!("its geometry is {}", described(&other))));
            }
        },
        Some("FeatureCollection") => {
            return bad(id, Fault::NotAFeature("a collection without an array of features".to_owned()));
        }
        Some(_) => std::mem::take(&mut object),
        None => return bad(id, Fault::NotAFeature("an object without a type".to_owned())),
    };
    let mut shapes = Vec::new();
    match collect(&geometry, &mut shapes) {
        Ok(()) => Ok(SourceFeature { id, properties: object.properties, shapes }),
        Err(fault) => bad(id, fault),
    }
}

/// Adds a geometry to the shapes; parts of one kind become one shape.
fn collect(geometry: &Object, shapes: &mut Vec<Shape>) -> Result<(), Fault> {
    let kind = geometry.kind.as_deref().unwrap_or_default();
    if kind == "GeometryCollection" {
        for member in &geometry.geometries {
            let Member::Object(member) = member else { return Err(Fault::NoGeometry) };
            collect(member, shapes)?;
        }
        return Ok(());
    }
    let shape = shape(kind, geometry.coordinates.as_ref().unwrap_or(&Coordinates::Wrong("nothing")))?;
    join(shape, shapes);
    Ok(())
}

/// Adds a shape; parts of one kind become one shape.
pub(super) fn join(shape: Shape, shapes: &mut Vec<Shape>) {
    if !shapes.iter_mut().any(|known| joined(known, &shape)) {
        shapes.push(shape);
    }
}

/// Whether the two are of one kind, and so have become one.
fn joined(known: &mut Shape, more: &Shape) -> bool {
    match (known, more) {
        (Shape::Points(all), Shape::Points(more)) => all.extend_from_slice(more),
        (Shape::Lines(all), Shape::Lines(more)) => all.extend_from_slice(more),
        (Shape::Polygons(all), Shape::Polygons(more)) => all.extend_from_slice(more),
        _ => return false,
    }
    true
}

fn shape(kind: &str, coordinates: &Coordinates) -> Result<Shape, Fault> {
    let wrong = |kind, expected| move |found| Fault::WrongCoordinates { kind, expected, found };
    match kind {
        "Point" => {
            let point = position(coordinates).map_err(wrong("Point", "a position"))?;
            Ok(Shape::Points(vec![point]))
        }
        "MultiPoint" => {
            positions(coordinates).map(Shape::Points).map_err(wrong("MultiPoint", "an array of positions"))
        }
        "LineString" => {
            let line = positions(coordinates).map_err(wrong("LineString", "an array of positions"))?;
            Ok(Shape::Lines(vec![line]))
        }
        "MultiLineString" => lines(coordinates)
            .map(Shape::Lines)
            .map_err(wrong("MultiLineString", "an array of arrays of positions")),
        "Polygon" => {
            let rings = lines(coordinates).map_err(wrong("Polygon", "an array of rings of positions"))?;
            Ok(Shape::Polygons(vec![rings]))
        }
        "MultiPolygon" => list(coordinates, lines)
            .map(Shape::Polygons)
            .map_err(wrong("MultiPolygon", "an array of arrays of rings of positions")),
        unknown => Err(Fault::UnknownGeometry(unknown.to_owned())),
    }
}

fn position(coordinates: &Coordinates) -> Result<[f64; 2], &'static str> {
    match coordinates {
        Coordinates::Position(position) => Ok(*position),
        Coordinates::List(_) => Err("an array"),
        Coordinates::Number(_) => Err("a number"),
        Coordinates::Wrong(what) => Err(what),
    }
}

fn list<T>(
    coordinates: &Coordinates,
    item: impl Fn(&Coordinates) -> Result<T, &'static str>,
) -> Result<Vec<T>, &'static str> {
    match coordinates {
        Coordinates::List(items) => items.iter().map(item).collect(),
        Coordinates::Position(_) => Err("a position"),
        Coordinates::Number(_) => Err("a number"),
        Coordinates::Wrong(what) => Err(what),
    }
}

fn positions(coordinates: &Coordinates) -> Result<Vec<[f64; 2]>, &'static str> {
    list(coordinates, position)
}

fn lines(coordinates: &Coordinates) -> Result<Vec<Vec<[f64; 2]>>, &'static str> {
    list(coordinates, positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Value;
    use crate::source::SourceId;
    use quickcheck::quickcheck;

    /// Reads text as a file: its features and faults in order.
    fn read(text: &[u8]) -> Result<Vec<Result<SourceFeature, BadFeature>>, SourceError> {
        let mut source = GeoJson::new("layer", "test.geojson", text, Counted::default());
        let mut all = Vec::new();
        while let Some(batch) = source.next()? {
            batch(&mut |_, item| all.push(item));
        }
        Ok(all)
    }

    fn faults(text: &str) -> Vec<String> {
        let items = read(text.as_bytes()).unwrap();
        items.into_iter().filter_map(Result::err).map(|bad| bad.fault.to_string()).collect()
    }

    const POINT: &str = r#"{"type":"Feature","id":7,"properties":{"n":1,"d":1.5,"neg":-2,"t":"x","b":true,"o":{"k":[1]},"z":null},"geometry":{"type":"Point","coordinates":[1,2,3]}}"#;

    #[test]
    fn a_collection_a_feature_and_lines_read_alike() {
        let collection = format!(r#"{{"features":[{POINT},{POINT}],"type":"FeatureCollection"}}"#);
        let lines = format!("\u{feff}\u{1e}{POINT}\n\n\u{1e}{POINT}\r\n");
        let one = read(POINT.as_bytes()).unwrap();
        assert_eq!(one.len(), 1);
        for text in [collection, lines] {
            let both = read(text.as_bytes()).unwrap();
            assert_eq!(both, [one[0].clone(), one[0].clone()]);
        }
    }

    #[test]
    fn attributes_keep_their_types() {
        let feature = read(POINT.as_bytes()).unwrap().remove(0).unwrap();
        assert_eq!(feature.id, Some(SourceId::Number(7)));
        let value =
            |name: &str| feature.properties.iter().find(|(k, _)| &**k == name).map(|(_, v)| v.clone());
        assert_eq!(value("n"), Some(Value::Natural(1)));
        assert_eq!(value("d"), Some(Value::Double(1.5)));
        assert_eq!(value("neg"), Some(Value::Negative(-2)));
        assert_eq!(value("t"), Some(Value::Text("x".into())));
        assert_eq!(value("b"), Some(Value::Bool(true)));
        assert_eq!(value("o"), Some(Value::Text(r#"{"k":[1]}"#.into())));
        assert_eq!(value("z"), None);
        assert_eq!(feature.shapes, [Shape::Points(vec![[1.0, 2.0]])]);
    }

    #[test]
    fn each_bad_feature_says_what_is_wrong_and_harms_no_other() {
        let bad = [
            (r#"{"type":"Feature","geometry":null}"#, "no geometry"),
            (r#"{"type":"Feature","geometry":[]}"#, "its geometry is an array"),
            (r#"{"type":"Feature","geometry":{"type":"Circle","coordinates":[1,2]}}"#, "\"Circle\""),
            (r#"{"type":"Point","coordinates":["1",2]}"#, "position, but hold an array"),
            (r#"{"type":"Point","coordinates":[1,null]}"#, "something else than numbers"),
            (r#"{"type":"Point","coordinates":[1]}"#, "one number"),
            (r#"{"type":"Point"}"#, "hold nothing"),
            (r#"{"type":"Polygon","coordinates":[[1,2],[3,4]]}"#, "hold a position"),
            (r#"{"type":"LineString","coordinates":[[[1,2]]]}"#, "hold an array"),
            (r#"{"type":"FeatureCollection","features":3}"#, "without an array"),
            (r#"{"a":{"b":[1,{"c":2}]}}"#, "without a type"),
            ("[1,2]", "an array instead"),
            ("NaN", "not JSON"),
            (r#"{"type":"Point","coordinates":[NaN,2]}"#, "not JSON"),
        ];
        for (text, expected) in bad {
            let all = format!("{POINT}\n{text}\n{POINT}\n");
            let faults = faults(&all);
            assert_eq!(faults.len(), 1, "{text}");
            assert!(faults[0].contains(expected), "{text}: {}", faults[0]);
            assert_eq!(read(all.as_bytes()).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_file_that_is_not_json_says_where() {
        let text = format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{POINT},\n{{\"type\" NaN");
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("test.geojson: line 3, column 9, after 1 features: not JSON"), "{error}");
        assert!(read(b"").unwrap_err().to_string().contains("EOF"));
        assert!(read(b"\x00\xff\x1f\x8b").unwrap_err().to_string().contains("line 1"));
        assert!(read(b"[1,2]").unwrap_err().to_string().contains("an array instead of an object"));
    }

    #[test]
    fn a_deep_nest_is_refused_and_does_not_overflow() {
        let deep = format!(r#"{{"type":"Point","coordinates":{}"#, "[".repeat(1_000_000));
        assert!(read(deep.as_bytes()).unwrap_err().to_string().contains("recursion"));
        assert_eq!(faults(&format!("{POINT}\n{deep}")).len(), 1);
    }

    #[test]
    fn a_collection_of_geometries_is_joined_by_kind() {
        let text = r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},
            {"type":"LineString","coordinates":[[1,2],[3,4]]},{"type":"MultiPoint","coordinates":[[5,6]]}]}"#;
        let feature = read(text.as_bytes()).unwrap().remove(0).unwrap();
        let expected =
            [Shape::Points(vec![[1.0, 2.0], [5.0, 6.0]]), Shape::Lines(vec![vec![[1.0, 2.0], [3.0, 4.0]]])];
        assert_eq!(feature.shapes, expected);
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = read(&bytes);
            true
        }

        fn no_mutation_panics(at: usize, byte: u8) -> bool {
            let mut text = format!("{{\"type\":\"FeatureCollection\",\"features\":[{POINT},{POINT}]}}").into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = read(&text);
            true
        }
    }
}
