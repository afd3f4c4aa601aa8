//! Tables: points, one a row, with longitude and latitude in two columns (RFC 4180).
//!
//! One idea: a row is a feature as soon as two of its columns are known, by their usual names or because the user says
//! so; all other columns are attributes, each value typed by what it looks like. The sign between columns is the
//! commonest of `,` `;` `|` and the tabulator in the first row. Not here: other geometries than points, and decimal
//! commas.

use std::io::Read;
use std::sync::Arc;

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::input::Counted;
use super::{BadFeature, Batch, Fault, Place, Shape, Source, SourceError, SourceFeature};
use crate::feature::Value;

/// About so many bytes of rows make a batch.
const BATCH_BYTES: usize = 1 << 18;

/// Which columns say where a row is, when not those with the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvColumns {
    /// Degrees east; else the first column called `lon`, `lng`, `long`, `longitude` or `x`, in any case.
    pub lon: Option<String>,
    /// Degrees north; else the first column called `lat`, `latitude` or `y`, in any case.
    pub lat: Option<String>,
}

const LON_NAMES: [&str; 5] = ["lon", "lng", "longitude", "long", "x"];
const LAT_NAMES: [&str; 3] = ["lat", "latitude", "y"];

/// The names of a table's columns.
#[derive(Debug)]
struct Columns {
    names: Vec<Arc<str>>,
    lon: usize,
    lat: usize,
}

/// A table as a layer.
pub(super) struct Csv<R> {
    layer: String,
    origin: String,
    reader: Reader<R>,
    counted: Counted,
    columns: Arc<Columns>,
    rows: u64,
}

/// The sign between columns: of those that are usual, the commonest in the first line.
pub(super) fn delimiter(head: &[u8]) -> u8 {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |sign: &u8| line.iter().filter(|byte| *byte == sign).count();
    // Of equals the last one counts.
    b"|\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

impl<R: Read + Send> Csv<R> {
    pub(super) fn new(
        layer: &str,
        origin: &str,
        (delimiter, input): (u8, R),
        counted: Counted,
        columns: &CsvColumns,
    ) -> Result<Self, SourceError> {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).has_headers(false).flexible(true);
        // Only so are lines counted right; what is left of `\r\n` is blank, and trimmed as such.
        builder.terminator(Terminator::Any(b'\n'));
        let mut reader = builder.from_reader(input);
        let mut first = ByteRecord::new();
        reader.read_byte_record(&mut first).map_err(|error| failed(origin, error))?;
        let names = first.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).into()).collect();
        let columns = Arc::new(Columns::find(names, origin, columns)?);
        Ok(Self { layer: layer.to_owned(), origin: origin.to_owned(), reader, counted, columns, rows: 0 })
    }
}

impl Columns {
    fn find(names: Vec<Arc<str>>, origin: &str, asked: &CsvColumns) -> Result<Self, SourceError> {
        let found = |asked: &Option<String>, usual: &[&str], what: &str| {
            let at = match asked {
                Some(name) => names.iter().position(|known| **known == **name),
                None => usual.iter().find_map(|name| names.iter().position(|n| n.eq_ignore_ascii_case(name))),
            };
            at.ok_or_else(|| SourceError::NoColumn {
                origin: origin.to_owned(),
                wanted: match asked {
                    Some(name) => format!("{what}, {name:?}"),
                    None => format!("{what} ({})", usual.join(", ")),
                },
                found: names.join(", "),
            })
        };
        let lon = found(&asked.lon, &LON_NAMES, "the longitude")?;
        let lat = found(&asked.lat, &LAT_NAMES, "the latitude")?;
        Ok(Self { lon, lat, names })
    }

    fn feature(&self, row: &ByteRecord) -> Result<SourceFeature, Fault> {
        if row.len() != self.names.len() {
            return Err(Fault::WrongFields { found: row.len(), expected: self.names.len() });
        }
        let place = [self.degrees(row, self.lon)?, self.degrees(row, self.lat)?];
        let others = row.iter().enumerate().filter(|(at, _)| *at != self.lon && *at != self.lat);
        let mut properties = Vec::with_capacity(row.len());
        for (at, field) in others {
            let name = &self.names[at];
            let text = std::str::from_utf8(field).map_err(|_| Fault::NotText { column: name.to_string() })?;
            properties.extend(value(text).map(|value| (Arc::clone(name), value)));
        }
        Ok(SourceFeature { id: None, properties, shapes: vec![Shape::Points(vec![place])] })
    }

    fn degrees(&self, row: &ByteRecord, at: usize) -> Result<f64, Fault> {
        let text = String::from_utf8_lossy(row.get(at).unwrap_or_default().trim_ascii());
        text.parse().map_err(|_| Fault::NotANumber { column: self.names[at].to_string(), text: text.into() })
    }
}

