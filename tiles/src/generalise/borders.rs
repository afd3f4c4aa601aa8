//! Shared borders: finds the vertices that have to stay in every ring through them, or neighbours come apart.
//!
//! One idea: between two junctions a border is the same chain of vertices in both its rings, and since importance only
//! looks at neighbours in the chain, it is ranked alike in both if the junctions stay put. A junction is a vertex whose
//! neighbours are not the same in all rings through it:
//!
//! ```text
//!        A        At p the border of A and B becomes those of A and C and of B and C: p has the neighbours a and c in
//!   --a--p--c--   A, a and b in B, b and c in C. At a both A and B have the same two, so a may go, from both at once.
//!      B |  C
//!        b
//! ```
//!
//! A junction only has to stay while two of its rings are drawn in their shapes, so a coast keeps no vertices for the
//! thousand parcels along it at zooms that show none of them. A ring besides holds three vertices of its own, which its
//! neighbours hold, too: so none is left as a sliver that they do not know. Lines are held together where they run along each other,
//! not where they merely cross: a road would keep each crossing at every zoom. Not here: borders that coincide without
//! sharing vertices; such data has to be noded first.
//!
//! Source: junctions by comparing neighbours are those of M. Bostock's topojson (`topojson-server`, join).

use rayon::prelude::*;

use crate::coord::{Point, WORLD};
use crate::feature::{ANY_ZOOM, Feature, Geometry, Vertex};
use crate::rank::Ranker;

/// The vertices that stay, and from which zoom. Found once per layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(Vec<(u64, u8)>);

/// Vertices of a layer with their neighbours; 16 bytes each.
pub struct Visits {
    all: Vec<Visit>,
    part: u64,
    parts: u64,
}

/// A path that passes a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    place: u64,
    /// The lesser neighbour's mark, the greater one's, whether it is a ring, whether the ring holds it, the zoom.
    packed: u64,
}

const MARK_BITS: u32 = 28;
const RING: u64 = 1 << 7;
const HELD: u64 = 1 << 6;
const ZOOM: u64 = 63;

impl Visit {
    fn new(at: Point, neighbours: [Option<Point>; 2], flags: u64, zoom: u8) -> Self {
        let [a, b] = neighbours.map(|point| point.map_or(0, mark));
        let [low, high] = [a.min(b), a.max(b)];
        let packed = low << (MARK_BITS + 8) | high << 8 | flags | u64::from(zoom) & ZOOM;
        Self { place: name(at), packed }
    }

    /// Both neighbours.
    fn pair(self) -> u64 {
        self.packed >> 8
    }

    fn is(self, flag: u64) -> bool {
        self.packed & flag != 0
    }

    fn zoom(self) -> u8 {
        (self.packed & ZOOM) as u8
    }
}

/// A place as a number. The antimeridian's two sides are one, so that halves which meet there stay together, too.
fn name(point: Point) -> u64 {
    let x = point.x & (WORLD - 1);
    u64::from(x.cast_unsigned()) << 32 | u64::from(point.y.cast_unsigned())
}

/// A short hash of a point, never 0.
fn mark(point: Point) -> u64 {
    mark_of(name(point))
}

/// The same of a place.
fn mark_of(place: u64) -> u64 {
    let mut hash = place;
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    (hash >> (64 - MARK_BITS)).max(1)
}

impl Visits {
    /// How much memory a vertex takes.
    pub const BYTES_A_VERTEX: u64 = 16;

    /// No vertices yet, and of those that will come only one part of so many: with little memory a layer is passed
    /// part by part.
    #[must_use]
    pub fn new(part: u64, parts: u64) -> Self {
        Self { all: Vec::new(), part, parts }
    }

    /// Takes a feature's vertices.
    pub fn feature(&mut self, feature: &Feature) {
        match &feature.geometry {
            Geometry::Points(_) => {}
            Geometry::Lines(lines) => {
                lines.iter().for_each(|line| self.line(&places(line), feature.min_zoom))
            }
            Geometry::Polygons(rings) => {
                for ring in rings {
                    self.ring(&places(&ring.vertices), ring.shape_zoom.max(feature.min_zoom));
                }
            }
        }
    }

