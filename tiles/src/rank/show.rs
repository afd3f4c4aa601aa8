//! From which zoom a feature shows.
//!
//! One idea: data that names a zoom is believed, and nothing else is guessed. Natural Earth's attributes are understood; a
//! feature without them shows at every zoom. Not here: populations, which only say something beside those of other
//! features (see [`generalise`](crate::generalise)), and what happens when a tile is too large (see
//! [`render`](crate::render)).

use crate::feature::Value;

/// The least zoom at which a feature's own attributes want it to be shown; `None` when they do not say.
///
/// The first that applies: `min_zoom` (any feature; the zoom, rounded up); `scalerank` (points; Natural Earth's
/// 0 to 12 is close to a zoom).
///
/// ```
/// use watersmeet_tiles::{Value, rank::min_zoom};
/// assert_eq!(min_zoom(&[("scalerank", &Value::Natural(3))], true), Some(3));
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
    number("scalerank").map(zoom_from)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the zooms there are")]
fn zoom_from(number: f64) -> u8 {
    libm::ceil(number).clamp(0.0, 30.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_apply_in_order_and_to_points_only_where_they_say_so() {
        let [four, six] = [4, 6].map(Value::Natural);
        let all = [("scalerank", &four), ("min_zoom", &six)];
        assert_eq!(min_zoom(&all, true), Some(6));
        assert_eq!(min_zoom(&all[..1], true), Some(4));
        assert_eq!(min_zoom(&all[..1], false), None);
        assert_eq!(min_zoom(&[("min_zoom", &Value::Double(-3.0))], true), Some(0));
        assert_eq!(min_zoom(&[("min_zoom", &Value::Text("4".into()))], true), None);
    }
}
