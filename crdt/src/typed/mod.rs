//! Typed views: a document's shape written as a struct, and edited with compile-time types.
//!
//! A field is a *handle*: it knows its place in the document and what belongs there, and holds no data. It reads from
//! a [`Document`](crate::Document), and writes into a [`Transaction`](crate::document::Transaction). So one struct serves any number
//! of documents, and nothing is copied that is not asked for.
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use watersmeet_crdt::typed::{Counter, List, Map, OrSet, Record, Register};
//! use watersmeet_crdt::{Document, ReplicaId, Time};
//!
//! #[derive(Record)]
//! struct World { places: Map<Place> }
//!
//! #[derive(Record)]
//! struct Place {
//!     name: Register<String>,
//!     tags: OrSet<String>,
//!     votes: Counter,
//!     ring: List<[f64; 2]>,
//!     owner: Person, // a record in a record: keys under the key "owner"
//! }
//!
//! #[derive(Record)]
//! struct Person {
//!     #[record(key = "e-mail")] // otherwise the key is the field's name
//!     mail: Register<Option<String>>,
//! }
//!
//! let now = Time::from_millis(1_700_000_000_000);
//! let mill = World::root().places.get("mill");
//! let mut anna = Document::new(ReplicaId::new(1));
//! anna.edit(now, |tx| {
//!     mill.name.set(tx, "Old mill");
//!     mill.ring.splice(tx, 0, 0, [[13.3, 52.5], [13.5, 52.5], [13.4, 52.6]]);
//! })?;
//! let mut ben = Document::new(ReplicaId::new(2));
//! ben.apply(anna.since(ben.version()))?;
//!
//! // Apart: each moves a vertex of the same ring.
//! anna.edit(now, |tx| { mill.ring.replace(tx, 0, [13.2, 52.4]); mill.votes.add(tx, 1); })?;
//! ben.edit(now, |tx| { mill.ring.replace(tx, 1, [13.6, 52.4]); mill.owner.mail.set(tx, None); })?;
//!
//! // They meet.
//! anna.apply(ben.since(anna.version()))?;
//! ben.apply(anna.since(ben.version()))?;
//! assert_eq!(anna.hash(), ben.hash());
//! assert_eq!(mill.name.get(&ben)?.as_deref(), Some("Old mill"));
//! assert_eq!(mill.votes.get(&ben), 1);
//! assert_eq!(mill.owner.mail.get(&anna)?, Some(None)); // somebody wrote that there is none
//! let ring: Vec<[f64; 2]> = mill.ring.iter(&anna).collect::<Result<_, _>>()?;
//! assert_eq!(ring, [[13.2, 52.4], [13.6, 52.4], [13.4, 52.6]]);
//! assert_eq!(World::root().places.keys(&anna).collect::<Vec<_>>(), ["mill"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is written has to be of the handle's type:
//!
//! ```compile_fail,E0277
//! use watersmeet_crdt::document::Transaction;
//! use watersmeet_crdt::typed::Register;
//! fn name(tx: &mut Transaction, name: &Register<String>) {
//!     name.set(tx, 7);
//! }
//! ```
//!
//! # What others wrote
//! A type holds for who writes through it, and for nobody else. Where another peer wrote a value that this type cannot
//! read, that value is a [`Mismatch`], which names the place and carries the value: it is not dropped, not converted,
//! and no other value is read in its stead. Where they put another *kind* of thing under the same key, both stand, and
//! each handle sees its own. `raw` shows what is there without types, and [`Path::names`] leads to all else.
//!
//! # Cost
//! The handles of one record share the path to it, so that a visit to a record is one allocation for it, and one for
//! each record and map in it, whatever the number of its other fields. Reading through a handle allocates what the value itself needs: nothing for a number, an array of
//! numbers or an item's absence. Who would rather borrow a text reads `raw`.
//!
//! What is deliberately not here: a schema in the document, and validation of what arrives. A document takes whatever
//! its peers wrote, or replicas would differ.

mod handle;
mod map;
mod path;
mod value;

pub use handle::{Counter, Flag, Guard, List, OrSet, Register, RwSet};
pub use map::Map;
pub use path::Path;
pub use value::{FromValue, IntoValue, Mismatch};
#[cfg(feature = "derive")]
pub use watersmeet_crdt_derive::Record;

use crate::document::Kind;

/// What stands at a path: a handle, or a struct of them, each under a key of its own.
///
/// With the feature `derive`, structs derive it. It is short enough to be written by hand:
///
/// ```
/// use watersmeet_crdt::typed::{Counter, Path, Record, Register};
/// struct Place { name: Register<String>, votes: Counter }
///
/// impl Record for Place {
///     fn at(path: Path) -> Self {
///         let [name, votes] = path.fields(["name", "votes"]);
///         Place { name: Record::at(name), votes: Record::at(votes) }
///     }
/// }
/// assert_eq!(Place::at(Path::root().key("mill")).name.path().to_string(), "mill/name");
/// ```
///
/// # Derived
/// The key of a field is its name, or what `#[record(key = "…")]` says. Renaming a field without that leaves what was
/// written under the old name where it is.
///
/// Fields without names have no keys:
///
#[cfg_attr(feature = "derive", doc = "```compile_fail")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use watersmeet_crdt::typed::{Counter, Record};
/// #[derive(Record)]
/// struct Votes(Counter);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handle, nor a record of them",
    note = "a field is a `Register<…>`, `Counter`, `OrSet<…>`, `RwSet<…>`, `Flag`, `Guard`, `List<…>`, `Map<…>`, or a struct that derives `Record`"
)]
pub trait Record: Sized {
    /// The kind under whose name it stands: that of a handle; a map for a struct of several.
    const KIND: Kind = Kind::Map;

    /// What stands at `path`, whether or not anything has been written there.
    fn at(path: Path) -> Self;

    /// What is the whole of a document. Only a map of keys can be; an edit through another handle at the root is
    /// refused for its [empty path](crate::document::EditError::EmptyPath).
    fn root() -> Self {
        Self::at(Path::root())
    }
}