    /// A ring, drawn in its shape from `zoom` on.
    fn ring(&mut self, points: &[Point], zoom: u8) {
        let (count, held) = (points.len(), extremes(points));
        for (index, point) in points.iter().enumerate() {
            let neighbours = [index + count - 1, index + 1].map(|index| Some(points[index % count]));
            let flags = if held.contains(&Some(*point)) { RING | HELD } else { RING };
            self.add(Visit::new(*point, neighbours, flags, zoom));
        }
    }

    /// A line, drawn from `zoom` on.
    fn line(&mut self, points: &[Point], zoom: u8) {
        for (index, point) in points.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| points.get(index));
            self.add(Visit::new(
                *point,
                [before, points.get(index + 1)].map(Option::<&Point>::copied),
                0,
                zoom,
            ));
        }
    }

    fn add(&mut self, visit: Visit) {
        if self.parts < 2 || mark_of(visit.place) % self.parts == self.part {
            self.all.push(visit);
        }
    }

    /// What has to stay of the vertices visited.
    #[must_use]
    pub fn pins(mut self) -> Pins {
        self.all.par_sort_unstable();
        let places = self.all.chunk_by(|a, b| a.place == b.place);
        Pins(places.filter_map(|visits| Some((visits[0].place, stays(visits)?))).collect())
    }
}

fn places(vertices: &[Vertex]) -> Vec<Point> {
    vertices.iter().map(|vertex| Point { x: vertex.x, y: vertex.y }).collect()
}

/// Three vertices far apart. A ring keeps three vertices whatever happens, so which ones has to be known to those it
/// shares them with.
fn extremes(ring: &[Point]) -> [Option<Point>; 3] {
    let Some(a) = ring.iter().min().copied() else { return [None; 3] };
    let Some(b) = ring.iter().max_by_key(|point| (squared(**point, a), **point)).copied() else {
        return [Some(a), None, None];
    };
    let c = ring.iter().max_by_key(|point| (doubled_triangle(a, **point, b), **point)).copied();
    [Some(a), Some(b), c]
}

/// From which zoom a place has to stay, if it has to. The visits are sorted.
fn stays(visits: &[Visit]) -> Option<u8> {
    if visits.len() < 2 {
        return None;
    }
    let held = visits.iter().filter(|visit| visit.is(HELD)).map(|visit| visit.zoom()).min();
    junction(visits).into_iter().chain(held).min()
}

/// From which zoom a place is a junction, if the paths through it part there.
fn junction(visits: &[Visit]) -> Option<u8> {
    if visits.iter().all(|visit| visit.pair() == visits[0].pair()) {
        return None;
    }
    let rings = || visits.iter().filter(|visit| visit.is(RING));
    let first = rings().next().map(|visit| visit.pair());
    let rings_part = rings().any(|visit| Some(visit.pair()) != first);
    if !rings_part && !one_shared(visits) {
        return None;
    }
    let (mut least, mut second) = (u8::MAX, u8::MAX);
    for zoom in visits.iter().map(|visit| visit.zoom()) {
        second = second.min(zoom.max(least));
        least = least.min(zoom);
    }
    Some(second)
}

/// Whether two different pairs have a neighbour in common: so two paths run together on one side and not on the other.
fn one_shared(visits: &[Visit]) -> bool {
    let mut pairs: Vec<_> = visits.iter().map(|visit| visit.pair()).collect();
    pairs.dedup();
    let halves = |pair: &u64| [pair >> MARK_BITS, pair & ((1 << MARK_BITS) - 1)];
    let mut marks: Vec<_> = pairs.iter().flat_map(halves).filter(|mark| *mark != 0).collect();
    marks.sort_unstable();
    marks.windows(2).any(|pair| pair[0] == pair[1])
}

impl Pins {
    /// Whether nothing has to stay.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least zoom from which a vertex has to stay; `None` when it may go.
    #[must_use]
    pub fn zoom(&self, point: Point) -> Option<u8> {
        let place = name(point);
        let found = self.0.binary_search_by_key(&place, |pin| pin.0).ok()?;
        Some(self.0[found].1)
    }

