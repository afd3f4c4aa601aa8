//! Degrees to world units: checks a geometry as its source wrote it and projects it to web mercator.
//!
//! One idea: this is the only place that computes with fractions, and it does so by a software sine and logarithm,
//! so that every machine gets the same integers. RFC 7946 (3.1.9) asks the source to have cut what crosses the
//! antimeridian, so a line from 179° to -179° is drawn the long way round, unless the layer's rules say otherwise.

use thiserror::Error;

use crate::coord::{Point, WORLD};
use crate::feature::Shape;
use crate::rank::doubled_area;

/// Coordinates may lie this far beyond ±180° and ±90°, in degrees: other programs' rounding puts them there.
pub const SLACK_DEGREES: f64 = 1e-6;

/// A projected geometry, not ranked yet. Rings are open (the closing vertex is gone) and have at least 3 vertices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projected {
    /// One or more points.
    Points(Vec<Point>),
    /// One or more lines of at least 2 vertices.
    Lines(Vec<Vec<Point>>),
    /// One or more polygons: the outer ring, then its holes.
    Polygons(Vec<Vec<Vec<Point>>>),
}

/// Why a geometry cannot be drawn.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GeometryFault {
    /// It has no coordinates at all.
    #[error("the geometry is empty")]
    Empty,
    /// A line or ring is too short.
    #[error("{what} {index} has {found} positions, but needs {needed}")]
    TooFewPoints {
        /// `line` or `ring`.
        what: &'static str,
        /// Which one of the feature's, from 0.
        index: usize,
        /// How many positions it has.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// A ring's last position is not its first.
    #[error("ring {index} is not closed: it starts at {first:?} and ends at {last:?}")]
    UnclosedRing {
        /// Which ring of the feature's, from 0.
        index: usize,
        /// Degrees.
        first: [f64; 2],
        /// Degrees.
        last: [f64; 2],
    },
    /// A position is not on Earth, or not a number.
    #[error("position {0:?} is out of range: longitude runs from -180 to 180, latitude from -90 to 90")]
    OutOfRange([f64; 2]),
}

/// Lines and rings may reach this far beyond the world square's northern and southern edges, in world units: further
/// than any tile's buffer, so that an outline that has to end somewhere ends out of sight.
pub const OVERHANG: i32 = WORLD / 2 + WORLD / 32;

/// Longitude and latitude in degrees to world units. Latitudes beyond the square's edge, ±85.05°, are put on the edge.
///
/// # Errors
/// When the position is not on Earth or not a number.
///
/// ```
/// use watersmeet_tiles::{WORLD, project};
/// let greenwich = project::position([0.0, 0.0]).unwrap();
/// assert_eq!((greenwich.x, greenwich.y), (WORLD / 2, WORLD / 2));
/// ```
pub fn position(place: [f64; 2]) -> Result<Point, GeometryFault> {
    let Point { x, y } = vertex(place)?;
    Ok(Point { x, y: y.clamp(0, WORLD) })
}

/// The same for a vertex of a line or ring, which may lie up to [`OVERHANG`] beyond the edge.
fn vertex([lon, lat]: [f64; 2]) -> Result<Point, GeometryFault> {
    let on_earth = lon.abs() <= 180.0 + SLACK_DEGREES && lat.abs() <= 90.0 + SLACK_DEGREES;
    if !on_earth {
        return Err(GeometryFault::OutOfRange([lon, lat]));
    }
    let sine = libm::sin(lat.clamp(-90.0, 90.0) * (std::f64::consts::PI / 180.0));
    let north = libm::log((1.0 + sine) / (1.0 - sine)) / (4.0 * std::f64::consts::PI);
    Ok(Point { x: world(lon / 360.0 + 0.5, 0), y: world(0.5 - north, OVERHANG) })
}

/// A fraction of the world to world units; infinities (the poles) land at the end of the overhang.
#[expect(clippy::cast_possible_truncation, reason = "clamped to the world and its overhang")]
fn world(fraction: f64, overhang: i32) -> i32 {
    let (width, overhang) = (f64::from(WORLD), f64::from(overhang));
    libm::floor(fraction * width + 0.5).clamp(-overhang, width + overhang) as i32
}

/// World units back to longitude and latitude in degrees, for humans and headers.
#[must_use]
pub fn degrees(point: Point) -> [f64; 2] {
    degrees_at([point.x, point.y].map(|units| f64::from(units) / f64::from(WORLD)))
}

/// Fractions of the world, east and south of its north-western corner, to longitude and latitude in degrees.
#[must_use]
pub fn degrees_at([east, south]: [f64; 2]) -> [f64; 2] {
    let north = (1.0 - 2.0 * south) * std::f64::consts::PI;
    let lat = libm::atan(libm::sinh(north)) * (180.0 / std::f64::consts::PI);
    [east * 360.0 - 180.0, lat]
}

