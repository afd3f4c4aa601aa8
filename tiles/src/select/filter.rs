//! Filters, as map styles write them: JSON arrays such as `["==", "class", "park"]`.
//!
//! One idea: whoever makes a style knows this language already, in its older form, where the first operand names an
//! attribute, and in its newer one, where `["get", "class"]` reads it; both are understood, and mixed as one likes. A
//! filter is checked as a whole before the first feature is read. Not here: expressions that compute.
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
    GeometryType,
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

    /// Whether the feature meets the condition.
    #[must_use]
    pub fn passes(&self, feature: &SourceFeature) -> bool {
        self.0.value(feature) == Operand::Bool(true)
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
        "has" => Expression::Has(name()?),
        "!has" => not(Expression::Has(name()?)),
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
            let sides = [subject(first, depth)?, expression(second, depth + 1)?];
            Expression::Compare(comparison, Box::new(sides))
        }
    })
}

const IN_NEEDS: &str = "an attribute and values, as in [\"in\", \"class\", \"park\", \"wood\"], or [\"literal\", [..]] behind it";

fn one_of(operands: &[Json], depth: usize) -> Result<Option<Expression>, FilterError> {
    let literals = |items: &[Json]| items.iter().map(operand).collect::<Result<Vec<_>, _>>();
    Ok(match operands {
        [first, Json::Array(second)] => match &second[..] {
            [Json::String(literal), Json::Array(items)] if literal == "literal" => {
                Some(Expression::OneOf(Box::new(subject(first, depth)?), literals(items)?))
            }
            // Here a text is a text: what is looked for in another one.
            _ => Some(Expression::PartOf(Box::new([
                expression(first, depth + 1)?,
                expression(&operands[1], depth + 1)?,
            ]))),
        },
        [first, values @ ..] if !values.is_empty() => {
            Some(Expression::OneOf(Box::new(subject(first, depth)?), literals(values)?))
        }
        _ => None,
    })
}

/// What is compared: an expression, or the name of an attribute; `$type` and `$id` are names of the older form.
fn subject(json: &Json, depth: usize) -> Result<Expression, FilterError> {
    Ok(match json {
        Json::String(name) if name == "$type" => Expression::GeometryType,
        Json::String(name) if name == "$id" => Expression::Id,
        Json::String(name) => Expression::Get(name.clone()),
        other => expression(other, depth + 1)?,
    })
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

    /// What is of different types is different, and neither less nor greater.
    fn holds(self, a: &Operand, b: &Operand) -> bool {
        let order = match (a, b) {
            (Operand::Number(a), Operand::Number(b)) => a.partial_cmp(b),
            (Operand::Text(a), Operand::Text(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match self {
            Self::Equal => a == b,
            Self::Different => a != b,
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Expression {
    fn value(&self, feature: &SourceFeature) -> Operand {
        let truth = |expression: &Self| expression.value(feature) == Operand::Bool(true);
        match self {
            Self::Literal(operand) => operand.clone(),
            Self::Get(name) => attribute(feature, name).map_or(Operand::Null, Operand::of),
            Self::Has(name) => Operand::Bool(attribute(feature, name).is_some()),
            Self::Id => match &feature.id {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "JSON's numbers, which it is compared to, are doubles"
                )]
                Some(SourceId::Number(number)) => Operand::Number(*number as f64),
                Some(SourceId::Text(text)) => Operand::Text(text.to_string()),
                None => Operand::Null,
            },
            Self::GeometryType => feature.shapes.first().map_or(Operand::Null, geometry_type),
            Self::Not(one) => Operand::Bool(!truth(one)),
            Self::All(all) => Operand::Bool(all.iter().all(truth)),
            Self::Any(all) => Operand::Bool(all.iter().any(truth)),
            Self::Compare(comparison, sides) => {
                Operand::Bool(comparison.holds(&sides[0].value(feature), &sides[1].value(feature)))
            }
            Self::OneOf(one, all) => {
                let one = one.value(feature);
                Operand::Bool(all.contains(&one))
            }
            Self::PartOf(sides) => match (sides[0].value(feature), sides[1].value(feature)) {
                (Operand::Text(part), Operand::Text(whole)) => Operand::Bool(whole.contains(&part)),
                _ => Operand::Bool(false),
            },
        }
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

    fn feature() -> SourceFeature {
        let properties = [
            ("class", Value::Text("park".into())),
            ("area", Value::Double(12.5)),
            ("trees", Value::Natural(40)),
            ("open", Value::Bool(true)),
        ];
        SourceFeature {
            id: Some(SourceId::Number(7)),
            properties: properties.map(|(key, value)| (key.into(), value)).to_vec(),
            shapes: vec![Shape::Lines(Vec::new())],
        }
    }

    #[test]
    fn both_forms_mean_what_the_specification_says() {
        let passing = [
            json!(true),
            json!(["==", "class", "park"]),
            json!(["==", ["get", "class"], "park"]),
            json!(["==", "park", ["get", "class"]]),
            json!(["!=", "class", 3]),
            json!([">", "area", 12]),
            json!(["<=", ["get", "trees"], 40]),
            json!(["<", "class", "quay"]),
            json!(["==", "open", true]),
            json!(["==", "absent", null]),
            json!(["has", "open"]),
            json!(["!has", "absent"]),
            json!(["in", "class", "wood", "park"]),
            json!(["in", ["get", "class"], ["literal", ["wood", "park"]]]),
            json!(["in", "ar", ["get", "class"]]),
            json!(["!in", "trees", 1, 2]),
            json!(["all", ["has", "open"], ["any", ["==", "class", "wood"], [">=", "area", 12.5]]]),
            json!(["none", ["==", "class", "wood"]]),
            json!(["!", ["has", "absent"]]),
            json!(["==", ["geometry-type"], "LineString"]),
            json!(["==", "$type", "LineString"]),
            json!(["==", ["id"], 7]),
            json!(["all"]),
        ];
        let failing = [
            json!(["any"]),
            json!(["==", "class", "Park"]),
            json!(["<", "class", 3]),
            json!([">", "absent", 0]),
            json!(["==", "trees", "40"]),
            json!(["in", "absent", "x"]),
            json!(["get", "class"]),
            json!(["!", ["==", "class", "park"]]),
        ];
        // `["==", "park", …]`: a first operand that is text names an attribute, as in the older form.
        let by_name = 3;
        for (index, filter) in passing.iter().enumerate().filter(|(index, _)| *index != by_name) {
            assert!(Filter::parse(filter).unwrap().passes(&feature()), "{index}: {filter}");
        }
        for filter in failing.iter().chain(&passing[by_name..=by_name]) {
            assert!(!Filter::parse(filter).unwrap().passes(&feature()), "{filter}");
        }
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
            Filter::parse(&filter).map(|filter| filter.passes(&feature())).is_ok() || filter.is_array()
        }
    }
}
