//! The handles of all that is not a map.

use super::{FromValue, IntoValue, Mismatch, Path, Record};
use crate::document::{Kind, ListView, RegisterView, SetView, Transaction, View};
use crate::{Document, Value};
use std::fmt;
use std::marker::PhantomData;

/// A handle is a path, and the type of what it reads, if it reads values.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident $(<$item:ident>)?) => {
        $(#[$doc])*
        pub struct $name $(<$item>)? {
            path: Path,
            $(holds: PhantomData<fn() -> $item>,)?
        }

        impl $(<$item: FromValue>)? Record for $name $(<$item>)? {
            const KIND: Kind = kind!($name);

            fn at(path: Path) -> Self {
                $name { path, $(holds: PhantomData::<fn() -> $item>)? }
            }
        }

        impl $(<$item>)? $name $(<$item>)? {
            /// Where it stands.
            pub fn path(&self) -> &Path {
                &self.path
            }

            /// Removes all that is known under its key, of whatever kinds. What others are writing there meanwhile
            /// stays.
            pub fn delete(&self, tx: &mut Transaction) {
                self.path.delete(tx);
            }
        }

        impl $(<$item>)? Clone for $name $(<$item>)? {
            fn clone(&self) -> Self {
                $name { path: self.path.clone(), $(holds: PhantomData::<fn() -> $item>)? }
            }
        }

        impl $(<$item>)? fmt::Debug for $name $(<$item>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?} at {:?}", kind!($name), self.path)
            }
        }
    };
}

macro_rules! kind {
    (OrSet) => {
        Kind::Set
    };
    ($name:ident) => {
        Kind::$name
    };
}

handle! {
    /// A value that is written as a whole. Of concurrent writes all are kept, and one is read.
    Register<T>
}

impl<T: FromValue> Register<T> {
    /// The value, the winner if there were concurrent writes; none if nothing was written.
    ///
    /// # Errors
    /// If the winner is not a `T`. The others are not read in its stead.
    pub fn get(&self, document: &Document) -> Result<Option<T>, Mismatch> {
        self.raw(document).and_then(RegisterView::get).map(|value| self.path.read(value)).transpose()
    }

    /// The concurrent values that did not win, by replica.
    pub fn conflicts<'d>(
        &self,
        document: &'d Document,
    ) -> impl Iterator<Item = Result<T, Mismatch>> + use<'d, T> {
        let path = self.path.clone();
        let values = self.raw(document).into_iter().flat_map(RegisterView::conflicts);
        values.map(move |value| path.read(value))
    }

    /// Writes it; with that, the conflicts known by then are resolved.
    pub fn set(&self, tx: &mut Transaction, value: impl IntoValue<T>) {
        tx.set(&self.path.names(), value.into_value());
    }

    /// What is there, without types.
    pub fn raw<'d>(&self, document: &'d Document) -> Option<RegisterView<'d>> {
        match self.path.view(document, Kind::Register)? {
            View::Register(register) => Some(register),
            _ => None,
        }
    }
}

handle! {
    /// A number that is added to.
    Counter
}

impl Counter {
    /// What has been counted; 0 if nothing was.
    pub fn get(&self, document: &Document) -> i64 {
        match self.path.view(document, Kind::Counter) {
            Some(View::Counter(value)) => value,
            _ => 0,
        }
    }

    /// Adds `by`, which may be negative.
    pub fn add(&self, tx: &mut Transaction, by: i64) {
        tx.increment(&self.path.names(), by);
    }
}

handle! {
    /// A set in which an addition wins over a concurrent removal.
    OrSet<T>
}

handle! {
    /// A set in which a removal wins over a concurrent addition.
    RwSet<T>
}

/// Two sets that differ in who wins.
macro_rules! set {
    ($name:ident, $insert:ident, $remove:ident) => {
        impl<T: FromValue> $name<T> {
            /// The items, in the order of their values.
            pub fn iter<'d>(
                &self,
                document: &'d Document,
            ) -> impl DoubleEndedIterator<Item = Result<T, Mismatch>> + use<'d, T> {
                let path = self.path.clone();
                let items = self.raw(document).into_iter().flat_map(SetView::iter);
                items.map(move |item| path.read(item))
            }

            /// Whether an item is in it, as the value that [`insert`](Self::insert) would write.
            pub fn contains(&self, document: &Document, item: impl IntoValue<T>) -> bool {
                self.raw(document).is_some_and(|set| set.contains(&item.into_value()))
            }

            /// How many items are in it, of whatever types.
            pub fn len(&self, document: &Document) -> usize {
                self.raw(document).map_or(0, SetView::len)
            }

            /// Whether nothing is in it.
            pub fn is_empty(&self, document: &Document) -> bool {
                self.len(document) == 0
            }

            /// Adds an item.
            pub fn insert(&self, tx: &mut Transaction, item: impl IntoValue<T>) {
                tx.$insert(&self.path.names(), item.into_value());
            }

            /// Removes an item.
            pub fn remove(&self, tx: &mut Transaction, item: impl IntoValue<T>) {
                tx.$remove(&self.path.names(), item.into_value());
            }

            /// What is there, without types.
            pub fn raw<'d>(&self, document: &'d Document) -> Option<SetView<'d>> {
                match self.path.view(document, kind!($name))? {
                    View::Set(set) => Some(set),
                    _ => None,
                }
            }
        }
    };
}