/// Checks and projects a geometry.
///
/// # Errors
/// When any part of it cannot be drawn; a feature is taken whole or not at all.
pub fn shape(shape: &Shape) -> Result<Projected, GeometryFault> {
    let projected = match shape {
        Shape::Points(points) => {
            Projected::Points(points.iter().map(|point| position(*point)).collect::<Result<_, _>>()?)
        }
        Shape::Lines(lines) => {
            Projected::Lines(lines.iter().enumerate().map(|(i, l)| line(i, l)).collect::<Result<_, _>>()?)
        }
        Shape::Polygons(polygons) => Projected::Polygons(self::polygons(polygons)?),
    };
    let empty = match &projected {
        Projected::Points(points) => points.is_empty(),
        Projected::Lines(lines) => lines.is_empty(),
        Projected::Polygons(polygons) => polygons.is_empty(),
    };
    if empty { Err(GeometryFault::Empty) } else { Ok(projected) }
}

/// Projects without immediate repetitions, which would hide that two borders are the same; but never to fewer than so
/// many.
fn vertices(places: &[[f64; 2]], least: usize, is_ring: bool) -> Result<Vec<Point>, GeometryFault> {
    let all: Vec<_> = places.iter().map(|place| vertex(*place)).collect::<Result<_, _>>()?;
    let mut moving = all.clone();
    moving.dedup();
    while is_ring && moving.len() > 1 && moving.first() == moving.last() {
        moving.pop();
    }
    Ok(if moving.len() < least { all } else { moving })
}

fn line(index: usize, line: &[[f64; 2]]) -> Result<Vec<Point>, GeometryFault> {
    at_least(2, "line", index, line.len())?;
    vertices(line, 2, false)
}

fn polygons(polygons: &[Vec<Vec<[f64; 2]>>]) -> Result<Vec<Vec<Vec<Point>>>, GeometryFault> {
    let mut index = 0;
    let mut projected = Vec::with_capacity(polygons.len());
    for polygon in polygons.iter().filter(|rings| !rings.is_empty()) {
        let mut rings = Vec::with_capacity(polygon.len());
        for closed in polygon {
            rings.push(ring(index, closed)?);
            index += 1;
        }
        projected.push(rings);
    }
    Ok(projected)
}

fn ring(index: usize, closed: &[[f64; 2]]) -> Result<Vec<Point>, GeometryFault> {
    at_least(4, "ring", index, closed.len())?;
    let (first, last) = (closed[0], closed[closed.len() - 1]);
    #[expect(clippy::float_cmp, reason = "a ring is closed by the very same position")]
    if first != last {
        return Err(GeometryFault::UnclosedRing { index, first, last });
    }
    vertices(&closed[1..], 3, true)
}

/// Takes every step of more than so many degrees of longitude, 180 or more, for one of the short way round: what crosses
/// the antimeridian goes on beyond the world's edge, where [`wrap`](crate::cut::wrap) finds it. A ring around a pole is
/// closed along the pole, and of two of them the area between is meant. A line along the world's whole width, a ring that
/// would have no width left, and what goes around the world more than once stay as they are.
pub fn unwrap(projected: &mut Projected, longest_degrees: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "a part of the world")]
    let longest = (longest_degrees / 360.0 * f64::from(WORLD)) as i64;
    match projected {
        Projected::Points(_) => {}
        Projected::Lines(lines) => {
            for line in lines {
                unwrapped(line, false, longest);
            }
        }
        Projected::Polygons(polygons) => polygons.iter_mut().for_each(|rings| {
            let polar: Vec<bool> = rings.iter_mut().map(|ring| unwrapped(ring, true, longest)).collect();
            widest_first(rings, &polar);
            if let Some((outer, holes)) = rings.split_first_mut() {
                let outer = middle_x(outer);
                holes.iter_mut().for_each(|hole| shift_near(hole, outer));
            }
        }),
    }
}

/// Of two rings around a pole the area lies between, so the one further from the pole is the outer ring, whichever comes
/// first: Antarctica may come as a ring along the pole, with its coast for a hole.
fn widest_first(rings: &mut [Vec<Point>], polar: &[bool]) {
    let around = (0..rings.len()).filter(|ring| polar[*ring]);
    if polar.first() == Some(&true)
        && let Some(widest) = around.max_by_key(|ring| doubled_area(&rings[*ring]).unsigned_abs())
    {
        rings.swap(0, widest);
    }
}

