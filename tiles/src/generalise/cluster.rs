//! Clustering: points that are close become one, with their count.
//!
//! One idea: going up from the deepest zoom with clusters, each zoom's nodes are clustered from those one zoom deeper,
//! so a node lives from the zoom where it forms up to the one where a larger one takes it in. It is a feature with a
//! first and a last zoom, and at every zoom each point is counted exactly once. A heart of a cluster is the node with
//! most points, among equals the most important, so the same points cluster alike however the file is sorted.
//!
//! Source: V. Agafonkin's supercluster (hierarchical greedy clustering), whose hearts are those first in its index.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::fold::Folded;
use super::rules::{ClusterRule, RESERVED};
use super::{is_points, weight, world_units};
use crate::coord::Point;
use crate::feature::{Dictionary, Feature, Geometry, ID_BITS, Value};

/// A point or a cluster that no larger one has taken in yet.
#[derive(Clone, Copy, Default)]
struct Node {
    /// The middle of its points.
    place: Point,
    sum_x: i64,
    sum_y: i64,
    count: u64,
    /// The most important point at its heart.
    heart: u32,
    /// Its index among the clusters; `None` for a point, which is its own heart.
    cluster: Option<u32>,
}

/// A cluster as it will be drawn.
struct Made {
    node: Node,
    max_zoom: u8,
    min_zoom: u8,
}

/// Clusters the layer's single points and sets their least zooms; returns the clusters. Features of several points stay
/// as they are, at every zoom.
pub(super) fn clusters(
    features: &mut [Feature],
    order: &[u32],
    dictionary: &mut Dictionary,
    rule: &ClusterRule,
    max_zoom: u8,
) -> Vec<Feature> {
    features.iter_mut().filter(|feature| is_points(feature)).for_each(|feature| feature.min_zoom = 0);
    let Some(deepest) = max_zoom.checked_sub(1) else { return Vec::new() };
    let deepest = rule.max_zoom.unwrap_or(deepest).min(deepest);
    let mut hierarchy = Hierarchy::new(features, order, dictionary, rule);
    let mut nodes = hierarchy.leaves();
    for zoom in (0..=deepest).rev() {
        nodes = hierarchy.level(&nodes, zoom);
    }
    let Hierarchy { made, folded, taken_in, .. } = hierarchy;
    for (index, zoom) in taken_in {
        features[index as usize].min_zoom = zoom + 1;
    }
    let mut writer = Writer::new(dictionary, rule);
    let all = order.len() as u64;
    let each = made.iter().enumerate().map(|(index, made)| {
        let heart = &features[made.node.heart as usize];
        let mut folded = folded.iter().skip(index * rule.attributes.len());
        let values = rule.attributes.values().filter_map(|fold| folded.next().map(|f| f.value(*fold)));
        Feature {
            id: id(heart, made.max_zoom),
            tags: writer.tags(made.node.count, values),
            min_zoom: made.min_zoom,
            max_zoom: made.max_zoom,
            weight: weight(made.min_zoom, made.node.count, all),
            geometry: Geometry::Points(vec![made.node.place]),
        }
    });
    each.collect()
}

/// A cluster's id: that of the point at its heart and of the zoom where it forms, hashed. So it is the same in each
/// build as long as its heart is.
fn id(heart: &Feature, zoom: u8) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(b"cluster");
    hasher.update(&[zoom]);
    hasher.update(&heart.id.to_le_bytes());
    if let Geometry::Points(points) = &heart.geometry {
        points.iter().for_each(|point| {
            hasher.update(&point.x.to_le_bytes());
            hasher.update(&point.y.to_le_bytes());
        });
    }
    hasher.digest() >> (64 - ID_BITS)
}

struct Hierarchy<'a> {
    features: &'a [Feature],
    order: &'a [u32],
    values: &'a [Value],
    rule: &'a ClusterRule,
    /// The keys of the rule's attributes in the dictionary, where it has them.
    keys: Vec<Option<u32>>,
    made: Vec<Made>,
    /// For each cluster one for each of the rule's attributes.
    folded: Vec<Folded>,
    /// Points, and the zoom at which a cluster takes them in.
    taken_in: Vec<(u32, u8)>,
}

