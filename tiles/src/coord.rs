//! Where a tile lies: zoom, column, row, its number on the Hilbert curve, and its box in the world.
//!
//! One idea: the world is a square of integers, so that every tile's edge at every zoom is a whole number and all
//! arithmetic gives the same bits on every machine. Not here: degrees (see [`project`](crate::project)).

use thiserror::Error;

/// The world square is `2^WORLD_BITS` units wide: 3.7 cm at the equator. Three worlds side by side (a feature and
/// its copies across the antimeridian) still fit an `i32`.
pub const WORLD_BITS: u8 = 30;

/// The world's width and height in world units.
pub const WORLD: i32 = 1 << WORLD_BITS;

/// A position in world units: x grows east from the antimeridian, y grows south from 85.05° north.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// World units east of the antimeridian.
    pub x: i32,
    /// World units south of the northern edge.
    pub y: i32,
}

/// A closed box in world units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The north-western corner, inside the box.
    pub min: Point,
    /// The south-eastern corner, inside the box.
    pub max: Point,
}

impl Bounds {
    /// The box that holds nothing; extending it by a point gives that point.
    pub const EMPTY: Self =
        Self { min: Point { x: i32::MAX, y: i32::MAX }, max: Point { x: i32::MIN, y: i32::MIN } };

    /// Whether no point is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.min.x > self.max.x
    }

    /// Grows the box until it holds the point.
    pub fn extend(&mut self, x: i32, y: i32) {
        self.min = Point { x: self.min.x.min(x), y: self.min.y.min(y) };
        self.max = Point { x: self.max.x.max(x), y: self.max.y.max(y) };
    }

    /// Grows the box until it holds the other box.
    pub fn join(&mut self, other: &Self) {
        if !other.is_empty() {
            self.extend(other.min.x, other.min.y);
            self.extend(other.max.x, other.max.y);
        }
    }

    /// Whether the two boxes share a point.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.min.x <= other.max.x
            && other.min.x <= self.max.x
            && self.min.y <= other.max.y
            && other.min.y <= self.max.y
    }

    /// The box with so many units more on each side.
    #[must_use]
    pub fn grown(&self, units: i32) -> Self {
        let Self { min, max } = *self;
        Self {
            min: Point { x: min.x.saturating_sub(units), y: min.y.saturating_sub(units) },
            max: Point { x: max.x.saturating_add(units), y: max.y.saturating_add(units) },
        }
    }

    /// The longer side in world units; 0 for a single point and for the empty box.
    #[must_use]
    pub fn longer_side(&self) -> u32 {
        if self.is_empty() {
            return 0;
        }
        self.max.x.abs_diff(self.min.x).max(self.max.y.abs_diff(self.min.y))
    }
}

/// Why three numbers name no tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoordError {
    /// There is no such zoom.
    #[error("zoom {0} is above {WORLD_BITS}, the deepest there is")]
    Zoom(u8),
    /// The column lies outside the zoom.
    #[error("x is {x}, but at zoom {z} it runs from 0 to {max}", max = (1_u32 << z) - 1)]
    Column {
        /// The zoom asked for.
        z: u8,
        /// The column asked for.
        x: u32,
    },
    /// The row lies outside the zoom.
    #[error("y is {y}, but at zoom {z} it runs from 0 to {max}", max = (1_u32 << z) - 1)]
    Row {
        /// The zoom asked for.
        z: u8,
        /// The row asked for.
        y: u32,
    },
}

/// A tile of the usual web pyramid: at zoom `z`, `2^z` columns from the west and as many rows from the north.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileCoord {
    z: u8,
    x: u32,
    y: u32,
}

impl TileCoord {
    /// The one tile of zoom 0.
    pub const ROOT: Self = Self { z: 0, x: 0, y: 0 };

