//! Ranking: works out once, per whole feature, at which zoom each of its parts appears.
//!
//! One idea: every rule of generalisation becomes a zoom written beside the thing it speaks of. A vertex, a ring, a
//! feature is drawn at zoom `z` exactly when its own zoom is not above `z`, so each zoom is a filter, detail only ever
//! grows with the zoom, and no rule can depend on the tile that asks. Not here: thinning by what else is near; that
//! would tie a feature's tiles to its neighbours, and an edit could not stay local.

mod show;
mod vertices;

use crate::coord::{Bounds, Point};
use crate::feature::{ANY_ZOOM, Feature, Geometry, Ring, Shape, Value, Vertex};
use crate::generalise::{Antimeridian, LayerRules};
use crate::options::RenderOptions;
use crate::project::{self, GeometryFault, Projected};

pub use show::min_zoom;
pub(crate) use vertices::doubled_area;

/// The thresholds of all zooms, worked out once per build.
#[derive(Clone, Debug)]
pub struct Ranker {
    max_zoom: u8,
    antimeridian: Antimeridian,
    /// At zoom z a vertex needs a triangle of twice this area, in square world units, to be kept.
    doubled_triangle: Vec<f64>,
    /// At zoom z a ring needs this area, in square world units, to be drawn in its shape.
    ring_area: Vec<f64>,
}

impl Ranker {
    /// The thresholds that follow from the options.
    #[must_use]
    pub fn new(options: &RenderOptions, rules: &LayerRules) -> Self {
        let per_zoom = |square_units: f64| {
            let at = |z: u8| {
                let unit = options.grid().scale(z).unit();
                square_units * unit * unit
            };
            (0..=options.max_zoom).map(at).collect()
        };
        Self {
            max_zoom: options.max_zoom,
            antimeridian: rules.antimeridian,
            doubled_triangle: per_zoom(options.tolerance * options.tolerance),
            ring_area: per_zoom(options.dot_area),
        }
    }

    /// Checks and projects a geometry as the layer's rules say.
    ///
    /// # Errors
    /// See [`project::shape`].
    pub fn projected(&self, shape: &Shape) -> Result<Projected, GeometryFault> {
        let mut projected = project::shape(shape)?;
        if let Some(longest) = self.antimeridian.longest_step() {
            project::unwrap(&mut projected, longest);
        }
        Ok(projected)
    }

    /// Ranks a feature as a whole. `number` is its id; `properties` may say from which zoom it shows.
    #[must_use]
    pub fn feature(&self, id: u64, projected: Projected, properties: &[(&str, &Value)]) -> Feature {
        let is_point = matches!(projected, Projected::Points(_));
        let min_zoom = self.min_zoom(properties, is_point);
        let geometry = match projected {
            Projected::Points(points) => Geometry::Points(points),
            Projected::Lines(lines) => {
                Geometry::Lines(lines.into_iter().map(|line| self.vertices(&line, false, &[])).collect())
            }
            Projected::Polygons(polygons) => {
                Geometry::Polygons(polygons.iter().flat_map(|rings| self.polygon(rings)).collect())
            }
        };
        let weight = if is_point { 0 } else { geometry.bounds().longer_side() };
        Feature { id, tags: [].into(), min_zoom, max_zoom: ANY_ZOOM, weight, geometry }
    }

    /// Ranks a line's or ring's vertices again, now that some of them have to stay from a zoom on; the others follow
    /// from that. `floors` has a zoom for each vertex, [`ANY_ZOOM`] for those that may go.
    pub fn hold(&self, path: &mut Vec<Vertex>, is_ring: bool, floors: &[u8]) {
        let points: Vec<_> = path.iter().map(|vertex| Point { x: vertex.x, y: vertex.y }).collect();
        let floors: Vec<_> = floors.iter().map(|zoom| self.floor(*zoom)).collect();
        *path = self.vertices(&points, is_ring, &floors);
    }

    fn min_zoom(&self, properties: &[(&str, &Value)], is_point: bool) -> u8 {
        show::min_zoom(properties, is_point).unwrap_or(0).min(self.max_zoom)
    }

    fn polygon(&self, rings: &[Vec<Point>]) -> Vec<Ring> {
        let zooms = self.shape_zooms(rings);
        let ring = |(index, (points, zoom)): (usize, (&Vec<Point>, u8))| self.ring(points, index > 0, zoom);
        rings.iter().zip(zooms).enumerate().map(ring).collect()
    }

