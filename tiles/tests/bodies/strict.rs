//! A reader of vector tiles that takes nothing but what the specification allows.
//!
//! Source: <https://github.com/mapbox/vector-tile-spec/tree/master/2.1>, section 4.

use std::collections::HashSet;

/// What a tile holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub features: usize,
    pub rings: usize,
    pub holes: usize,
    pub vertices: usize,
}

type Point = [i64; 2];

/// Reads a tile; what is wrong with it otherwise.
pub fn read(bytes: &[u8]) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let mut names = HashSet::new();
    for (field, value) in fields(bytes)? {
        match (field, value) {
            (3, Value::Bytes(layer)) => self::layer(layer, &mut names, &mut counts)?,
            other => return Err(format!("a tile has no field like {other:?}")),
        }
    }
    Ok(counts)
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Eight,
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("the bytes end in a number")?;
        *bytes = rest;
        number |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number of more than 64 bits".to_owned())
}

fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, String> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Value::Number(varint(&mut bytes)?)));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).map_err(|error| error.to_string())?,
            other => return Err(format!("wire type {other}")),
        };
        let (inside, rest) = bytes.split_at_checked(length).ok_or("the bytes end in a field")?;
        fields.push((key >> 3, if key & 7 == 1 { Value::Eight } else { Value::Bytes(inside) }));
        bytes = rest;
    }
    Ok(fields)
}