impl<'a> Hierarchy<'a> {
    fn new(
        features: &'a [Feature],
        order: &'a [u32],
        dictionary: &'a Dictionary,
        rule: &'a ClusterRule,
    ) -> Self {
        let key = |name: &String| {
            let index = dictionary.keys.iter().position(|key| **key == **name);
            index.and_then(|index| u32::try_from(index).ok())
        };
        let keys = rule.attributes.keys().map(key).collect();
        let values = &dictionary.values;
        Self {
            features,
            order,
            values,
            rule,
            keys,
            made: Vec::new(),
            folded: Vec::new(),
            taken_in: Vec::new(),
        }
    }

    /// The points, the most important first.
    fn leaves(&self) -> Vec<Node> {
        let leaf = |(heart, feature): (u32, &Feature)| match &feature.geometry {
            Geometry::Points(points) if points.len() == 1 => {
                let place = points[0];
                let (sum_x, sum_y) = (place.x.into(), place.y.into());
                Some(Node { place, sum_x, sum_y, count: 1, heart, cluster: None })
            }
            _ => None,
        };
        let mut leaves: Vec<_> = (0..).zip(self.features).filter_map(leaf).collect();
        leaves.sort_unstable_by_key(|leaf| self.order[leaf.heart as usize]);
        leaves
    }

    /// The nodes of a zoom, from those one zoom deeper.
    fn level(&mut self, nodes: &[Node], zoom: u8) -> Vec<Node> {
        let near = Near::new(nodes, world_units(self.rule.radius, zoom));
        let mut hearts: Vec<u32> = (0..).take(nodes.len()).collect();
        hearts.sort_unstable_by_key(|index| {
            let node = &nodes[*index as usize];
            (Reverse(node.count), self.order[node.heart as usize])
        });
        let mut gone = vec![false; nodes.len()];
        let mut next = Vec::new();
        let mut members = Vec::new();
        for heart in hearts {
            if gone[heart as usize] {
                continue;
            }
            near.each(nodes[heart as usize].place, |index| {
                if !gone[index as usize] && index != heart {
                    members.push(index);
                }
            });
            members.push(heart);
            let count: u64 = members.iter().map(|index| nodes[*index as usize].count).sum();
            if members.len() > 1 && count >= self.rule.min_points {
                members.iter().for_each(|index| gone[*index as usize] = true);
                next.push(self.join(members.iter().map(|index| &nodes[*index as usize]), zoom));
            } else {
                next.push(nodes[heart as usize]);
            }
            members.clear();
        }
        next
    }

    /// Makes one of several, the last of which is the heart.
    fn join<'n>(&mut self, members: impl Iterator<Item = &'n Node>, zoom: u8) -> Node {
        let start = self.folded.len();
        self.folded.resize_with(start + self.keys.len(), Folded::default);
        let mut all: Option<Node> = None;
        for member in members {
            self.take_in(member, zoom, start);
            all = Some(match all {
                None => *member,
                Some(sum) => Node {
                    sum_x: sum.sum_x + member.sum_x,
                    sum_y: sum.sum_y + member.sum_y,
                    count: sum.count + member.count,
                    ..*member
                },
            });
        }
        let mut node = all.unwrap_or_default();
        let middle =
            |sum: i64| i32::try_from(sum / i64::try_from(node.count.max(1)).unwrap_or(1)).unwrap_or(0);
        node.place = Point { x: middle(node.sum_x), y: middle(node.sum_y) };
        node.cluster = u32::try_from(self.made.len()).ok();
        self.made.push(Made { node, max_zoom: zoom, min_zoom: 0 });
        node
    }

    /// Ends a member's life at a zoom, and adds its attributes to those from `start` on.
    fn take_in(&mut self, member: &Node, zoom: u8, start: usize) {
        let Some(cluster) = member.cluster else {
            self.taken_in.push((member.heart, zoom));
            let tags = &self.features[member.heart as usize].tags;
            for (slot, (key, fold)) in self.keys.iter().zip(self.rule.attributes.values()).enumerate() {
                if let Some(tag) = tags.iter().find(|tag| Some(tag.0) == *key) {
                    self.folded[start + slot].add(*fold, &self.values[tag.1 as usize]);
                }
            }
            return;
        };
        self.made[cluster as usize].min_zoom = zoom + 1;
        for (slot, fold) in self.rule.attributes.values().enumerate() {
            let other = self.folded[cluster as usize * self.keys.len() + slot].clone();
            self.folded[start + slot].join(*fold, &other);
        }
    }
}