    /// # Errors
    /// When the zoom, the column or the row does not exist.
    ///
    /// ```
    /// use watersmeet_tiles::TileCoord;
    /// assert!(TileCoord::new(2, 3, 3).is_ok());
    /// assert_eq!(TileCoord::new(2, 4, 0).unwrap_err().to_string(), "x is 4, but at zoom 2 it runs from 0 to 3");
    /// ```
    pub fn new(z: u8, x: u32, y: u32) -> Result<Self, CoordError> {
        if z > WORLD_BITS {
            return Err(CoordError::Zoom(z));
        }
        if x >> z != 0 {
            return Err(CoordError::Column { z, x });
        }
        if y >> z != 0 {
            return Err(CoordError::Row { z, y });
        }
        Ok(Self { z, x, y })
    }

    /// Zoom.
    #[must_use]
    pub fn z(self) -> u8 {
        self.z
    }

    /// Column, from the west.
    #[must_use]
    pub fn x(self) -> u32 {
        self.x
    }

    /// Row, from the north.
    #[must_use]
    pub fn y(self) -> u32 {
        self.y
    }

    /// The four tiles of the next zoom that make up this one.
    #[must_use]
    pub fn children(self) -> [Self; 4] {
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| Self {
            z: self.z + 1,
            x: self.x * 2 + right,
            y: self.y * 2 + down,
        })
    }

    /// The tile of zoom `z` that covers this one; itself when `z` is its own zoom or deeper.
    #[must_use]
    pub fn ancestor(self, z: u8) -> Self {
        let up = self.z.saturating_sub(z);
        Self { z: self.z - up, x: self.x >> up, y: self.y >> up }
    }

    /// The north-western corner in world units.
    #[must_use]
    pub fn origin(self) -> Point {
        let bits = WORLD_BITS - self.z;
        // x < 2^z, so x << bits < 2^WORLD_BITS: it fits.
        Point { x: (self.x << bits).cast_signed(), y: (self.y << bits).cast_signed() }
    }

    /// The tile's number in a PMTiles archive: all shallower tiles first, then along the Hilbert curve of its zoom.
    ///
    /// Source: the `PMTiles` specification, version 3, section 4.
    ///
    /// ```
    /// use watersmeet_tiles::TileCoord;
    /// assert_eq!(TileCoord::new(12, 3423, 1763).unwrap().number(), 19_078_479);
    /// ```
    #[must_use]
    pub fn number(self) -> u64 {
        let (mut x, mut y) = (u64::from(self.x), u64::from(self.y));
        let mut along = 0;
        for bit in (0..self.z).rev() {
            let side = 1_u64 << bit;
            let (right, down) = (u64::from(x & side != 0), u64::from(y & side != 0));
            along += side * side * ((3 * right) ^ down);
            (x, y) = (x & (side - 1), y & (side - 1));
            turn(side, &mut x, &mut y, right, down);
        }
        first_number(self.z) + along
    }

    /// The tile with this number, the inverse of [`TileCoord::number`]; `None` beyond the deepest zoom.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        let z = (0..=WORLD_BITS).rev().find(|z| first_number(*z) <= number)?;
        let mut rest = number - first_number(z);
        if rest >> (2 * z) != 0 {
            return None;
        }
        let (mut x, mut y) = (0_u64, 0_u64);
        for bit in 0..z {
            let side = 1_u64 << bit;
            let right = 1 & (rest / 2);
            let down = 1 & (rest ^ right);
            turn(side, &mut x, &mut y, right, down);
            x += side * right;
            y += side * down;
            rest /= 4;
        }
        Some(Self { z, x: u32::try_from(x).ok()?, y: u32::try_from(y).ok()? })
    }
}

impl std::fmt::Display for TileCoord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.z, self.x, self.y)
    }
}

/// How many tiles all zooms above `z` have: `(4^z - 1) / 3`.
fn first_number(z: u8) -> u64 {
    ((1_u64 << (2 * z)) - 1) / 3
}

/// Turns a quadrant of the Hilbert curve upright (Warren, Hacker's Delight, 16-2); `x` and `y` are below `side`.
fn turn(side: u64, x: &mut u64, y: &mut u64, right: u64, down: u64) {
    if down != 0 {
        return;
    }
    if right != 0 {
        *x = side - 1 - *x;
        *y = side - 1 - *y;
    }
    std::mem::swap(x, y);
}

/// How a tile divides its square: the extent, and the buffer around it. Both in tile units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    extent_bits: u8,
    buffer: u16,
}

