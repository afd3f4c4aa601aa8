//! The section `[limits]`: every limit of the server by name.
//!
//! What each means is said where it is declared, `sync-server/src/limits.rs` and `crdt/src/session/limits.rs`, and in
//! `default.toml`. One that is declared there and not listed here does not compile; one that is listed here and is not in
//! `default.toml` fails a test.

use super::units::{Millis, Size, Span, Unit};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use watersmeet_crdt::session::Limits as Session;
use watersmeet_sync::{Limits as Held, Rate};

/// One line for a limit: its field, and its unit. Those of a part of the limits stand in that part.
macro_rules! limits {
    (
        own { $($own:ident: $own_unit:ty,)* }
        $($part:ident: $type:ident { $($(#[$in_part:meta])* $field:ident: $unit:ty,)* })*
    ) => {
        /// See the [module](self).
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Limits {
            $($($(#[$in_part])* $field: $unit,)*)*
            $($own: $own_unit,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                let held = Held::default();
                Limits {
                    $($($field: <$unit>::of(held.$part.$field),)*)*
                    $($own: <$own_unit>::of(held.$own),)*
                }
            }
        }

        impl Limits {
            /// As the server holds them.
            pub(crate) fn held(&self, drain: Duration) -> Held {
                Held {
                    $($part: $type { $($field: self.$field.raw(),)* },)*
                    $($own: self.$own.raw(),)*
                    drain,
                }
            }
        }
    };
}

limits! {
    own {
        connections: usize,
        sockets: usize,
        head: Span,
        stall: Span,
        answer_bytes: Size<u32>,
        connections_per_subject: usize,
        throttle: Span,
        document_bytes: Size<usize>,
        document_replicas: usize,
        measured: Span,
        presence_per_second: u32,
        rooms: usize,
        warm_documents: usize,
        warm_bytes: Size<usize>,
        room_queue: usize,
        room_batch: usize,
        inbound_bytes: Size<u32>,
        coming_bytes: Size<u32>,
        mailbox_bytes: Size<usize>,
        mailbox_deltas: usize,
        outgoing_bytes: Size<u32>,
        outbound_bytes: Size<usize>,
        messages_at_once: usize,
        bytes_at_once: Size<usize>,
        commit_queue: usize,
        commit_batch: usize,
        tail_deltas: usize,
        tail_bytes: Size<usize>,
        compact_queue: usize,
        room_idle: Span,
        renderings: usize,
        upload_bytes: Size<usize>,
        upload: Span,
        linger: Span,
        store_bytes: Size<u64>,
        health: Span,
        health_kept: Span,
        mend: Span,
        mend_max: Span,
    }
    session: Session {
        frame_bytes: Size<usize>,
        delta_bytes: Size<usize>,
        part_bytes: Size<usize>,
        documents: usize,
        name_bytes: Size<usize>,
        token_bytes: Size<usize>,
        presence_bytes: Size<usize>,
        #[serde(rename = "clock_skew")]
        clock_skew_millis: Millis,
        #[serde(rename = "handshake")]
        handshake_millis: Millis,
        #[serde(rename = "idle")]
        idle_millis: Millis,
    }
    edits: Rate {
        #[serde(rename = "edits_per_second")]
        per_second: u32,
        #[serde(rename = "edits_burst")]
        burst: u32,
    }
}
