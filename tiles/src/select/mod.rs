//! Selecting: which features of a layer become tiles, and what of their attributes.
//!
//! One idea: it comes first, before anything is checked or projected, so that what nobody wants costs nothing more than
//! to be read. Not here: what a zoom shows of the features that are wanted (see [`generalise`](crate::generalise)).

mod filter;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::feature::{Feature, Value};
use crate::source::{SourceFeature, SourceId};

pub use filter::{Filter, FilterError};

/// What of a layer becomes tiles. The default is everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Features that do not pass are left out.
    pub filter: Option<Filter>,
    /// The attributes that are kept, some as a certain type; `None` for all as they are.
    pub attributes: Option<BTreeMap<String, Option<Kind>>>,
    /// The attribute that holds the features' ids; `None` for the source's own ids.
    pub id: Option<String>,
    /// The least zoom that shows the layer.
    pub min_zoom: u8,
    /// The last zoom that shows the layer; `None` for the deepest.
    pub max_zoom: Option<u8>,
}

/// What an attribute's values are to be. A value that cannot be that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text; numbers as they would be written.
    Text,
    /// Numbers; text that is written like one.
    Number,
    /// Whole numbers; others are rounded.
    Integer,
    /// True or false; text that says so, and numbers, of which 0 is false.
    Boolean,
}

impl Selection {
    /// Whether the feature is wanted; if so, with the attributes that are wanted.
    pub(crate) fn select(&self, feature: &mut SourceFeature) -> bool {
        if self.filter.as_ref().is_some_and(|filter| !filter.sift(feature)) {
            return false;
        }
        if let Some(name) = &self.id {
            let value = feature.properties.iter().rev().find(|(key, _)| **key == **name);
            feature.id = value.map(|(_, value)| id(value)).or(feature.id.take());
        }
        if let Some(kept) = &self.attributes {
            let properties = std::mem::take(&mut feature.properties);
            let wanted = |(key, value): (Arc<str>, Value)| match kept.get(&*key)? {
                Some(kind) => Some((key, kind.of(&value)?)),
                None => Some((key, value)),
            };
            feature.properties = properties.into_iter().filter_map(wanted).collect();
        }
        true
    }

    /// Holds a feature to the layer's zooms.
    pub(crate) fn limit(&self, feature: &mut Feature) {
        feature.min_zoom = feature.min_zoom.max(self.min_zoom);
        feature.max_zoom = feature.max_zoom.min(self.max_zoom.unwrap_or(u8::MAX));
    }
}

/// Whole numbers from 0 are ids as they are, everything else by its text.
fn id(value: &Value) -> SourceId {
    match value {
        Value::Natural(number) => SourceId::Number(*number),
        other => SourceId::Text(text(other)),
    }
}

fn text(value: &Value) -> Arc<str> {
    match value {
        Value::Text(text) => Arc::clone(text),
        Value::Negative(number) => number.to_string().into(),
        Value::Natural(number) => number.to_string().into(),
        Value::Double(number) => number.to_string().into(),
        Value::Bool(truth) => truth.to_string().into(),
    }
}

impl Kind {
    fn of(self, value: &Value) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Text(text(value))),
            Self::Number => number(value),
            Self::Integer => number(value).and_then(|number| rounded(&number)),
            Self::Boolean => truth(value).map(Value::Bool),
        }
    }
}

fn number(value: &Value) -> Option<Value> {
    match value {
        Value::Text(text) => {
            let text = text.trim();
            let natural = text.parse().map(Value::Natural).ok();
            let negative = || text.parse().map(Value::Negative).ok();
            let double = || text.parse().ok().filter(|double: &f64| double.is_finite()).map(Value::Double);
            natural.or_else(negative).or_else(double)
        }
        Value::Bool(truth) => Some(Value::Natural(u64::from(*truth))),
        number => Some(number.clone()),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to the range of the type")]
fn rounded(number: &Value) -> Option<Value> {
    let Value::Double(double) = number else { return Some(number.clone()) };
    let whole = libm::round(*double);
    match whole {
        0.0..1.8e19 => Some(Value::Natural(whole as u64)),
        -9.2e18..0.0 => Some(Value::Negative(whole as i64)),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" | "" => Some(false),
            _ => None,
        },
        number => number.number().map(|number| number != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Shape;

    #[test]
    fn attributes_are_kept_renumbered_and_typed_as_asked() {
        let properties = [
            ("name", Value::Natural(7)),
            ("lanes", Value::Text(" 2.6 ".into())),
            ("open", Value::Text("Yes".into())),
            ("depth", Value::Text("deep".into())),
            ("osm", Value::Natural(12)),
            ("rest", Value::Bool(true)),
        ];
        let properties = properties.map(|(key, value)| (key.into(), value)).to_vec();
        let shapes = vec![Shape::Points(vec![[0.0, 0.0]])];
        let mut feature = SourceFeature { id: None, properties, shapes };
        let kinds = [
            ("name", Some(Kind::Text)),
            ("lanes", Some(Kind::Integer)),
            ("open", Some(Kind::Boolean)),
            ("depth", Some(Kind::Number)),
            ("absent", None),
        ];
        let attributes = Some(kinds.map(|(name, kind)| (name.to_owned(), kind)).into());
        let selection = Selection { attributes, id: Some("osm".into()), ..Selection::default() };
        assert!(selection.select(&mut feature));
        assert_eq!(feature.id, Some(SourceId::Number(12)));
        let expected =
            [("name", Value::Text("7".into())), ("lanes", Value::Natural(3)), ("open", Value::Bool(true))];
        assert_eq!(feature.properties, expected.map(|(key, value)| (key.into(), value)));
    }
}
