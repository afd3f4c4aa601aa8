//! Packed cells: the form that tiles are rendered from, in memory and on disk.
//!
//! One idea: a cell is a few flat columns, so that opening one is a few copies, and a tile walks only what it can see.
//! Features have boxes, and so has every block of 64 vertices: what lies beyond the tile is passed over block by block,
//! however long the ring. Words (keys and values) are in the form in which tiles have them. Not here: bytes (see
//! [`cells`](crate::cells)), and anything that makes new geometry.

use std::sync::Arc;

use crate::coord::{Bounds, Point};
use crate::encode;
use crate::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, Ring, Vertex};

/// Every so many vertices of a path share a box.
pub(crate) const BLOCK_VERTICES: usize = 64;

/// A cell as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub(crate) layers: Vec<PackedLayer>,
}

/// A layer's columns. Each feature's tags and parts, and each part's vertices and blocks, begin where those of the one
/// before end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedLayer {
    pub(crate) words: Words,
    pub(crate) features: Vec<PackedFeature>,
    pub(crate) tags: Vec<(u32, u32)>,
    pub(crate) parts: Vec<Part>,
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) blocks: Vec<Bounds>,
}

/// What a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Points,
    Lines,
    Polygons,
}

/// A feature without its columns; see [`Feature`] for what the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedFeature {
    pub(crate) id: u64,
    /// Around all vertices and dots.
    pub(crate) bounds: Bounds,
    pub(crate) weight: u32,
    pub(crate) tags_end: u32,
    pub(crate) parts_end: u32,
    pub(crate) min_zoom: u8,
    pub(crate) max_zoom: u8,
    pub(crate) kind: Kind,
}

/// All points of a feature, a line, or a ring. The last three are for rings; see [`Ring`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) vertices_end: u32,
    pub(crate) blocks_end: u32,
    pub(crate) dot: Point,
    pub(crate) dot_zoom: u8,
    pub(crate) shape_zoom: u8,
}

/// A part's vertices and the box of each block of them.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) vertices: &'a [Vertex],
    pub(crate) blocks: &'a [Bounds],
}

impl<'a> Path<'a> {
    pub(crate) fn block(&self, index: usize) -> &'a [Vertex] {
        let start = index * BLOCK_VERTICES;
        &self.vertices[start..self.vertices.len().min(start + BLOCK_VERTICES)]
    }
}

/// The keys and values that a layer's tags point to.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    /// Of a layer that is being built.
    Dictionary(Arc<Dictionary>),
    /// Of a cell that was read: a layer's name, and fields of a tile's layer one behind the other.
    Fields { name: Vec<u8>, keys: Fields, values: Fields },
}

/// Encoded fields one behind the other, and where each ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

impl Fields {
    fn get(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }
}

impl Words {
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Dictionary(dictionary) => dictionary.name.as_bytes(),
            Self::Fields { name, .. } => name,
        }
    }

    pub(crate) fn key_count(&self) -> usize {
        match self {
            Self::Dictionary(dictionary) => dictionary.keys.len(),
            Self::Fields { keys, .. } => keys.ends.len(),
        }
    }

    pub(crate) fn value_count(&self) -> usize {
        match self {
            Self::Dictionary(dictionary) => dictionary.values.len(),
            Self::Fields { values, .. } => values.ends.len(),
        }
    }

    /// Adds a key to a tile's layer.
    pub(crate) fn put_key(&self, index: u32, out: &mut Vec<u8>) {
        match self {
            Self::Dictionary(dictionary) => encode::put_key(out, &dictionary.keys[index as usize]),
            Self::Fields { keys, .. } => out.extend_from_slice(keys.get(index)),
        }
    }

    /// Adds a value to a tile's layer.
    pub(crate) fn put_value(&self, index: u32, out: &mut Vec<u8>) {
        match self {
            Self::Dictionary(dictionary) => encode::put_value(out, &dictionary.values[index as usize]),
            Self::Fields { values, .. } => out.extend_from_slice(values.get(index)),
        }
    }
}

/// The same words, whichever form they are in.
impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        let all = |words: &Self| {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            (0..narrow(words.key_count())).for_each(|index| words.put_key(index, &mut keys));
            (0..narrow(words.value_count())).for_each(|index| words.put_value(index, &mut values));
            (keys, values)
        };
        self.name() == other.name() && all(self) == all(other)
    }
}

impl Eq for Words {}

/// Which zooms a cell is to be rendered at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zooms {
    /// The shallowest.
    pub from: u8,
    /// The deepest.
    pub to: u8,
}

impl Zooms {
    /// A single zoom.
    #[must_use]
    pub fn only(zoom: u8) -> Self {
        Self { from: zoom, to: zoom }
    }
}

impl Packed {
    /// What of a cell is drawn at some zoom of these.
    #[must_use]
    pub fn of(cell: &Cell, zooms: Zooms) -> Self {
        let layers = cell.layers.iter().map(|layer| PackedLayer::of(layer, zooms));
        Self { layers: layers.filter(|layer| !layer.features.is_empty()).collect() }
    }

    /// Whether no feature is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Roughly how much memory the cell takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.layers.iter().map(PackedLayer::memory_bytes).sum()
    }
}

impl PackedLayer {
    pub(crate) fn new(words: Words) -> Self {
        let (features, tags, parts, vertices, blocks) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { words, features, tags, parts, vertices, blocks }
    }