/// Whether a ring was closed along a pole.
fn unwrapped(path: &mut Vec<Point>, is_ring: bool, longest: i64) -> bool {
    let (Some(first), Some(end)) = (path.first().copied(), path.last().copied()) else { return false };
    // 1 for a step across to the east, -1 to the west.
    let crossing = |from: i32, to: i32| {
        let step = i64::from(to) - i64::from(from);
        let is_whole = !is_ring && step.abs() >= i64::from(WORLD) - 2;
        if is_whole || step.abs() <= longest { 0 } else { -step.signum() }
    };
    let mut worlds = 0;
    let mut last = first.x;
    let mut xs = Vec::with_capacity(path.len());
    for point in &*path {
        worlds += crossing(last, point.x);
        last = point.x;
        xs.push(i64::from(point.x) + worlds * i64::from(WORLD));
    }
    let (Some(west), Some(east)) = (xs.iter().min(), xs.iter().max()) else { return false };
    let fits = *west >= -i64::from(WORLD) && *east <= 2 * i64::from(WORLD) && east - west > 2;
    let around = worlds + if is_ring { crossing(end.x, first.x) } else { 0 };
    if !fits || (is_ring && around.abs() > 1) {
        return false;
    }
    for (point, x) in path.iter_mut().zip(&xs) {
        point.x = i32::try_from(*x).unwrap_or(point.x);
    }
    if is_ring && around != 0 {
        let across = i64::from(first.x) + around * i64::from(WORLD);
        let across = i32::try_from(across).unwrap_or(first.x);
        let sum: i64 = path.iter().map(|point| i64::from(point.y)).sum();
        let is_north = sum / i64::try_from(path.len()).unwrap_or(1) < i64::from(WORLD / 2);
        let pole = if is_north { -OVERHANG } else { WORLD + OVERHANG };
        path.extend([(across, first.y), (across, pole), (first.x, pole)].map(|(x, y)| Point { x, y }));
    }
    is_ring && around != 0
}

fn middle_x(path: &[Point]) -> i64 {
    let xs = || path.iter().map(|point| i64::from(point.x));
    (xs().min().unwrap_or(0) + xs().max().unwrap_or(0)) / 2
}

/// Moves a path by whole worlds until its middle is as near as can be.
fn shift_near(path: &mut [Point], middle: i64) {
    let world = i64::from(WORLD);
    let worlds = (middle - middle_x(path) + world / 2).div_euclid(world);
    for point in path {
        point.x = i32::try_from(i64::from(point.x) + worlds * world).unwrap_or(point.x);
    }
}

fn at_least(needed: usize, what: &'static str, index: usize, found: usize) -> Result<(), GeometryFault> {
    if found < needed {
        return Err(GeometryFault::TooFewPoints { what, index, found, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn known_places_have_known_units() {
        // Held still: a change here changes every tile of every set.
        let golden = [
            ([-180.0, 85.051_128_779_806_6], (0, 0)),
            ([180.0, -85.051_128_779_806_6], (WORLD, WORLD)),
            ([13.377_704, 52.516_275], (576_771_468, 352_157_431)),
            ([-70.667, -33.45], (326_098_375, 642_843_423)),
            ([0.0, 90.0], (WORLD / 2, 0)),
            ([0.0, -90.0], (WORLD / 2, WORLD)),
        ];
        for (place, (x, y)) in golden {
            assert_eq!(position(place).unwrap(), Point { x, y }, "{place:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for place in [[181.0, 0.0], [0.0, 91.0], [f64::NAN, 0.0], [0.0, f64::INFINITY]] {
            assert!(matches!(position(place), Err(GeometryFault::OutOfRange(_))), "{place:?}");
        }
        assert!(position([180.000_000_000_000_14, 90.000_000_01]).is_ok());
    }

    #[test]
    fn rings_have_to_be_closed_and_long_enough() {
        let square = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]];
        let fault = |ring: &[[f64; 2]]| shape(&Shape::Polygons(vec![vec![ring.to_vec()]])).unwrap_err();
        assert!(matches!(fault(&square[..4]), GeometryFault::UnclosedRing { index: 0, .. }));
        assert!(matches!(fault(&square[..3]), GeometryFault::TooFewPoints { found: 3, needed: 4, .. }));
        let Projected::Polygons(rings) = shape(&Shape::Polygons(vec![vec![square]])).unwrap() else {
            panic!("a polygon stays one")
        };
        assert_eq!(rings[0][0].len(), 4);
        assert_eq!(shape(&Shape::Lines(Vec::new())), Err(GeometryFault::Empty));
    }

    quickcheck! {
        fn degrees_come_back(lon: i16, lat: i16) -> bool {
            let place = [f64::from(lon) / 32768.0 * 180.0, f64::from(lat) / 32768.0 * 85.0];
            let back = degrees(position(place).unwrap());
            (back[0] - place[0]).abs() < 1e-6 && (back[1] - place[1]).abs() < 1e-6
        }
    }
}