set!(OrSet, insert, remove);
set!(RwSet, include, exclude);

handle! {
    /// A flag that is down until somebody raises it; raising wins over a concurrent lowering.
    Flag
}

impl Flag {
    /// Whether it is up.
    pub fn is_up(&self, document: &Document) -> bool {
        matches!(self.path.view(document, Kind::Flag), Some(View::Flag(true)))
    }

    /// Raises it.
    pub fn raise(&self, tx: &mut Transaction) {
        tx.flag(&self.path.names(), true);
    }

    /// Lowers it.
    pub fn lower(&self, tx: &mut Transaction) {
        tx.flag(&self.path.names(), false);
    }
}

handle! {
    /// A flag that is up until somebody lowers it; lowering wins over a concurrent raising.
    Guard
}

impl Guard {
    /// Whether it is up.
    pub fn is_up(&self, document: &Document) -> bool {
        !matches!(self.path.view(document, Kind::Guard), Some(View::Flag(false)))
    }

    /// Raises it.
    pub fn raise(&self, tx: &mut Transaction) {
        tx.guard(&self.path.names(), true);
    }

    /// Lowers it.
    pub fn lower(&self, tx: &mut Transaction) {
        tx.guard(&self.path.names(), false);
    }
}

handle! {
    /// A list whose elements merge one by one, in an order that concurrent insertions do not disturb.
    List<T>
}

impl<T: FromValue> List<T> {
    /// The elements, in order: of each the winner, if there were concurrent writes.
    pub fn iter<'d>(
        &self,
        document: &'d Document,
    ) -> impl DoubleEndedIterator<Item = Result<T, Mismatch>> + use<'d, T> {
        let path = self.path.clone();
        let elements = self.raw(document).into_iter().flat_map(ListView::iter);
        elements.map(move |element| path.read(element))
    }

    /// The element at `index`, the winner if there were concurrent writes; none beyond the end.
    ///
    /// # Errors
    /// If it is not a `T`.
    pub fn get(&self, document: &Document, index: usize) -> Result<Option<T>, Mismatch> {
        self.element(document, index)
            .and_then(RegisterView::get)
            .map(|value| self.path.read(value))
            .transpose()
    }

    /// The concurrent values of the element at `index` that did not win, by replica.
    pub fn conflicts<'d>(
        &self,
        document: &'d Document,
        index: usize,
    ) -> impl Iterator<Item = Result<T, Mismatch>> + use<'d, T> {
        let path = self.path.clone();
        let values = self.element(document, index).into_iter().flat_map(RegisterView::conflicts);
        values.map(move |value| path.read(value))
    }

    fn element<'d>(&self, document: &'d Document, index: usize) -> Option<RegisterView<'d>> {
        self.raw(document)?.get(index)
    }

    /// How many elements there are, of whatever types.
    pub fn len(&self, document: &Document) -> usize {
        self.raw(document).map_or(0, ListView::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self, document: &Document) -> bool {
        self.len(document) == 0
    }

    /// From `index` on, removes `remove` elements and inserts others there. Indexes count on what the transaction has
    /// done before; one beyond the end makes the edit refused.
    pub fn splice<V: IntoValue<T>>(
        &self,
        tx: &mut Transaction,
        index: usize,
        remove: usize,
        insert: impl IntoIterator<Item = V>,
    ) {
        tx.splice(&self.path.names(), index, remove, insert.into_iter().map(V::into_value));
    }

    /// Inserts an element before the one at `index`.
    pub fn insert(&self, tx: &mut Transaction, index: usize, element: impl IntoValue<T>) {
        self.splice(tx, index, 0, [element]);
    }

    /// Removes the element at `index`.
    pub fn remove(&self, tx: &mut Transaction, index: usize) {
        tx.splice::<Value>(&self.path.names(), index, 1, []);
    }

    /// Writes the element at `index`, in its place: who moves another one meanwhile keeps that.
    pub fn replace(&self, tx: &mut Transaction, index: usize, element: impl IntoValue<T>) {
        tx.replace(&self.path.names(), index, element.into_value());
    }

    /// What is there, without types.
    pub fn raw<'d>(&self, document: &'d Document) -> Option<ListView<'d>> {
        match self.path.view(document, Kind::List)? {
            View::List(list) => Some(list),
            _ => None,
        }
    }
}