    /// The least zooms at which a polygon's rings are large enough to be drawn in their shapes.
    fn shape_zooms(&self, rings: &[Vec<Point>]) -> Vec<u8> {
        let mut zooms: Vec<u8> = Vec::with_capacity(rings.len());
        for points in rings {
            #[expect(
                clippy::cast_precision_loss,
                reason = "thresholds need no 54th bit, and rounding is the same everywhere"
            )]
            let area = vertices::doubled_area(points).unsigned_abs() as f64 / 2.0;
            let zoom = self.least_zoom(|z| area >= self.ring_area[z]);
            // A hole is never drawn without its surroundings, whatever an invalid polygon's areas say.
            zooms.push(zoom.max(zooms.first().copied().unwrap_or(0)));
        }
        zooms
    }

    fn ring(&self, points: &[Point], is_hole: bool, shape_zoom: u8) -> Ring {
        let mut vertices = self.vertices(points, true, &[]);
        if (vertices::doubled_area(points) < 0) != is_hole {
            vertices.reverse();
        }
        // Never lost altogether: at the deepest zoom every ring is there, if only as a dot.
        let dot_zoom = if is_hole { shape_zoom } else { shape_zoom.min(self.max_zoom) };
        Ring { vertices, dot: middle(points), dot_zoom, shape_zoom }
    }

    fn vertices(&self, points: &[Point], is_ring: bool, floors: &[u64]) -> Vec<Vertex> {
        let importance = vertices::importance(points, is_ring, floors);
        let vertex = |(point, importance): (&Point, &u64)| Vertex {
            x: point.x,
            y: point.y,
            zoom: self.vertex_zoom(*importance),
        };
        points.iter().zip(&importance).map(vertex).collect()
    }

    /// The least importance of a vertex that stays from a zoom on; 0 for a zoom that is too deep.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an area of the world's at most"
    )]
    fn floor(&self, zoom: u8) -> u64 {
        self.doubled_triangle.get(usize::from(zoom)).map_or(0, |area| libm::ceil(*area) as u64)
    }

    /// At the deepest zoom every vertex is kept: whoever zooms in further still sees the source's shape.
    #[expect(
        clippy::cast_precision_loss,
        reason = "thresholds need no 54th bit, and rounding is the same everywhere"
    )]
    fn vertex_zoom(&self, importance: u64) -> u8 {
        let doubled = importance as f64;
        self.least_zoom(|z| doubled >= self.doubled_triangle[z]).min(self.max_zoom)
    }

    /// The least zoom that is large enough; one more than the deepest when none is.
    fn least_zoom(&self, enough: impl Fn(usize) -> bool) -> u8 {
        (0..=self.max_zoom).find(|z| enough(usize::from(*z))).unwrap_or(self.max_zoom + 1)
    }
}

/// The middle of the points' box.
fn middle(points: &[Point]) -> Point {
    let mut bounds = Bounds::EMPTY;
    points.iter().for_each(|point| bounds.extend(point.x, point.y));
    let half = |low: i32, high: i32| low + (high - low) / 2;
    Point { x: half(bounds.min.x, bounds.max.x), y: half(bounds.min.y, bounds.max.y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(side: i32, at: i32) -> Vec<Point> {
        [(0, 0), (side, 0), (side, side), (0, side)].map(|(x, y)| Point { x: at + x, y: at + y }).to_vec()
    }

    fn polygon(rings: Vec<Vec<Point>>) -> Vec<Ring> {
        let ranker = Ranker::new(&RenderOptions::default(), &LayerRules::default());
        match ranker.feature(1, Projected::Polygons(vec![rings]), &[]).geometry {
            Geometry::Polygons(rings) => rings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rings_are_wound_by_their_role_however_they_came() {
        let mut backwards = square(1 << 20, 0);
        backwards.reverse();
        let hole = square(1 << 10, 1 << 12);
        for rings in [vec![square(1 << 20, 0), hole.clone()], vec![backwards, hole]] {
            let ranked = polygon(rings);
            let area = |ring: &Ring| {
                vertices::doubled_area(
                    &ring.vertices.iter().map(|v| Point { x: v.x, y: v.y }).collect::<Vec<_>>(),
                )
            };
            assert!(area(&ranked[0]) > 0 && area(&ranked[1]) < 0);
        }
    }

    #[test]
    fn a_ring_is_a_dot_before_it_has_a_shape_and_is_never_lost() {
        // At zoom 14 a tile unit is 16 world units, the least shape 4 square units of them.
        let ring = &polygon(vec![square(32, 1 << 20)])[0];
        assert_eq!(ring.shape_zoom, 14);
        assert!(ring.dot_zoom <= 14);
        let speck = &polygon(vec![square(1, 1 << 20)])[0];
        assert_eq!((speck.dot_zoom, speck.shape_zoom), (14, 15));
    }

    #[test]
    fn every_vertex_is_kept_at_the_deepest_zoom() {
        let ranker = Ranker::new(&RenderOptions::default(), &LayerRules::default());
        let zigzag: Vec<Point> = (0..50).map(|i| Point { x: i, y: i % 2 }).collect();
        let line = ranker.vertices(&zigzag, false, &[]);
        assert!(line.iter().all(|vertex| vertex.zoom <= 14));
        assert_eq!((line[0].zoom, line[49].zoom), (0, 0));
    }
}
