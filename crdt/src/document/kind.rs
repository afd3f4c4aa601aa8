//! What can stand under a key.

/// The kinds of value that can stand under a key.
///
/// The kind is part of the key, so that two peers who create a map and a set under one name at once lose neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A value that is written as a whole; concurrent writes are kept.
    Register,
    /// A number that is added to.
    Counter,
    /// A set of values; adding wins over a concurrent removal.
    Set,
    /// More keys; a write below a key wins over a concurrent removal of the key.
    Map,
    /// A set of values in which a removal wins over a concurrent addition.
    RwSet,
    /// A flag that is down until somebody raises it; raising wins.
    Flag,
    /// A flag that is up until somebody lowers it; lowering wins.
    Guard,
    /// A list of values, in an order that concurrent insertions do not disturb.
    List,
}

impl Kind {
    /// Every kind, in order; a kind's number on the wire is its place here.
    pub const ALL: [Kind; 8] = [
        Kind::Register,
        Kind::Counter,
        Kind::Set,
        Kind::Map,
        Kind::RwSet,
        Kind::Flag,
        Kind::Guard,
        Kind::List,
    ];

    /// Whether it is made of further entries: keys, items or elements.
    pub(crate) fn is_container(self) -> bool {
        matches!(self, Kind::Set | Kind::Map | Kind::RwSet | Kind::List)
    }

    /// What its events say, or those of its items.
    pub(crate) fn payload(self) -> Payload {
        match self {
            Kind::Register | Kind::List => Payload::Written,
            Kind::Counter => Payload::Subtotal,
            Kind::RwSet => Payload::Mark,
            Kind::Set | Kind::Flag | Kind::Guard | Kind::Map => Payload::Nothing,
        }
    }
}

/// What an event says beside having happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A value, and when it was written.
    Written,
    /// What its replica has counted, as [`Value::Int`](crate::Value::Int).
    Subtotal,
    /// Whether an item was added or removed, as [`Value::Bool`](crate::Value::Bool).
    Mark,
    /// Nothing.
    Nothing,
}
