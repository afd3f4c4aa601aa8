//! Small polygons: which of the rings that are too small for a shape are drawn as dots.
//!
//! One idea: a dot has the least area that is drawn, so it has to stand for that much. The rings of a neighbourhood are
//! walked along a space-filling curve and their areas added up; whenever there is enough for a dot, the ring at hand is
//! drawn as one. So many small islands together keep their area where they are, and an atoll does not vanish by bad
//! luck. Only what is a dot one zoom deeper can be one here, so a dot that has appeared stays. Sums start afresh in
//! each block of an eighth of a tile, with a lot for what lies between: so a change here moves no dot far away.
//!
//! Source: E. Fischer's tippecanoe, tiny polygon reduction, which adds up areas in the order of its features.

use xxhash_rust::xxh3::xxh3_64;

use crate::coord::{Point, WORLD_BITS};
use crate::feature::{Feature, Geometry, Ring};
use crate::options::RenderOptions;

use super::thin::along_the_curve;

/// A block is a tile of so many zooms deeper.
const BLOCK_ZOOMS: u8 = 3;

/// The rings of a layer that have no shape at some zoom; 40 bytes each.
#[derive(Default)]
pub(crate) struct Specks(Vec<Speck>);

struct Speck {
    /// Where its dot is along the Z-order curve.
    curve: u64,
    /// Twice its own area in square world units.
    own: u64,
    /// Twice the area it stands for at the zoom at hand.
    mass: u64,
    feature: u32,
    ring: u32,
    min_zoom: u8,
    shape_zoom: u8,
    dot_zoom: u8,
}

/// The least zooms of dots: feature, ring, zoom; in this order.
#[derive(Default)]
pub(crate) struct Dots(Vec<(u32, u32, u8)>);

impl Specks {
    /// Takes the rings of the layer's feature of this number.
    pub(crate) fn add(&mut self, number: u32, feature: &Feature, options: &RenderOptions) {
        let Geometry::Polygons(rings) = &feature.geometry else { return };
        for (index, ring) in (0..).zip(rings).filter(|(_, ring)| ring.shape_zoom > 0) {
            let Some(own) = area(ring, options.max_zoom) else { continue };
            self.0.push(Speck {
                curve: along_the_curve(ring.dot),
                own,
                mass: own,
                feature: number,
                ring: index,
                min_zoom: feature.min_zoom,
                shape_zoom: ring.shape_zoom,
                dot_zoom: ring.dot_zoom,
            });
        }
    }

    /// Decides which of them are drawn as dots.
    pub(crate) fn dots(mut self, options: &RenderOptions) -> Dots {
        self.0.sort_unstable_by_key(|speck| (speck.curve, speck.own, speck.feature, speck.ring));
        let mut dots = Vec::new();
        let mut tell = |speck: &Speck| {
            if speck.dot_zoom < speck.shape_zoom.min(options.max_zoom) {
                dots.push((speck.feature, speck.ring, speck.dot_zoom));
            }
        };
        for zoom in (0..options.max_zoom).rev() {
            let mut sum = Sum { zoom, enough: enough(options, zoom), block: None, mass: 0 };
            self.0.retain_mut(|speck| {
                let stays = speck.shape_zoom <= zoom || sum.add(speck);
                if !stays {
                    tell(speck);
                }
                stays
            });
        }
        self.0.iter().for_each(tell);
        dots.sort_unstable();
        Dots(dots)
    }
}

impl Dots {
    /// Writes what was decided beside the rings of the layer's feature of this number.
    pub(crate) fn apply(&self, number: u32, feature: &mut Feature) {
        let Geometry::Polygons(rings) = &mut feature.geometry else { return };
        let start = self.0.partition_point(|dot| dot.0 < number);
        for (_, ring, zoom) in self.0[start..].iter().take_while(|dot| dot.0 == number) {
            rings[*ring as usize].dot_zoom = *zoom;
        }
    }
}

/// The sum of what has been passed and not drawn.
struct Sum {
    zoom: u8,
    enough: u64,
    block: Option<u64>,
    mass: u64,
}

impl Sum {
    /// Whether there is enough for a dot here.
    fn add(&mut self, speck: &mut Speck) -> bool {
        let depth = (self.zoom + BLOCK_ZOOMS).min(WORLD_BITS);
        let block = speck.curve >> (2 * (WORLD_BITS - depth));
        if self.block != Some(block) {
            let mut place = [self.zoom; 9];
            place[..8].copy_from_slice(&block.to_le_bytes());
            *self = Self { block: Some(block), mass: xxh3_64(&place) % self.enough, ..*self };
        }
        if speck.min_zoom > self.zoom {
            // What it stood for besides itself is handed on.
            self.mass += speck.mass.saturating_sub(speck.own);
            return false;
        }
        self.mass += speck.mass;
        if self.mass < self.enough {
            return false;
        }
        self.mass -= self.enough;
        speck.mass = self.enough;
        speck.dot_zoom = self.zoom;
        true
    }
}

