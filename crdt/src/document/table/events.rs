//! The live events of an entry.

use crate::{Dot, Stamp, Value};

/// An event that is alive: that it happened, when, and what it said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) dot: Dot,
    /// For registers and elements of lists; else zero.
    pub(crate) stamp: Stamp,
    /// As the kind's [`Payload`] says; else null.
    pub(crate) value: Value,
}

impl Written {
    /// An event that says nothing but that it happened.
    pub(crate) fn bare(dot: Dot) -> Self {
        Written { dot, stamp: Stamp::default(), value: Value::Null }
    }
}

/// The live events of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Events<'a> {
    Dot(Dot),
    Written(&'a [Written]),
}

impl<'a> Events<'a> {
    pub(crate) fn dots(self) -> impl Iterator<Item = Dot> + 'a {
        let (one, many) = match self {
            Events::Dot(dot) => (Some(dot), &[][..]),
            Events::Written(written) => (None, written),
        };
        one.into_iter().chain(many.iter().map(|event| event.dot))
    }

    /// Those that say something.
    pub(crate) fn written(self) -> &'a [Written] {
        if let Events::Written(written) = self { written } else { &[] }
    }

    /// The winner: of the latest stamp, then of the greatest dot.
    pub(crate) fn winner(self) -> Option<&'a Written> {
        self.written().iter().max_by_key(|event| (event.stamp, event.dot))
    }
}