impl Grid {
    /// A grid of `2^extent_bits` units a side and `buffer` more on each side.
    #[must_use]
    pub fn new(extent_bits: u8, buffer: u16) -> Self {
        Self { extent_bits, buffer }
    }

    /// Units per side.
    #[must_use]
    pub fn extent(self) -> u32 {
        1 << self.extent_bits
    }

    /// Units kept beyond each side.
    #[must_use]
    pub fn buffer(self) -> u16 {
        self.buffer
    }

    /// How tile units of zoom `z` compare to world units.
    #[must_use]
    pub fn scale(self, z: u8) -> Scale {
        let bits = i32::from(WORLD_BITS) - i32::from(self.extent_bits) - i32::from(z);
        Scale { down: bits.max(0).unsigned_abs(), up: (-bits).max(0).unsigned_abs() }
    }

    /// What a tile and all tiles below it can see, with one unit to spare: quantising moves a vertex by up to half
    /// a unit, and what lies outside this box must stay strictly outside the clip box after that.
    #[must_use]
    pub fn sight(self, tile: TileCoord) -> Bounds {
        let margin = self.scale(tile.z).world_units(i32::from(self.buffer) + 1);
        let side = 1 << (WORLD_BITS - tile.z);
        let min = tile.origin();
        Bounds { min, max: Point { x: min.x + side, y: min.y + side } }.grown(margin)
    }
}

/// The size of a zoom's tile units: a power of two of world units, or from some zoom on the reverse. There, a vertex
/// keeps the 3.7 cm of the world's grid, which is less than any map's error, and tile units are world units scaled up
/// without rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// A tile unit is `2^down` world units wide.
    down: u32,
    /// A world unit is `2^up` tile units wide. One of the two is nought.
    up: u32,
}

impl Scale {
    /// World units to the nearest tile units, halves up.
    #[inline]
    #[must_use]
    pub fn round(self, world: i64) -> i64 {
        let half = (1_i64 << self.down) >> 1;
        ((world + half) >> self.down) << self.up
    }

    /// The least whole number of world units that so many tile units fit in.
    #[must_use]
    pub fn world_units(self, tile_units: i32) -> i32 {
        let rest = (1 << self.up) - 1;
        ((tile_units + rest) >> self.up) << self.down
    }

    /// The width of a tile unit in world units.
    #[must_use]
    pub fn unit(self) -> f64 {
        f64::from(self.down).exp2() / f64::from(self.up).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    quickcheck! {
        fn a_tile_comes_back_from_its_number(z: u8, x: u32, y: u32) -> bool {
            let z = z % (WORLD_BITS + 1);
            let tile = TileCoord::new(z, x & ((1 << z) - 1), y & ((1 << z) - 1)).unwrap();
            TileCoord::from_number(tile.number()) == Some(tile)
        }

        fn no_number_panics(number: u64) -> bool {
            TileCoord::from_number(number).is_none_or(|tile| tile.number() == number)
        }
    }

    #[test]
    fn numbers_are_those_of_the_specification() {
        let numbers = [(0, 0, 0, 0), (1, 0, 0, 1), (1, 0, 1, 2), (1, 1, 1, 3), (1, 1, 0, 4), (2, 0, 0, 5)];
        for (z, x, y, number) in numbers {
            assert_eq!(TileCoord::new(z, x, y).unwrap().number(), number, "{z}/{x}/{y}");
        }
    }

    #[test]
    fn children_lie_in_their_parent() {
        let tile = TileCoord::new(5, 17, 9).unwrap();
        for child in tile.children() {
            assert_eq!(child.ancestor(5), tile);
        }
        assert_eq!(tile.ancestor(9), tile);
    }

    #[test]
    fn a_child_never_sees_more_than_its_parent() {
        let grid = Grid::new(12, 64);
        let tile = TileCoord::new(3, 4, 5).unwrap();
        let sight = grid.sight(tile);
        for below in tile.children().map(|child| grid.sight(child)) {
            assert!(sight.min.x <= below.min.x && sight.min.y <= below.min.y);
            assert!(sight.max.x >= below.max.x && sight.max.y >= below.max.y);
        }
    }
}
