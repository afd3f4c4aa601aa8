//! Keys that nobody knew beforehand, each with a record of one type.

use super::{Path, Record};
use crate::Document;
use crate::document::{Kind, MapView, Transaction};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A map from texts to records; a write below a key wins over a concurrent removal of the key.
///
/// It may hold handles as well as structs of them:
///
/// ```
/// use watersmeet_crdt::typed::{Map, Record, Register};
/// use watersmeet_crdt::{Document, ReplicaId, Time};
/// let heights: Map<Register<f64>> = Map::root();
/// let mut document = Document::new(ReplicaId::new(1));
/// document.edit(Time::from_millis(0), |tx| heights.get("Brocken").set(tx, 1_141.2))?;
/// for (name, height) in heights.iter(&document) {
///     assert_eq!((name, height.get(&document)?), ("Brocken", Some(1_141.2)));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Map<R> {
    path: Arc<Path>,
    holds: PhantomData<fn() -> R>,
}

// Without a bound on what it holds, a record may hold a map of its own kind.
impl<R> Record for Map<R> {
    fn at(path: Path) -> Self {
        Map { path: Arc::new(path), holds: PhantomData }
    }
}

impl<R: Record> Map<R> {
    /// The record under `key`, whether or not anything has been written there.
    pub fn get(&self, key: &str) -> R {
        R::at(Path::below(&self.path, key))
    }

    /// Whether a record stands under `key`.
    pub fn contains(&self, document: &Document, key: &str) -> bool {
        self.raw(document).is_some_and(|map| map.get(key, R::KIND).is_some())
    }

    /// The keys under which a record stands, in order. What others put there that is not of its kind is not counted.
    pub fn keys<'d>(&self, document: &'d Document) -> impl DoubleEndedIterator<Item = &'d str> + use<'d, R> {
        let names = self.raw(document).into_iter().flat_map(MapView::iter);
        names.filter_map(|(name, kind, _)| (kind == R::KIND).then_some(name))
    }

    /// The keys and their records, in order.
    pub fn iter<'d>(
        &self,
        document: &'d Document,
    ) -> impl DoubleEndedIterator<Item = (&'d str, R)> + use<'d, R> {
        let map = self.clone();
        self.keys(document).map(move |key| (key, map.get(key)))
    }

    /// Removes all that is known under `key`, of whatever kinds. What others are writing there meanwhile stays.
    pub fn remove(&self, tx: &mut Transaction, key: &str) {
        Path::below(&self.path, key).delete(tx);
    }

    /// What is there, without types.
    pub fn raw<'d>(&self, document: &'d Document) -> Option<MapView<'d>> {
        self.path.map(document)
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<R> Clone for Map<R> {
    fn clone(&self) -> Self {
        Map { path: Arc::clone(&self.path), holds: PhantomData }
    }
}

impl<R> fmt::Debug for Map<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", Kind::Map, self.path)
    }
}