fn layer(bytes: &[u8], names: &mut HashSet<Vec<u8>>, counts: &mut Counts) -> Result<(), String> {
    let (mut version, mut extent, mut name) = (None, None, None);
    let (mut features, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (field, value) in fields(bytes)? {
        match (field, value) {
            (15, Value::Number(number)) => version = Some(number),
            (5, Value::Number(number)) => extent = Some(number),
            (1, Value::Bytes(text)) => name = Some(text.to_vec()),
            (2, Value::Bytes(feature)) => features.push(feature),
            (3, Value::Bytes(key)) => keys.push(key),
            (4, Value::Bytes(value)) => values.push(value),
            other => return Err(format!("a layer has no field like {other:?}")),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or("a layer without a name")?;
    if version != Some(2) || extent.is_none_or(|extent| extent == 0) || features.is_empty() {
        return Err(format!("version {version:?}, extent {extent:?}, {} features", features.len()));
    }
    if !names.insert(name) {
        return Err("two layers of a name".to_owned());
    }
    for (what, words) in [("keys", &keys), ("values", &values)] {
        if words.iter().collect::<HashSet<_>>().len() != words.len() {
            return Err(format!("{what} that are not unique"));
        }
    }
    for value in &values {
        if fields(value)?.len() != 1 {
            return Err("a value that is not one value".to_owned());
        }
    }
    let mut used = [vec![false; keys.len()], vec![false; values.len()]];
    for bytes in features {
        feature(bytes, &mut used, counts)?;
    }
    let all_used = used.iter().flatten().all(|used| *used);
    if all_used { Ok(()) } else { Err("a key or value that nothing uses".to_owned()) }
}

fn feature(bytes: &[u8], used: &mut [Vec<bool>; 2], counts: &mut Counts) -> Result<(), String> {
    let (mut kind, mut geometry) = (0, None);
    for (field, value) in fields(bytes)? {
        match (field, value) {
            (1, Value::Number(id)) if id < 1 << 53 => {}
            (2, Value::Bytes(tags)) => self::tags(tags, used)?,
            (3, Value::Number(number)) => kind = number,
            (4, Value::Bytes(commands)) => geometry = Some(commands),
            other => return Err(format!("a feature has no field like {other:?}")),
        }
    }
    let parts = parts(geometry.ok_or("a feature without a geometry")?)?;
    counts.features += 1;
    counts.vertices += parts.iter().map(|part| part.points.len()).sum::<usize>();
    match kind {
        1 if parts.len() == 1 && !parts[0].drawn && !parts[0].closed => Ok(()),
        2 if parts.iter().all(|part| part.drawn && !part.closed) => Ok(()),
        3 if parts.iter().all(|part| part.drawn && part.closed) => polygons(&parts, counts),
        _ => Err(format!("kind {kind} with {parts:?}")),
    }
}

fn tags(mut bytes: &[u8], used: &mut [Vec<bool>; 2]) -> Result<(), String> {
    let mut keys = HashSet::new();
    while !bytes.is_empty() {
        let tag = [varint(&mut bytes)?, varint(&mut bytes)?].map(|number| usize::try_from(number).unwrap());
        for (used, index) in used.iter_mut().zip(tag) {
            *used.get_mut(index).ok_or("a tag that points nowhere")? = true;
        }
        if !keys.insert(tag[0]) {
            return Err("a key that stands twice".to_owned());
        }
    }
    Ok(())
}

/// What follows a `MoveTo`.
#[derive(Debug)]
struct Part {
    points: Vec<Point>,
    drawn: bool,
    closed: bool,
}

fn parts(mut bytes: &[u8]) -> Result<Vec<Part>, String> {
    let mut at = [0, 0];
    let mut parts: Vec<Part> = Vec::new();
    while !bytes.is_empty() {
        let command = varint(&mut bytes)?;
        let (command, count) = (command & 7, command >> 3);
        if count == 0 {
            return Err("a command of nothing".to_owned());
        }
        let last = parts.last_mut();
        match (command, last) {
            (1, _) => parts.push(Part { points: Vec::new(), drawn: false, closed: false }),
            (2, Some(part)) if !part.drawn && part.points.len() == 1 => part.drawn = true,
            (7, Some(part)) if part.drawn && !part.closed && count == 1 => {
                part.closed = true;
                continue;
            }
            (other, _) => return Err(format!("command {other} {count} times out of place")),
        }
        for _ in 0..count {
            let step =
                [varint(&mut bytes)?, varint(&mut bytes)?].map(|n| (n >> 1) as i64 ^ -((n & 1) as i64));
            if command == 2 && step == [0, 0] {
                return Err("a line that stands still".to_owned());
            }
            at = [at[0] + step[0], at[1] + step[1]];
            parts.last_mut().ok_or("no part")?.points.push(at);
        }
    }
    if parts.is_empty() { Err("an empty geometry".to_owned()) } else { Ok(parts) }
}

fn doubled_area(ring: &[Point]) -> i64 {
    edges(ring).map(|[a, b]| a[0] * b[1] - b[0] * a[1]).sum()
}

fn edges(ring: &[Point]) -> impl Iterator<Item = [Point; 2]> + '_ {
    (0..ring.len()).map(|index| [ring[index], ring[(index + 1) % ring.len()]])
}

fn polygons(parts: &[Part], counts: &mut Counts) -> Result<(), String> {
    let mut outer: Option<&[Point]> = None;
    for Part { points, .. } in parts {
        let area = doubled_area(points);
        if points.len() < 3 || area == 0 {
            return Err(format!("a ring without an area: {points:?}"));
        }
        simple(points)?;
        counts.rings += 1;
        if area > 0 {
            outer = Some(points);
            continue;
        }
        counts.holes += 1;
        let around = outer.ok_or("a hole before any outer ring")?;
        if let Some(point) = points.iter().find(|point| !holds(around, **point)) {
            return Err(format!("a hole that leaves its outer ring at {point:?}"));
        }
    }
    for polygon in parts.chunk_by(|_, next| doubled_area(&next.points) < 0) {
        in_one_piece(polygon)?;
    }
    let all: Vec<_> = parts.iter().flat_map(|part| edges(&part.points)).collect();
    for (index, a) in all.iter().enumerate() {
        if let Some(b) = all[index + 1..].iter().find(|b| cross(*a, **b)) {
            return Err(format!("edges that cross: {a:?} {b:?}"));
        }
        if let Some(b) = all[index + 1..].iter().find(|b| **b == *a || **b == [a[1], a[0]]) {
            return Err(format!("an edge that stands twice: {a:?} {b:?}"));
        }
    }
    Ok(())
}

/// The inside of a polygon is in one piece unless rings that touch in single points make a circle.
fn in_one_piece(rings: &[Part]) -> Result<(), String> {
    let mut group: Vec<usize> = (0..rings.len()).collect();
    let points: HashSet<_> = rings.iter().flat_map(|ring| &ring.points).collect();
    for point in points {
        let on = |ring: &usize| edges(&rings[*ring].points).any(|edge| lies_on(edge, *point));
        let touching: Vec<_> = (0..rings.len()).filter(on).collect();
        let Some((first, others)) = touching.split_first() else { continue };
        for other in others {
            let (old, new) = (group[*other], group[*first]);
            if old == new {
                return Err(format!("holes that cut a polygon in two at {point:?}"));
            }
            group.iter_mut().filter(|group| **group == old).for_each(|group| *group = new);
        }
    }
    Ok(())
}

/// No point twice, and none on another edge.
fn simple(ring: &[Point]) -> Result<(), String> {
    for (index, point) in ring.iter().enumerate() {
        if ring[index + 1..].contains(point) {
            return Err(format!("a ring that comes by {point:?} twice"));
        }
        if edges(ring).any(|[a, b]| a != *point && b != *point && lies_on([a, b], *point)) {
            return Err(format!("a ring that touches itself at {point:?}"));
        }
    }
    Ok(())
}

fn turn(a: Point, b: Point, c: Point) -> i64 {
    ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])).signum()
}

fn lies_on([a, b]: [Point; 2], point: Point) -> bool {
    let between = |axis: usize| a[axis].min(b[axis]) <= point[axis] && point[axis] <= a[axis].max(b[axis]);
    between(0) && between(1) && turn(a, b, point) == 0
}

/// Whether two edges cross in the inside of both.
fn cross(a: [Point; 2], b: [Point; 2]) -> bool {
    turn(a[0], a[1], b[0]) * turn(a[0], a[1], b[1]) < 0 && turn(b[0], b[1], a[0]) * turn(b[0], b[1], a[1]) < 0
}

/// Whether a point lies in a ring or on it.
fn holds(ring: &[Point], point: Point) -> bool {
    if edges(ring).any(|edge| lies_on(edge, point)) {
        return true;
    }
    let crossed = edges(ring).filter(|[a, b]| {
        let [low, high] = if a[1] < b[1] { [*a, *b] } else { [*b, *a] };
        low[1] < point[1] && point[1] <= high[1] && turn(low, high, point) < 0
    });
    crossed.count() % 2 == 1
}