    /// Takes the pins of another part of the layer.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.par_sort_unstable();
    }

    /// Ranks a feature's vertices again where some of them have to stay.
    pub fn hold(&self, feature: &mut Feature, ranker: &Ranker) {
        match &mut feature.geometry {
            Geometry::Points(_) => {}
            Geometry::Lines(lines) => lines.iter_mut().for_each(|line| self.path(line, None, ranker)),
            Geometry::Polygons(rings) => {
                for ring in rings {
                    let zoom = ring.shape_zoom.max(feature.min_zoom);
                    self.path(&mut ring.vertices, Some(zoom), ranker);
                }
            }
        }
    }

    /// `ring` is the zoom from which a ring is drawn in its shape; `None` for a line.
    fn path(&self, path: &mut Vec<Vertex>, ring: Option<u8>, ranker: &Ranker) {
        let points = places(path);
        let mut floors: Vec<_> = points.iter().map(|point| self.zoom(*point).unwrap_or(ANY_ZOOM)).collect();
        if floors.iter().all(|zoom| *zoom == ANY_ZOOM) {
            return;
        }
        if let Some(zoom) = ring {
            let held = extremes(&points);
            for (_, floor) in
                points.iter().zip(&mut floors).filter(|(point, _)| held.contains(&Some(**point)))
            {
                *floor = zoom.min(*floor);
            }
        }
        ranker.hold(path, ring.is_some(), &floors);
    }
}

fn delta(p: i32, q: i32) -> i64 {
    i64::from(p) - i64::from(q)
}

fn squared(a: Point, b: Point) -> u64 {
    (delta(a.x, b.x).pow(2) + delta(a.y, b.y).pow(2)).unsigned_abs()
}

fn doubled_triangle(a: Point, b: Point, c: Point) -> u64 {
    (delta(b.x, a.x) * delta(c.y, a.y) - delta(c.x, a.x) * delta(b.y, a.y)).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(i32, i32)]) -> Vec<Point> {
        list.iter().map(|(x, y)| Point { x: *x, y: *y }).collect()
    }

    fn pinned(pins: &Pins, list: &[(i32, i32)]) -> Vec<Option<u8>> {
        points(list).iter().map(|point| pins.zoom(*point)).collect()
    }

    #[test]
    fn a_border_s_ends_are_pinned_and_its_middle_is_not() {
        // Two squares side by side; their border from (10, 0) to (10, 10) has (10, 5) in the middle.
        let west = points(&[(0, 0), (10, 0), (10, 5), (10, 10), (0, 10)]);
        let mut east = points(&[(10, 0), (20, 0), (20, 10), (10, 10), (10, 5)]);
        east.reverse();
        let mut visits = Visits::new(0, 1);
        visits.ring(&west, 3);
        visits.ring(&east, 5);
        let pins = visits.pins();
        assert_eq!(pinned(&pins, &[(10, 0), (10, 5), (10, 10), (0, 0)]), [Some(3), None, Some(3), None]);
        assert_eq!(pinned(&pins, &[(20, 10)]), [None]);
    }

    #[test]
    fn a_ring_that_fills_another_s_hole_has_no_junction() {
        let hole = points(&[(0, 0), (9, 1), (10, 10), (1, 9)]);
        let mut island = hole.clone();
        island.reverse();
        island.rotate_left(1);
        let mut visits = Visits::new(0, 1);
        visits.ring(&hole, 0);
        visits.ring(&island, 0);
        // What both hold anyway is all.
        assert_eq!(visits.pins().0.len(), 3);
    }

    #[test]
    fn lines_are_held_where_they_part_and_not_where_they_cross() {
        let mut visits = Visits::new(0, 1);
        visits.line(&points(&[(0, 0), (5, 0), (10, 0), (15, 0)]), 0);
        visits.line(&points(&[(5, 5), (5, 0), (5, -5)]), 0);
        assert!(visits.pins().is_empty());
        let mut visits = Visits::new(0, 1);
        visits.line(&points(&[(0, 0), (5, 0), (10, 0), (15, 0)]), 0);
        visits.line(&points(&[(10, 9), (10, 0), (5, 0), (0, 0)]), 4);
        assert_eq!(pinned(&visits.pins(), &[(0, 0), (5, 0), (10, 0)]), [None, None, Some(4)]);
    }

    #[test]
    fn the_antimeridian_s_two_sides_are_one() {
        let mut visits = Visits::new(0, 1);
        visits.ring(&points(&[(WORLD - 9, 0), (WORLD, 0), (WORLD, 9)]), 0);
        visits.ring(&points(&[(0, 0), (9, 9), (0, 9)]), 0);
        let pins = visits.pins();
        assert_eq!(pinned(&pins, &[(0, 0), (WORLD, 9), (9, 9)]), [Some(0), Some(0), None]);
    }
}
