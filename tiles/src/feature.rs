//! What the pipeline carries from ranking to encoding: ranked features in world units, layer by layer.
//!
//! One idea: everything that a rule asks of a *whole* feature (its vertices' importance, its rings' areas, from which
//! zoom it shows) is worked out once and travels with every piece of it. So a tile depends on the features alone,
//! never on how often they were cut on the way. Not here: how the ranks are found (see [`rank`](crate::rank)).

use std::sync::Arc;

use crate::coord::{Bounds, Point};
use crate::varint::{put_varint, zigzag};

/// A vertex and the least zoom at which it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// World units.
    pub x: i32,
    /// World units.
    pub y: i32,
    /// The least zoom whose tiles keep this vertex.
    pub zoom: u8,
}

/// A ring of a polygon: not closed by a repeated vertex, outer rings of positive area in world units, holes negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The ring's vertices; none in a piece of which only the dot can be seen.
    pub vertices: Vec<Vertex>,
    /// The middle of the whole ring's box, where its dot is drawn.
    pub dot: Point,
    /// The least zoom at which the ring is drawn at all, as a dot of the least area.
    pub dot_zoom: u8,
    /// The least zoom at which the ring is large enough to be drawn in its own shape. Not below `dot_zoom`.
    pub shape_zoom: u8,
}

/// A geometry in world units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// One or more points.
    Points(Vec<Point>),
    /// One or more lines.
    Lines(Vec<Vec<Vertex>>),
    /// The rings of one or more polygons. Winding says what is a hole, so the polygons need no borders between them.
    Polygons(Vec<Ring>),
}

/// An attribute's value, typed as in the source. Doubles compare by their bits, so that values can be told apart.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text; nested arrays and objects as JSON.
    Text(Arc<str>),
    /// A whole number below zero.
    Negative(i64),
    /// A whole number from zero.
    Natural(u64),
    /// Any other number.
    Double(f64),
    /// True or false.
    Bool(bool),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Negative(a), Self::Negative(b)) => a == b,
            (Self::Natural(a), Self::Natural(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Text(text) => text.hash(state),
            Self::Negative(number) => number.hash(state),
            Self::Natural(number) => number.hash(state),
            Self::Double(number) => number.to_bits().hash(state),
            Self::Bool(truth) => truth.hash(state),
        }
    }
}

impl Value {
    /// Appends its kind and itself: the same bytes on every machine.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => {
                out.push(0);
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Value::Negative(number) => {
                out.push(1);
                put_varint(out, zigzag(*number));
            }
            Value::Natural(number) => {
                out.push(2);
                put_varint(out, *number);
            }
            Value::Double(number) => {
                out.push(3);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Value::Bool(truth) => out.extend_from_slice(&[4, u8::from(*truth)]),
        }
    }

    /// The value as a number, when it is one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rules about rank and population need no 54th bit")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Negative(number) => Some(*number as f64),
            Self::Natural(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Text(_) | Self::Bool(_) => None,
        }
    }
}

/// Ids are below 2 to the power of this, the whole numbers that every client can hold.
pub(crate) const ID_BITS: u8 = 53;

/// The last zoom of a feature that no zoom is too deep for.
pub const ANY_ZOOM: u8 = u8::MAX;

/// A layer's name and the keys and values that its features' tags point to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// The layer's name.
    pub name: Arc<str>,
    /// Every attribute name in the layer, once.
    pub keys: Vec<Arc<str>>,
    /// Every attribute value in the layer, once.
    pub values: Vec<Value>,
}

/// A feature, or the piece of it that one tile and those below can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Stable id below 2^53.
    pub id: u64,
    /// Pairs of indices into the dictionary's keys and values.
    pub tags: Arc<[(u32, u32)]>,
    /// The least zoom at which the feature is drawn.
    pub min_zoom: u8,
    /// The last zoom at which it is drawn, [`ANY_ZOOM`] for all that there are: a cluster of points ends where it parts.
    pub max_zoom: u8,
    /// What counts when a tile is too large: features of less weight go first. World units.
    pub weight: u32,
    /// Where it is.
    pub geometry: Geometry,
}

/// A layer of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellLayer {
    /// What the features' tags point to; shared by all cells cut from one.
    pub dictionary: Arc<Dictionary>,
    /// In the order of the source.
    pub features: Vec<Feature>,
}

/// All that a tile and the tiles below it can see. The world's cell holds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// In the order given to the builder; none is empty.
    pub layers: Vec<CellLayer>,
}

impl Cell {
    /// Whether no feature is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// How many features or pieces of features are inside.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.layers.iter().map(|layer| layer.features.len()).sum()
    }

    /// Roughly how much memory the cell takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.layers.iter().map(CellLayer::memory_bytes).sum()
    }
}

impl CellLayer {
    /// Roughly how much memory the layer takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let words = 64 * (self.dictionary.keys.len() + self.dictionary.values.len());
        let features = self.features.iter().map(|feature| {
            let tags = 8 * feature.tags.len();
            size_of::<Feature>() + tags + feature.geometry.memory_bytes()
        });
        words + features.sum::<usize>()
    }
}

impl Geometry {
    /// The box around all vertices in world units.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::EMPTY;
        match self {
            Self::Points(points) => points.iter().for_each(|p| bounds.extend(p.x, p.y)),
            Self::Lines(lines) => lines.iter().flatten().for_each(|v| bounds.extend(v.x, v.y)),
            Self::Polygons(rings) => {
                rings.iter().flat_map(|ring| &ring.vertices).for_each(|v| bounds.extend(v.x, v.y));
            }
        }
        bounds
    }

    /// How many vertices there are.
    #[must_use]
    pub fn vertex_count(&self) -> u64 {
        let count = match self {
            Self::Points(points) => points.len(),
            Self::Lines(lines) => lines.iter().map(Vec::len).sum(),
            Self::Polygons(rings) => rings.iter().map(|ring| ring.vertices.len()).sum(),
        };
        count as u64
    }

    fn memory_bytes(&self) -> usize {
        let vertices = match self {
            Self::Points(points) => return points.len() * size_of::<Point>(),
            Self::Lines(lines) => lines.iter().map(|line| line.len() + 2).sum::<usize>(),
            Self::Polygons(rings) => rings.iter().map(|ring| ring.vertices.len() + 4).sum(),
        };
        vertices * size_of::<Vertex>()
    }
}
/// A geometry in longitude and latitude, degrees; further dimensions are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// One or more points.
    Points(Vec<[f64; 2]>),
    /// One or more lines.
    Lines(Vec<Vec<[f64; 2]>>),
    /// One or more polygons: the outer ring, then its holes, each closed by its first position.
    Polygons(Vec<Vec<Vec<[f64; 2]>>>),
}
