//! From which zoom a feature shows.
//!
//! One idea: data that knows its own importance is believed, and nothing else is guessed. Natural Earth's attributes
//! and populations are understood; a feature without them shows at every zoom. Not here: what happens when a tile is
//! too large (see [`render`](crate::render)).

use crate::feature::Value;

/// Places of at least this many people show from zoom 0. Each zoom has four times the tiles, and there are some four
/// times as many places of a quarter of the people: so the limit falls to a quarter with each zoom.
const POPULATION_AT_ZOOM_0: f64 = 16_777_216.0;

/// Places whose population is unknown or nought show from here.
const ZOOM_WITHOUT_PEOPLE: u8 = 10;

pub(crate) const POPULATION_NAMES: [&str; 4] = ["population", "pop_max", "pop", "POP_MAX"];

/// The least zoom at which a feature's own attributes want it to be shown; `None` when they do not say.
///
/// The first that applies: `min_zoom` (any feature; the zoom, rounded up); `scalerank` (points; Natural Earth's
/// 0 to 12 is close to a zoom); `population`, `pop_max` or `pop` (points; 16.8 million people at zoom 0, a quarter of
/// that with each further zoom, zoom 10 at the latest).
///
/// ```
/// use watersmeet_tiles::{Value, rank::min_zoom};
/// assert_eq!(min_zoom(&[("population", &Value::Natural(1_000_000))], true), Some(3));
/// assert_eq!(min_zoom(&[("min_zoom", &Value::Double(4.5))], false), Some(5));
/// assert_eq!(min_zoom(&[("name", &Value::Text("Here".into()))], true), None);
/// ```
#[must_use]
pub fn min_zoom(properties: &[(&str, &Value)], is_point: bool) -> Option<u8> {
    let number = |name: &str| properties.iter().find(|(key, _)| *key == name).and_then(|(_, v)| v.number());
    if let Some(zoom) = number("min_zoom") {
        return Some(zoom_from(zoom));
    }
    if !is_point {
        return None;
    }
    if let Some(rank) = number("scalerank") {
        return Some(zoom_from(rank));
    }
    POPULATION_NAMES.iter().find_map(|name| number(name)).map(zoom_of_population)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the zooms there are")]
fn zoom_from(number: f64) -> u8 {
    libm::ceil(number).clamp(0.0, 30.0) as u8
}

fn zoom_of_population(people: f64) -> u8 {
    let mut limit = POPULATION_AT_ZOOM_0;
    for zoom in 0..ZOOM_WITHOUT_PEOPLE {
        if people >= limit {
            return zoom;
        }
        limit /= 4.0;
    }
    ZOOM_WITHOUT_PEOPLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_apply_in_order_and_to_points_only_where_they_say_so() {
        let (four, million) = (Value::Natural(4), Value::Natural(1 << 20));
        let all = [("population", &million), ("scalerank", &four)];
        assert_eq!(min_zoom(&all, true), Some(4));
        assert_eq!(min_zoom(&all, false), None);
        assert_eq!(min_zoom(&all[..1], true), Some(2));
        assert_eq!(min_zoom(&[("pop", &Value::Natural(0))], true), Some(10));
        assert_eq!(min_zoom(&[("min_zoom", &Value::Double(-3.0))], true), Some(0));
        assert_eq!(min_zoom(&[("min_zoom", &Value::Text("4".into()))], true), None);
    }
}
