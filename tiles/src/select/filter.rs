//! Filters, as map styles write them: JSON arrays such as `["==", "class", "park"]`.
//!
//! One idea: whoever makes a style knows this language already, in its older form, where the first operand names an
//! attribute, and in its newer one, where `["get", "class"]` reads it; both are understood, and mixed as one likes. A
//! filter is checked as a whole before the first feature is read. What has no value, such as whether nothing is less than 5,
//! is no error but lets nobody pass: not even through a `!` around it. Not here: expressions that compute.
//!
//! Source: the `MapLibre` style specification, [expressions](https://maplibre.org/maplibre-style-spec/expressions/) and
//! [deprecated filters](https://maplibre.org/maplibre-style-spec/deprecations/#other-filter).

use std::cmp::Ordering;

use serde_json::Value as Json;
use thiserror::Error;

use crate::feature::Value;
use crate::source::{Shape, SourceFeature, SourceId};

/// Filters may be nested, but not for ever.
const NESTED_MAX: usize = 64;

/// A condition on a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Expression);

/// A filter that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Not an array with an operator.
    #[error("{0} is no filter: it has to be an array such as [\"==\", \"class\", \"park\"]")]
    NotAFilter(String),
    /// An operator that is not known.
    #[error("{0:?} is no operator: there are {KNOWN}")]
    Unknown(String),
    /// An operator with operands that it cannot have.
    #[error("{at}: {operator:?} needs {needs}")]
    Operands {
        /// The whole expression.
        at: String,
        /// Its operator.
        operator: String,
        /// What it needs.
        needs: &'static str,
    },
    /// Too deep.
    #[error("the filter is nested more than {NESTED_MAX} times")]
    TooDeep,
}