impl<R: Read + Send> Source for Csv<R> {
    fn layer(&self) -> &str {
        &self.layer
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let mut row = ByteRecord::new();
            if !self.reader.read_byte_record(&mut row).map_err(|error| failed(&self.origin, error))? {
                break;
            }
            bytes += row.as_slice().len() + size_of::<ByteRecord>();
            if !row.as_slice().trim_ascii().is_empty() || row.len() > 1 {
                rows.push(row);
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let (first, columns) = (self.rows, Arc::clone(&self.columns));
        self.rows += rows.len() as u64;
        Ok(Some(Box::new(move |sink| {
            for (index, row) in (first..).zip(rows) {
                let line = row.position().map(csv::Position::line);
                let feature = columns.feature(&row);
                sink(Place { index, line }, feature.map_err(|fault| BadFeature { id: None, fault }));
            }
        })))
    }

    fn bytes_read(&self) -> Option<(u64, u64)> {
        self.counted.bytes_read()
    }
}

fn failed(origin: &str, error: csv::Error) -> SourceError {
    let origin = origin.to_owned();
    let line = error.position().map_or(1, csv::Position::line);
    let message = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => SourceError::Io { origin, error },
        _ => SourceError::NotATable { origin, line, message },
    }
}

/// What a field's text looks like; an empty one is no value. What would not come back as it was written, such as the
/// post code 01234, stays text.
fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    let bare = text.strip_prefix('-').unwrap_or(text);
    let padded = bare.len() > 1 && bare.starts_with('0') && !bare.starts_with("0.");
    let numeric = bare.starts_with(|c: char| c.is_ascii_digit()) && !padded;
    Some(match text {
        "" => return None,
        "true" | "TRUE" | "True" => Value::Bool(true),
        "false" | "FALSE" | "False" => Value::Bool(false),
        _ if !numeric => Value::Text(text.into()),
        _ => match (text.parse::<u64>(), text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(natural), ..) => Value::Natural(natural),
            (_, Ok(negative), _) if negative < 0 => Value::Negative(negative),
            (.., Ok(double)) if double.is_finite() => Value::Double(double),
            _ => Value::Text(text.into()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    type Row = (Option<u64>, Result<SourceFeature, BadFeature>);

    fn read(text: &[u8], columns: &CsvColumns) -> Result<Vec<Row>, SourceError> {
        let mut source = Csv::new("l", "t.csv", (delimiter(text), text), Counted::default(), columns)?;
        let mut all = Vec::new();
        while let Some(batch) = source.next()? {
            batch(&mut |place, item| all.push((place.line, item)));
        }
        Ok(all)
    }

    #[test]
    fn rows_are_points_and_their_other_fields_are_typed() {
        let text = "\u{feff}Name;Latitude;LON;n;zip\r\n\"Köln; \"\"Dom\"\"\";50.9; 6.95 ;7;01067\r\n\"two\nlines\";-1;2;-7.5;\r\n";
        let rows = read(text.as_bytes(), &CsvColumns::default()).unwrap();
        let [(first_line, Ok(first)), (second_line, Ok(second))] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((first_line, second_line), (&Some(2), &Some(3)));
        assert_eq!(first.shapes, [Shape::Points(vec![[6.95, 50.9]])]);
        let expected = [
            ("Name", Value::Text("Köln; \"Dom\"".into())),
            ("n", Value::Natural(7)),
            ("zip", Value::Text("01067".into())),
        ];
        assert_eq!(first.properties, expected.map(|(name, value)| (name.into(), value)));
        let expected = [("Name", Value::Text("two\nlines".into())), ("n", Value::Double(-7.5))];
        assert_eq!(second.properties, expected.map(|(name, value)| (name.into(), value)));
    }

    #[test]
    fn values_are_what_they_look_like() {
        let expected = [
            ("0", Value::Natural(0)),
            ("-0.5", Value::Double(-0.5)),
            ("1e3", Value::Double(1000.0)),
            ("-12", Value::Negative(-12)),
            ("+49", Value::Text("+49".into())),
            ("nan", Value::Text("nan".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("99999999999999999999", Value::Double(1e20)),
            ("True", Value::Bool(true)),
        ];
        for (text, expected) in expected {
            assert_eq!(value(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn wrong_rows_are_named_and_harm_no_other() {
        let rows =
            read(b"x,y,a\n1,2,3\n1,2\neast,2,3\n1,,3\n1,2,\xFF\n4,5,6\n", &CsvColumns::default()).unwrap();
        let faults: Vec<_> = rows
            .iter()
            .filter_map(|(line, row)| Some((line.unwrap(), row.as_ref().err()?.fault.to_string())))
            .collect();
        let expected = [
            (3, "the row has 2 fields, but the first row names 3"),
            (4, "x is \"east\", which is no number"),
            (5, "y is \"\", which is no number"),
            (6, "a is not UTF-8 text"),
        ];
        assert_eq!(faults, expected.map(|(line, fault)| (line, fault.to_owned())));
        assert_eq!(rows.len(), 6);
    }

    #[test]
    fn columns_are_found_or_the_error_says_what_there_is() {
        let chosen = CsvColumns { lon: Some("e".into()), lat: Some("n".into()) };
        assert!(read(b"n|e\n1|2\n", &chosen).unwrap()[0].1.is_ok());
        let error = read(b"n|e\n1|2\n", &CsvColumns::default()).err().unwrap().to_string();
        assert_eq!(
            error,
            "t.csv: the first row names no column for the longitude (lon, lng, longitude, long, x): it has n, e"
        );
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = read(&bytes, &CsvColumns::default());
            read(&[b"lon,lat,a\n", &bytes[..]].concat(), &CsvColumns::default()).is_ok()
        }
    }
}