/// Twice the area of a dot in square world units, at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an area of the world's at most")]
fn enough(options: &RenderOptions, zoom: u8) -> u64 {
    let unit = options.grid().scale(zoom).unit();
    (2.0 * options.dot_area * unit * unit).max(1.0) as u64
}

/// Twice an outer ring's area; `None` for a hole, which is never a dot.
fn area(ring: &Ring, max_zoom: u8) -> Option<u64> {
    let points: Vec<_> = ring.vertices.iter().map(|v| Point { x: v.x, y: v.y }).collect();
    let doubled = crate::rank::doubled_area(&points);
    let is_hole = doubled < 0 || ring.dot_zoom > max_zoom;
    (!is_hole).then(|| u64::try_from(doubled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coord::WORLD;
    use crate::generalise::LayerRules;
    use crate::project::Projected;
    use crate::rank::Ranker;

    /// A field of squares of a side of `side` world units, `count` by `count`, all over a tile of zoom 4.
    fn field(side: i32, count: i32) -> Vec<Feature> {
        let ranker = Ranker::new(&RenderOptions::default(), &LayerRules::default());
        let square = |index: i32| {
            let step = (WORLD >> 4) / count;
            let (x, y) = (index % count * step + WORLD / 2, index / count * step + WORLD / 2);
            let ring = [(0, 0), (side, 0), (side, side), (0, side)]
                .map(|(right, down)| Point { x: x + right, y: y + down });
            ranker.feature(index.unsigned_abs().into(), Projected::Polygons(vec![vec![ring.to_vec()]]), &[])
        };
        (0..count * count).map(square).collect()
    }

    fn spread(features: &mut [Feature], options: &RenderOptions) {
        let mut specks = Specks::default();
        (0..).zip(&*features).for_each(|(number, feature)| specks.add(number, feature, options));
        let dots = specks.dots(options);
        (0..).zip(features).for_each(|(number, feature)| dots.apply(number, feature));
    }

    fn ring(feature: &Feature) -> &Ring {
        match &feature.geometry {
            Geometry::Polygons(rings) => &rings[0],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dots_keep_the_area_of_what_they_stand_for_at_every_zoom_and_everywhere() {
        let options = RenderOptions::default();
        let (side, count) = (1 << 13, 100);
        let mut features = field(side, count);
        spread(&mut features, &options);
        let own = 2 * u64::from(side.unsigned_abs()).pow(2);
        for zoom in 1..=5 {
            // In each quarter of the field, too.
            for quarter in 0..4 {
                let inside = |feature: &&Feature| {
                    let half = WORLD / 2 + (WORLD >> 5);
                    let dot = ring(feature).dot;
                    usize::from(dot.x >= half) + 2 * usize::from(dot.y >= half) == quarter
                };
                let here: Vec<_> = features.iter().filter(inside).collect();
                assert!(here.iter().all(|feature| ring(feature).shape_zoom > 5));
                let dots = here.iter().filter(|feature| ring(feature).dot_zoom <= zoom).count() as u64;
                let expected = own * here.len() as u64 / enough(&options, zoom);
                assert!(dots.abs_diff(expected) <= 1 + expected / 10, "zoom {zoom}: {dots}, not {expected}");
            }
        }
        assert!(features.iter().all(|feature| ring(feature).dot_zoom <= ring(feature).shape_zoom));
    }

    #[test]
    fn a_change_moves_no_dot_far_away() {
        let options = RenderOptions::default();
        let mut features = field(1 << 13, 60);
        let mut changed = features.clone();
        spread(&mut features, &options);
        changed.remove(0);
        spread(&mut changed, &options);
        let far = |feature: &&Feature| ring(feature).dot.x > WORLD / 2 + (WORLD >> 6);
        let zooms = |features: &[Feature]| -> Vec<_> {
            features.iter().filter(far).map(|feature| ring(feature).dot_zoom.max(3)).collect()
        };
        assert_eq!(zooms(&features), zooms(&changed));
    }

    #[test]
    fn a_feature_that_shows_later_only_hands_on_what_it_stood_for() {
        let options = RenderOptions::default();
        let mut features = field(1 << 13, 60);
        features.iter_mut().step_by(2).for_each(|feature| feature.min_zoom = 5);
        spread(&mut features, &options);
        let early = features.iter().filter(|f| ring(f).dot_zoom < 5);
        assert!(early.clone().count() > 0 && early.clone().all(|feature| feature.min_zoom == 0));
    }
}