    fn of(layer: &CellLayer, zooms: Zooms) -> Self {
        let mut packed = Self::new(Words::Dictionary(Arc::clone(&layer.dictionary)));
        for feature in &layer.features {
            packed.add(feature, zooms);
        }
        packed
    }

    fn add(&mut self, feature: &Feature, zooms: Zooms) {
        if feature.min_zoom > zooms.to || feature.max_zoom < zooms.from {
            return;
        }
        let before = self.parts.len();
        let kind = match &feature.geometry {
            Geometry::Points(points) => {
                self.vertices.extend(points.iter().map(|&Point { x, y }| Vertex { x, y, zoom: 0 }));
                self.end_part(self.vertices.len(), Part::default());
                Kind::Points
            }
            Geometry::Lines(lines) => {
                lines.iter().for_each(|line| self.add_line(line, zooms));
                Kind::Lines
            }
            Geometry::Polygons(rings) => {
                rings.iter().for_each(|ring| self.add_ring(ring, zooms));
                Kind::Polygons
            }
        };
        if self.parts.len() == before {
            return;
        }
        self.tags.extend_from_slice(&feature.tags);
        let &Feature { id, weight, min_zoom, max_zoom, .. } = feature;
        let (tags_end, parts_end) = (narrow(self.tags.len()), narrow(self.parts.len()));
        let bounds = self.bounds(before..self.parts.len(), kind);
        let feature = PackedFeature { id, bounds, weight, tags_end, parts_end, min_zoom, max_zoom, kind };
        self.features.push(feature);
    }

    fn add_line(&mut self, line: &[Vertex], zooms: Zooms) {
        let before = self.vertices.len();
        self.vertices.extend(line.iter().filter(|vertex| vertex.zoom <= zooms.to));
        if self.vertices.len() > before {
            self.end_part(self.vertices.len(), Part::default());
        }
    }

    fn add_ring(&mut self, ring: &Ring, zooms: Zooms) {
        let &Ring { dot, dot_zoom, shape_zoom, .. } = ring;
        if dot_zoom > zooms.to {
            return;
        }
        if shape_zoom <= zooms.to {
            self.vertices.extend(ring.vertices.iter().filter(|vertex| vertex.zoom <= zooms.to));
        }
        self.end_part(self.vertices.len(), Part { dot, dot_zoom, shape_zoom, ..Part::default() });
    }

    /// Adds a part that ends there among the vertices, and puts boxes around its blocks.
    pub(crate) fn end_part(&mut self, end: usize, part: Part) {
        let start = self.parts.last().map_or(0, |before| before.vertices_end as usize);
        self.blocks.extend(self.vertices[start..end].chunks(BLOCK_VERTICES).map(bounds_of));
        let (vertices_end, blocks_end) = (narrow(end), narrow(self.blocks.len()));
        self.parts.push(Part { vertices_end, blocks_end, ..part });
    }

    /// The box around some parts.
    pub(crate) fn bounds(&self, parts: std::ops::Range<usize>, kind: Kind) -> Bounds {
        let mut bounds = Bounds::EMPTY;
        for index in parts {
            self.path(index).blocks.iter().for_each(|block| bounds.join(block));
            if kind == Kind::Polygons {
                bounds.extend(self.parts[index].dot.x, self.parts[index].dot.y);
            }
        }
        bounds
    }

    pub(crate) fn path(&self, part: usize) -> Path<'_> {
        let end = self.parts[part];
        let start = part.checked_sub(1).map_or(Part::default(), |before| self.parts[before]);
        Path {
            vertices: &self.vertices[start.vertices_end as usize..end.vertices_end as usize],
            blocks: &self.blocks[start.blocks_end as usize..end.blocks_end as usize],
        }
    }

    /// Each feature with the ranges of its tags and parts.
    pub(crate) fn each(
        &self,
    ) -> impl Iterator<Item = (&PackedFeature, std::ops::Range<u32>, std::ops::Range<usize>)> {
        let mut before = (0, 0);
        self.features.iter().map(move |feature| {
            let (tags, parts) = before;
            before = (feature.tags_end, feature.parts_end);
            (feature, tags..feature.tags_end, parts as usize..feature.parts_end as usize)
        })
    }

    fn memory_bytes(&self) -> usize {
        let words = match &self.words {
            Words::Dictionary(_) => 0,
            Words::Fields { name, keys, values } => {
                let fields = |fields: &Fields| fields.bytes.len() + size_of_val(&fields.ends[..]);
                name.len() + fields(keys) + fields(values)
            }
        };
        words
            + size_of_val(&self.features[..])
            + size_of_val(&self.tags[..])
            + size_of_val(&self.parts[..])
            + size_of_val(&self.vertices[..])
            + size_of_val(&self.blocks[..])
    }
}

/// A count as the columns hold it. So many vertices do not fit the bytes that a cell may have.
pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn bounds_of(block: &[Vertex]) -> Bounds {
    let mut bounds = Bounds::EMPTY;
    block.iter().for_each(|vertex| bounds.extend(vertex.x, vertex.y));
    bounds
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn blocks(vertices: &[Vertex]) -> Vec<Bounds> {
        vertices.chunks(BLOCK_VERTICES).map(bounds_of).collect()
    }
}
