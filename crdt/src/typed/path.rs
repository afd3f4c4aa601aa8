//! Where a handle stands: a chain of keys that handles share.

use crate::Document;
use crate::document::{Kind, MapView, Transaction, View};
use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// The keys from a document's root to a handle.
///
/// It is cheap to clone, and the paths of what stands in one map share the path of the map.
///
/// ```
/// use watersmeet_crdt::typed::Path;
/// let name = Path::root().key("mill").key("name");
/// assert_eq!(name.names(), ["mill", "name"]);
/// assert_eq!(name.to_string(), "mill/name");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Path(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Root,
    Key { above: Arc<Path>, name: CompactString },
}

impl Path {
    /// The path without keys.
    pub const fn root() -> Self {
        Path(Place::Root)
    }

    /// The path of `name` in the map at this path.
    pub fn key(self, name: &str) -> Self {
        Path::below(&Arc::new(self), name)
    }

    /// The paths of several names in the map at this path, at one allocation for all.
    pub fn fields<const N: usize>(self, names: [&'static str; N]) -> [Path; N] {
        let above = Arc::new(self);
        names.map(|name| Path(Place::Key { above: Arc::clone(&above), name: CompactString::const_new(name) }))
    }

    pub(super) fn below(above: &Arc<Path>, name: &str) -> Self {
        Path(Place::Key { above: Arc::clone(above), name: name.into() })
    }

    /// The keys, from the root on: what the untyped methods of a document take, and a change event's path is equal to.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut path = self;
        while let Place::Key { above, name } = &path.0 {
            names.push(name.as_str());
            path = above;
        }
        names.reverse();
        names
    }

    /// What stands here, of a kind.
    pub fn view<'d>(&self, document: &'d Document, kind: Kind) -> Option<View<'d>> {
        match &self.0 {
            Place::Root => (kind == Kind::Map).then(|| View::Map(document.root())),
            Place::Key { above, name } => above.map(document)?.get(name, kind),
        }
    }

    pub(super) fn map<'d>(&self, document: &'d Document) -> Option<MapView<'d>> {
        match &self.0 {
            Place::Root => Some(document.root()),
            Place::Key { above, name } => above.map(document)?.map(name),
        }
    }

    /// Removes all that is known here, of whatever kinds.
    pub fn delete(&self, tx: &mut Transaction) {
        tx.delete(&self.names());
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join("/"))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
