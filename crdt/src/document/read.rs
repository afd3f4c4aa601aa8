//! Reading: views that borrow the document, and shortcuts by path.

use super::Document;
use super::change::{is_in, sum};
use super::kind::Kind;
use super::table::{Id, ROOT, Table};
use crate::Value;

/// What stands under a key.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// A register.
    Register(RegisterView<'a>),
    /// A counter's value.
    Counter(i64),
    /// A set, add-wins or remove-wins.
    Set(SetView<'a>),
    /// A map.
    Map(MapView<'a>),
    /// Whether a flag, or a guard, is up.
    Flag(bool),
    /// A list.
    List(ListView<'a>),
}

/// An entry of a document.
#[derive(Clone, Copy)]
struct At<'a> {
    table: &'a Table,
    id: Id,
}

impl std::fmt::Debug for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {}", self.id)
    }
}

/// A map of a document.
#[derive(Clone, Copy, Debug)]
pub struct MapView<'a>(At<'a>);

/// A register of a document.
#[derive(Clone, Copy, Debug)]
pub struct RegisterView<'a>(At<'a>);

/// A set of a document.
#[derive(Clone, Copy, Debug)]
pub struct SetView<'a>(At<'a>);

/// A list of a document.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a>(At<'a>);

impl<'a> At<'a> {
    fn children(self) -> impl DoubleEndedIterator<Item = At<'a>> + ExactSizeIterator + Clone + 'a {
        let table = self.table;
        table.ordered(self.id).iter().map(move |id| At { table, id: *id })
    }

    fn name(self) -> &'a Value {
        &self.table.entry(self.id).name
    }

    fn view(self) -> View<'a> {
        let events = self.table.events(self.id);
        match self.table.entry(self.id).kind {
            Kind::Register => View::Register(RegisterView(self)),
            Kind::Counter => View::Counter(sum(events)),
            Kind::Set | Kind::RwSet => View::Set(SetView(self)),
            Kind::Map => View::Map(MapView(self)),
            Kind::Flag => View::Flag(events.dots().next().is_some()),
            Kind::Guard => View::Flag(events.dots().next().is_none()),
            Kind::List => View::List(ListView(self)),
        }
    }

    fn below(self, kind: Kind, name: &str) -> Option<At<'a>> {
        let At { table, id } = self;
        table.find(id, kind, super::table::Name::Text(name)).map(|id| At { table, id })
    }
}

impl<'a> MapView<'a> {
    /// How many keys there are, counting a name once for each kind that stands under it.
    pub fn len(self) -> usize {
        self.0.table.children(self.0.id).len()
    }

    /// Whether there are none, which only the root is without having been removed.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Names, kinds, and what stands there: by name, then by kind.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (&'a str, Kind, View<'a>)> + ExactSizeIterator + 'a {
        self.0.children().map(|at| (at.text(), at.table.entry(at.id).kind, at.view()))
    }

    /// What stands under a name, of a kind.
    pub fn get(self, name: &str, kind: Kind) -> Option<View<'a>> {
        self.0.below(kind, name).map(At::view)
    }

    /// The map under a name.
    pub fn map(self, name: &str) -> Option<MapView<'a>> {
        self.0.below(Kind::Map, name).map(MapView)
    }

    /// The register under a name.
    pub fn register(self, name: &str) -> Option<RegisterView<'a>> {
        self.0.below(Kind::Register, name).map(RegisterView)
    }

    /// The list under a name.
    pub fn list(self, name: &str) -> Option<ListView<'a>> {
        self.0.below(Kind::List, name).map(ListView)
    }

    /// The add-wins set under a name.
    pub fn set(self, name: &str) -> Option<SetView<'a>> {
        self.0.below(Kind::Set, name).map(SetView)
    }

    /// The value of the counter under a name.
    pub fn counter(self, name: &str) -> i64 {
        self.0.below(Kind::Counter, name).map_or(0, |at| sum(at.table.events(at.id)))
    }
}

impl<'a> At<'a> {
    fn text(self) -> &'a str {
        self.name().text().unwrap_or_default()
    }
}

impl<'a> RegisterView<'a> {
    /// The winner among the concurrent values: that of the latest stamp, then of the greatest replica.
    pub fn get(self) -> Option<&'a Value> {
        self.0.table.events(self.0.id).winner().map(|event| &event.value)
    }

    /// The concurrent values that did not win, by replica.
    pub fn conflicts(self) -> impl Iterator<Item = &'a Value> + 'a {
        let events = self.0.table.events(self.0.id);
        let winner = events.winner().map(|event| event.dot);
        let others = events.written().iter().filter(move |event| Some(event.dot) != winner);
        others.map(|event| &event.value)
    }
}

