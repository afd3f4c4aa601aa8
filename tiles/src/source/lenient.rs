//! GeoJSON objects read without judging them, so that one bad feature does not end the file.
//!
//! One idea: whatever valid JSON stands where GeoJSON wants something else is read over and noted, never an error of
//! the parser; only broken JSON is. Not here: what the notes mean (see the parent modules).

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::SourceId;
use crate::feature::Value;

/// What stands where coordinates belong.
#[derive(Debug, PartialEq)]
pub(super) enum Coordinates {
    Position([f64; 2]),
    Number(f64),
    List(Vec<Coordinates>),
    Wrong(&'static str),
}

/// Any GeoJSON object, with what it has of GeoJSON's members.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) kind: Option<String>,
    pub(super) id: Option<SourceId>,
    pub(super) properties: Vec<(Arc<str>, Value)>,
    pub(super) geometry: Option<Box<Member>>,
    pub(super) geometries: Vec<Member>,
    pub(super) coordinates: Option<Coordinates>,
    /// Whether it had an array of features; they went to the sink.
    pub(super) had_features: bool,
}

/// What stands where an object belongs.
#[derive(Debug)]
pub(super) enum Member {
    Object(Object),
    Other(&'static str),
}

/// Reads any value, handing the members of a `features` array to the sink one by one.
pub(super) struct Reader<'a, 'b>(pub(super) Option<&'a mut (dyn FnMut(Member) + 'b)>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader(None).deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The methods of a visitor that wants an object or an array and gets a plain value.
macro_rules! plain_values_are_wrong {
    ($result:ty, $wrong:path) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON")
        }
        fn visit_bool<E>(self, _: bool) -> Result<$result, E> {
            Ok($wrong("true or false"))
        }
        fn visit_str<E>(self, _: &str) -> Result<$result, E> {
            Ok($wrong("text"))
        }
        fn visit_unit<E>(self) -> Result<$result, E> {
            Ok($wrong("null"))
        }
    };
}

/// The same for numbers, where they are wrong too.
macro_rules! numbers_are_wrong {
    ($result:ty, $wrong:path) => {
        fn visit_f64<E>(self, _: f64) -> Result<$result, E> {
            Ok($wrong("a number"))
        }
        fn visit_i64<E>(self, _: i64) -> Result<$result, E> {
            Ok($wrong("a number"))
        }
        fn visit_u64<E>(self, _: u64) -> Result<$result, E> {
            Ok($wrong("a number"))
        }
    };
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = Member;

    plain_values_are_wrong!(Member, Member::Other);

    numbers_are_wrong!(Member, Member::Other);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Member, A::Error> {
        let mut object = Object::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => object.kind = text(map.next_value()?),
                "id" => object.id = id(map.next_value()?),
                "properties" => object.properties = properties(map.next_value()?),
                "geometry" => object.geometry = Some(map.next_value()?),
                "geometries" => object.geometries = map.next_value_seed(Members(None))?.0,
                "coordinates" => object.coordinates = Some(map.next_value()?),
                "features" => {
                    object.had_features = map.next_value_seed(Members(self.0.as_deref_mut()))?.1;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Member::Object(object))
    }
}

/// Reads an array of objects, into the sink if there is one; the bool says whether it was an array.
struct Members<'a, 'b>(Option<&'a mut (dyn FnMut(Member) + 'b)>);

impl<'de> DeserializeSeed<'de> for Members<'_, '_> {
    type Value = (Vec<Member>, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A plain value where an array belongs: no members.
fn none(_: &'static str) -> (Vec<Member>, bool) {
    (Vec::new(), false)
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = (Vec<Member>, bool);

    plain_values_are_wrong!((Vec<Member>, bool), none);

    numbers_are_wrong!((Vec<Member>, bool), none);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(none("an object"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        match self.0 {
            Some(sink) => {
                while let Some(member) = seq.next_element()? {
                    sink(member);
                }
            }
            None => {
                while let Some(member) = seq.next_element()? {
                    kept.push(member);
                }
            }
        }
        Ok((kept, true))
    }
}

impl<'de> Deserialize<'de> for Coordinates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CoordinatesVisitor)
    }
}

struct CoordinatesVisitor;

impl<'de> Visitor<'de> for CoordinatesVisitor {
    type Value = Coordinates;

    plain_values_are_wrong!(Coordinates, Coordinates::Wrong);

    fn visit_f64<E>(self, number: f64) -> Result<Coordinates, E> {
        Ok(Coordinates::Number(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a whole number of degrees has three digits, or is refused later"
    )]
    fn visit_i64<E>(self, number: i64) -> Result<Coordinates, E> {
        Ok(Coordinates::Number(number as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a whole number of degrees has three digits, or is refused later"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<Coordinates, E> {
        Ok(Coordinates::Number(number as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Coordinates, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Coordinates::Wrong("an object"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Coordinates, A::Error> {
        let mut list = Vec::new();
        match seq.next_element()? {
            None => {}
            Some(Coordinates::Number(x)) => return position(x, seq),
            Some(first) => list.push(first),
        }
        while let Some(next) = seq.next_element()? {
            list.push(next);
        }
        Ok(Coordinates::List(list))
    }
}

fn position<'de, A: SeqAccess<'de>>(x: f64, mut seq: A) -> Result<Coordinates, A::Error> {
    let second = seq.next_element::<Coordinates>()?;
    let mut rest_is_numbers = true;
    while let Some(more) = seq.next_element::<Coordinates>()? {
        rest_is_numbers &= matches!(more, Coordinates::Number(_));
    }
    Ok(match second {
        Some(Coordinates::Number(y)) if rest_is_numbers => Coordinates::Position([x, y]),
        Some(_) => Coordinates::Wrong("a position of something else than numbers"),
        None => Coordinates::Wrong("a position of one number"),
    })
}

fn text(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}

/// Whole numbers from 0 stay numbers; everything else is known by its text.
fn id(value: serde_json::Value) -> Option<SourceId> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(SourceId::Text(text.into())),
        serde_json::Value::Number(number) if number.is_u64() => number.as_u64().map(SourceId::Number),
        other => Some(SourceId::Text(other.to_string().into())),
    }
}

fn properties(value: serde_json::Value) -> Vec<(Arc<str>, Value)> {
    let serde_json::Value::Object(members) = value else { return Vec::new() };
    members.into_iter().filter_map(|(key, value)| Some((key.into(), attribute(&value)?))).collect()
}

/// Null is no value: vector tiles have none, and an absent attribute says the same.
fn attribute(value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::Text(text.as_str().into()),
        Json::Array(_) | Json::Object(_) => Value::Text(value.to_string().into()),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(natural), ..) => Value::Natural(natural),
            (None, Some(negative), _) => Value::Negative(negative),
            (None, None, double) => Value::Double(double?),
        },
    })
}