const KNOWN: &str =
    "all, any, none, !, ==, !=, <, <=, >, >=, has, !has, in, !in, get, literal, id, geometry-type";

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Literal(Operand),
    Get(String),
    Has(String),
    Id,
    HasId,
    GeometryType,
    /// The value as the older form has it, where what is not there is not `null` either.
    Old(Box<Expression>),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Compare(Comparison, Box<[Expression; 2]>),
    /// Whether the first is one of the others.
    OneOf(Box<Expression>, Vec<Operand>),
    /// Whether the first is a part of the second, both text.
    PartOf(Box<[Expression; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// Equal to nothing.
    Absent,
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Filter {
    /// Understands a filter.
    ///
    /// # Errors
    /// When it is none; the whole of it is looked at.
    ///
    /// ```
    /// use watersmeet_tiles::Filter;
    /// let json = serde_json::json!(["all", ["==", "class", "park"], [">=", ["get", "area"], 10]]);
    /// assert!(Filter::parse(&json).is_ok());
    /// let error = Filter::parse(&serde_json::json!(["===", "class", "park"])).unwrap_err();
    /// assert!(error.to_string().starts_with("\"===\" is no operator"));
    /// ```
    pub fn parse(json: &Json) -> Result<Self, FilterError> {
        condition(json, 0).map(Self)
    }

    /// Whether the feature meets the condition: any of its shapes, where it has several.
    #[must_use]
    pub fn passes(&self, feature: &SourceFeature) -> bool {
        match &feature.shapes[..] {
            [] => self.holds(feature, None),
            shapes => shapes.iter().any(|shape| self.holds(feature, Some(shape))),
        }
    }

    /// Leaves out those shapes of a feature that do not meet the condition, since each becomes a feature of its own;
    /// whether the feature meets it.
    pub(crate) fn sift(&self, feature: &mut SourceFeature) -> bool {
        let mut shapes = std::mem::take(&mut feature.shapes);
        if shapes.is_empty() {
            return self.holds(feature, None);
        }
        shapes.retain(|shape| self.holds(feature, Some(shape)));
        feature.shapes = shapes;
        !feature.shapes.is_empty()
    }

    fn holds(&self, feature: &SourceFeature, shape: Option<&Shape>) -> bool {
        self.0.truth(Subject { feature, shape }) == Some(true)
    }
}

/// What is true or false.
fn condition(json: &Json, depth: usize) -> Result<Expression, FilterError> {
    match json {
        Json::Bool(truth) => Ok(Expression::Literal(Operand::Bool(*truth))),
        Json::Array(_) => expression(json, depth),
        other => Err(FilterError::NotAFilter(other.to_string())),
    }
}

fn expression(json: &Json, depth: usize) -> Result<Expression, FilterError> {
    let Json::Array(items) = json else { return operand(json).map(Expression::Literal) };
    if depth > NESTED_MAX {
        return Err(FilterError::TooDeep);
    }
    let Some((Json::String(operator), operands)) = items.split_first() else {
        return Err(FilterError::NotAFilter(json.to_string()));
    };
    let wrong = |needs| FilterError::Operands { at: json.to_string(), operator: operator.clone(), needs };
    let conditions = || operands.iter().map(|item| condition(item, depth + 1)).collect::<Result<Vec<_>, _>>();
    let name = || match operands {
        [Json::String(name)] => Ok(name.clone()),
        _ => Err(wrong("the name of an attribute")),
    };
    let not = |expression| Expression::Not(Box::new(expression));
    Ok(match operator.as_str() {
        "all" => Expression::All(conditions()?),
        "any" => Expression::Any(conditions()?),
        "none" => not(Expression::Any(conditions()?)),
        "!" => match operands {
            [one] => not(condition(one, depth + 1)?),
            _ => return Err(wrong("one condition")),
        },
        "has" => has(name()?),
        "!has" => not(has(name()?)),
        "get" => Expression::Get(name()?),
        "id" if operands.is_empty() => Expression::Id,
        "geometry-type" if operands.is_empty() => Expression::GeometryType,
        "id" | "geometry-type" => return Err(wrong("no operands")),
        "literal" => match operands {
            [one] => Expression::Literal(operand(one)?),
            _ => return Err(wrong("one value")),
        },
        "in" => one_of(operands, depth)?.ok_or_else(|| wrong(IN_NEEDS))?,
        "!in" => not(one_of(operands, depth)?.ok_or_else(|| wrong(IN_NEEDS))?),
        _ => {
            let comparison =
                Comparison::named(operator).ok_or_else(|| FilterError::Unknown(operator.clone()))?;
            let [first, second] = operands else { return Err(wrong("two operands")) };
            let first =
                if second.is_array() { expression(first, depth + 1)? } else { subject(first, depth)? };
            Expression::Compare(comparison, Box::new([first, expression(second, depth + 1)?]))
        }
    })
}

const IN_NEEDS: &str = "an attribute and values, as in [\"in\", \"class\", \"park\", \"wood\"], or [\"literal\", [..]] behind it";

fn one_of(operands: &[Json], depth: usize) -> Result<Option<Expression>, FilterError> {
    let literals = |items: &[Json]| items.iter().map(operand).collect::<Result<Vec<_>, _>>();
    Ok(match operands {
        [first, second] if second.is_array() || !first.is_string() => {
            // Here a text is a text.
            let first = expression(first, depth + 1)?;
            Some(match listed(second) {
                Some(items) => Expression::OneOf(Box::new(first), literals(items)?),
                None => Expression::PartOf(Box::new([first, expression(second, depth + 1)?])),
            })
        }
        [first, values @ ..] if !values.is_empty() => {
            Some(Expression::OneOf(Box::new(subject(first, depth)?), literals(values)?))
        }
        _ => None,
    })
}

/// The items of `["literal", [...]]`.
fn listed(json: &Json) -> Option<&[Json]> {
    match json.as_array()?.as_slice() {
        [Json::String(literal), Json::Array(items)] if literal == "literal" => Some(items),
        _ => None,
    }
}

fn has(name: String) -> Expression {
    match name.as_str() {
        "$id" => Expression::HasId,
        "$type" => Expression::Literal(Operand::Bool(true)),
        _ => Expression::Has(name),
    }
}

/// What is compared: an expression, or the name of an attribute; `$type` and `$id` are names of the older form.
fn subject(json: &Json, depth: usize) -> Result<Expression, FilterError> {
    let Json::String(name) = json else { return expression(json, depth + 1) };
    Ok(Expression::Old(Box::new(match name.as_str() {
        "$type" => Expression::GeometryType,
        "$id" => Expression::Id,
        _ => Expression::Get(name.clone()),
    })))
}

fn operand(json: &Json) -> Result<Operand, FilterError> {
    Ok(match json {
        Json::Null => Operand::Null,
        Json::Bool(truth) => Operand::Bool(*truth),
        Json::Number(number) => Operand::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Operand::Text(text.clone()),
        Json::Array(_) | Json::Object(_) => return Err(FilterError::NotAFilter(json.to_string())),
    })
}

impl Comparison {
    fn named(operator: &str) -> Option<Self> {
        Some(match operator {
            "==" => Self::Equal,
            "!=" => Self::Different,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// `None` where there is no answer: what is of different types is different, and neither less nor greater.
    fn holds(self, a: &Operand, b: &Operand) -> Option<bool> {
        let order = || match (a, b) {
            (Operand::Number(a), Operand::Number(b)) => a.partial_cmp(b),
            // As JavaScript has it.
            (Operand::Text(a), Operand::Text(b)) => Some(a.encode_utf16().cmp(b.encode_utf16())),
            _ => None,
        };
        match self {
            Self::Equal => Some(a == b),
            Self::Different => Some(a != b),
            Self::Less => order().map(Ordering::is_lt),
            Self::LessOrEqual => order().map(Ordering::is_le),
            Self::Greater => order().map(Ordering::is_gt),
            Self::GreaterOrEqual => order().map(Ordering::is_ge),
        }
    }
}

/// What is asked about: a feature, and which of its shapes.
#[derive(Clone, Copy)]
struct Subject<'a> {
    feature: &'a SourceFeature,
    shape: Option<&'a Shape>,
}

impl Expression {
    /// `None` where there is no answer, which then is that of all around it.
    fn value(&self, of: Subject<'_>) -> Option<Operand> {
        let truth = |expression: &Self| expression.truth(of);
        Some(match self {
            Self::Literal(operand) => operand.clone(),
            Self::Get(name) => attribute(of.feature, name).map_or(Operand::Null, Operand::of),
            Self::Has(name) => Operand::Bool(attribute(of.feature, name).is_some()),
            Self::HasId => Operand::Bool(of.feature.id.is_some()),
            Self::Id => of.feature.id.as_ref().map_or(Operand::Null, id),
            Self::GeometryType => of.shape.map_or(Operand::Null, geometry_type),
            Self::Old(one) => match one.value(of)? {
                Operand::Null => Operand::Absent,
                value => value,
            },
            Self::Not(one) => Operand::Bool(!truth(one)?),
            Self::All(all) => Operand::Bool(!first(all, of, false)?),
            Self::Any(all) => Operand::Bool(first(all, of, true)?),
            Self::Compare(comparison, sides) => {
                let holds = comparison.holds(&sides[0].value(of)?, &sides[1].value(of)?);
                // In the older form what cannot be compared is simply not so.
                let is_old = matches!(sides[0], Self::Old(_));
                Operand::Bool(if is_old { holds.unwrap_or(false) } else { holds? })
            }
            Self::OneOf(one, all) => {
                let one = one.value(of)?;
                Operand::Bool(all.contains(&one))
            }
            Self::PartOf(sides) => Operand::Bool(match sides[1].value(of)? {
                Operand::Text(whole) => !whole.is_empty() && whole.contains(&sides[0].value(of)?.text()),
                Operand::Null | Operand::Absent | Operand::Bool(false) => false,
                Operand::Number(0.0) => false,
                Operand::Number(_) | Operand::Bool(true) => return None,
            }),
        })
    }

    fn truth(&self, of: Subject<'_>) -> Option<bool> {
        match self.value(of)? {
            Operand::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

/// Whether any is `wanted`; those behind the first that is are not asked.
fn first(all: &[Expression], of: Subject<'_>, wanted: bool) -> Option<bool> {
    for expression in all {
        if expression.truth(of)? == wanted {
            return Some(true);
        }
    }
    Some(false)
}

#[expect(clippy::cast_precision_loss, reason = "JSON's numbers, which it is compared to, are doubles")]
fn id(id: &SourceId) -> Operand {
    match id {
        SourceId::Number(number) => Operand::Number(*number as f64),
        SourceId::Text(text) => Operand::Text(text.to_string()),
    }
}

/// The last of a name counts.
fn attribute<'a>(feature: &'a SourceFeature, name: &str) -> Option<&'a Value> {
    feature.properties.iter().rev().find(|(key, _)| **key == *name).map(|(_, value)| value)
}

/// As vector tiles know it: what is of several parts counts as one.
fn geometry_type(shape: &Shape) -> Operand {
    let name = match shape {
        Shape::Points(_) => "Point",
        Shape::Lines(_) => "LineString",
        Shape::Polygons(_) => "Polygon",
    };
    Operand::Text(name.to_owned())
}

impl Operand {
    /// As JavaScript writes it.
    fn text(&self) -> String {
        match self {
            Self::Absent | Self::Null => "null".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.to_string()),
            Value::Bool(truth) => Self::Bool(*truth),
            number => Self::Number(number.number().unwrap_or(f64::NAN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;
    use serde_json::json;

    fn feature(shapes: Vec<Shape>) -> SourceFeature {
        let properties = vec![("class".into(), Value::Text("park".into()))];
        SourceFeature { id: Some(SourceId::Number(7)), properties, shapes }
    }

    // What filters mean is held to MapLibre's own in `tests/filters.rs`.

    #[test]
    fn each_shape_of_a_collection_is_asked_for_itself() {
        let collection = || feature(vec![Shape::Points(Vec::new()), Shape::Lines(Vec::new())]);
        let sifted = |filter| {
            let (filter, mut feature) = (Filter::parse(&filter).unwrap(), collection());
            assert_eq!(filter.passes(&feature), filter.sift(&mut feature));
            feature.shapes
        };
        assert_eq!(sifted(json!(["==", "$type", "LineString"])), [Shape::Lines(Vec::new())]);
        assert_eq!(sifted(json!(["!=", ["geometry-type"], "LineString"])), [Shape::Points(Vec::new())]);
        assert_eq!(sifted(json!(["==", "class", "park"])).len(), 2);
        assert!(sifted(json!(["==", "$type", "Polygon"])).is_empty());
    }

    #[test]
    fn what_is_no_filter_says_why() {
        let wrong = [
            (json!("class"), "\"class\" is no filter"),
            (json!([]), "[] is no filter"),
            (json!([1, 2]), "[1,2] is no filter"),
            (json!(["like", "a", "b"]), "\"like\" is no operator: there are all, any"),
            (json!(["all", ["==", "a"]]), "[\"==\",\"a\"]: \"==\" needs two operands"),
            (json!(["has", ["get", "a"]]), "needs the name of an attribute"),
            (json!(["in", "class"]), "needs an attribute and values"),
            (json!(["==", "a", {"b": 1}]), "{\"b\":1} is no filter"),
        ];
        for (filter, expected) in wrong {
            let error = Filter::parse(&filter).unwrap_err().to_string();
            assert!(error.contains(expected), "{filter}: {error}");
        }
        let deep = (0..1000).fold(json!(["has", "a"]), |inner, _| json!(["!", inner]));
        assert_eq!(Filter::parse(&deep), Err(FilterError::TooDeep));
    }

    quickcheck! {
        fn nothing_panics(words: Vec<u8>) -> bool {
            let names = ["all", "==", "in", "get", "has", "literal", "!", "x", "$id"];
            let filter = words.iter().fold(json!([]), |inner, word| {
                let name = names[usize::from(*word) % names.len()];
                if *word > 128 { json!([name, "a", inner]) } else { json!([name, inner]) }
            });
            Filter::parse(&filter).map(|filter| filter.passes(&feature(vec![Shape::Lines(Vec::new())]))).is_ok() || filter.is_array()
        }
    }
}