/// Nodes by the square they lie in, whose side is the radius: what is near lies in nine squares.
struct Near<'a> {
    nodes: &'a [Node],
    radius: i64,
    /// Row and column of the square, and the node; sorted, so that three neighbouring squares of a row are one range.
    squares: Vec<(i64, i64, u32)>,
}

impl<'a> Near<'a> {
    fn new(nodes: &'a [Node], radius: i64) -> Self {
        let square = |(index, node): (u32, &Node)| {
            (i64::from(node.place.y) / radius, i64::from(node.place.x) / radius, index)
        };
        let mut squares: Vec<_> = (0..).zip(nodes).map(square).collect();
        squares.sort_unstable();
        Self { nodes, radius, squares }
    }

    /// Visits the nodes within the radius around a place.
    fn each(&self, place: Point, mut visit: impl FnMut(u32)) {
        let (row, column) = (i64::from(place.y) / self.radius, i64::from(place.x) / self.radius);
        for row in row - 1..=row + 1 {
            let start = self.squares.partition_point(|square| *square < (row, column - 1, 0));
            let in_row =
                self.squares[start..].iter().take_while(|square| (square.0, square.1) <= (row, column + 1));
            for (_, _, index) in in_row {
                let other = self.nodes[*index as usize].place;
                let [dx, dy] =
                    [(other.x, place.x), (other.y, place.y)].map(|(a, b)| i64::from(a) - i64::from(b));
                if dx * dx + dy * dy <= self.radius * self.radius {
                    visit(*index);
                }
            }
        }
    }
}

/// Writes clusters' attributes into the layer's dictionary.
struct Writer<'a> {
    dictionary: &'a mut Dictionary,
    /// The numbers that the dictionary has.
    known: HashMap<Value, u32>,
    /// The keys of `cluster`, `point_count` and the rule's attributes.
    keys: Vec<u32>,
}

impl<'a> Writer<'a> {
    fn new(dictionary: &'a mut Dictionary, rule: &ClusterRule) -> Self {
        let known = (0..).zip(&dictionary.values).filter(|(_, value)| !matches!(value, Value::Text(_)));
        let known = known.map(|(index, value)| (value.clone(), index)).collect();
        let mut key = |name: &str| {
            let found = dictionary.keys.iter().position(|key| &**key == name);
            let index = found.unwrap_or_else(|| {
                dictionary.keys.push(name.into());
                dictionary.keys.len() - 1
            });
            u32::try_from(index).unwrap_or(u32::MAX)
        };
        let names = RESERVED.into_iter().chain(rule.attributes.keys().map(String::as_str));
        let keys = names.map(&mut key).collect();
        Self { dictionary, known, keys }
    }

    fn tags(&mut self, count: u64, values: impl Iterator<Item = Option<Value>>) -> Arc<[(u32, u32)]> {
        let ours = [Some(Value::Bool(true)), Some(Value::Natural(count))].into_iter();
        let mut tags = Vec::with_capacity(self.keys.len());
        for (index, value) in ours.chain(values).enumerate() {
            if let Some(value) = value {
                tags.push((self.keys[index], self.value(value)));
            }
        }
        tags.sort_by(|a, b| self.dictionary.keys[a.0 as usize].cmp(&self.dictionary.keys[b.0 as usize]));
        tags.into()
    }

    fn value(&mut self, value: Value) -> u32 {
        let values = &mut self.dictionary.values;
        *self.known.entry(value).or_insert_with_key(|value| {
            values.push(value.clone());
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