impl<'a> SetView<'a> {
    /// The items, in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.0.children().filter(|at| at.is_item()).map(At::name)
    }

    /// Whether an item is in it.
    pub fn contains(self, item: &Value) -> bool {
        let At { table, id } = self.0;
        table.find(id, table.entry(id).kind, item).is_some_and(|id| At { table, id }.is_item())
    }

    /// How many items are in it.
    pub fn len(self) -> usize {
        match self.0.table.entry(self.0.id).kind {
            Kind::RwSet => self.iter().count(),
            _ => self.0.table.children(self.0.id).len(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl At<'_> {
    fn is_item(&self) -> bool {
        self.table.entry(self.id).kind == Kind::Set || is_in(self.table.events(self.id))
    }
}

impl<'a> ListView<'a> {
    /// How many elements there are.
    pub fn len(self) -> usize {
        self.0.table.children(self.0.id).len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements, in order: of each the winner, if there were concurrent writes.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a Value> + 'a {
        self.0.children().filter_map(|at| RegisterView(at).get())
    }

    /// The element at an index.
    pub fn get(self, index: usize) -> Option<RegisterView<'a>> {
        let At { table, id } = self.0;
        table.ordered(id).get(index).map(|id| RegisterView(At { table, id: *id }))
    }
}

impl Document {
    /// The tree.
    pub fn root(&self) -> MapView<'_> {
        MapView(At { table: &self.table, id: ROOT })
    }

    /// What stands at `path`, of a kind.
    pub fn get(&self, path: &[&str], kind: Kind) -> Option<View<'_>> {
        self.at(path, kind).map(At::view)
    }

    /// The map at `path`; the root for an empty path.
    pub fn map(&self, path: &[&str]) -> Option<MapView<'_>> {
        path.iter().try_fold(self.root(), |map, name| map.map(name))
    }

    /// The value of the register at `path`: the winner, if there were concurrent writes.
    pub fn register(&self, path: &[&str]) -> Option<&Value> {
        self.at(path, Kind::Register).and_then(|at| RegisterView(at).get())
    }

    /// The concurrent values of the register at `path` that did not win.
    pub fn conflicts(&self, path: &[&str]) -> Vec<&Value> {
        self.at(path, Kind::Register).map(|at| RegisterView(at).conflicts().collect()).unwrap_or_default()
    }

    /// The value of the counter at `path`; 0 if there is none.
    pub fn counter(&self, path: &[&str]) -> i64 {
        self.at(path, Kind::Counter).map_or(0, |at| sum(at.table.events(at.id)))
    }

    /// The items of the add-wins set at `path`, in order.
    pub fn items(&self, path: &[&str]) -> Vec<&Value> {
        self.at(path, Kind::Set).map(|at| SetView(at).iter().collect()).unwrap_or_default()
    }

    /// The items of the remove-wins set at `path`, in order.
    pub fn rw_items(&self, path: &[&str]) -> Vec<&Value> {
        self.at(path, Kind::RwSet).map(|at| SetView(at).iter().collect()).unwrap_or_default()
    }

    /// The elements of the list at `path`, in order.
    pub fn list(&self, path: &[&str]) -> Vec<&Value> {
        self.at(path, Kind::List).map(|at| ListView(at).iter().collect()).unwrap_or_default()
    }

    /// Whether the flag at `path` is up.
    pub fn is_raised(&self, path: &[&str]) -> bool {
        self.at(path, Kind::Flag).is_some()
    }

    /// Whether the guard at `path` is up, as it is until somebody lowers it.
    pub fn is_guarded(&self, path: &[&str]) -> bool {
        self.at(path, Kind::Guard).is_none()
    }

    /// The names of the keys of the map at `path`, in order, each once.
    pub fn keys(&self, path: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.map(path).into_iter().flat_map(MapView::iter).map(|(name, ..)| name).collect();
        names.dedup();
        names
    }

    pub(super) fn list_len(&self, path: &[&str]) -> usize {
        self.at(path, Kind::List).map_or(0, |at| ListView(at).len())
    }

    fn at(&self, path: &[&str], kind: Kind) -> Option<At<'_>> {
        let (last, above) = path.split_last()?;
        self.map(above)?.0.below(kind, last)
    }
}
