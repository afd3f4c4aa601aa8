//! Which documents are open, and how to get into their rooms.
//!
//! A room begins when somebody joins and ends some time after the last has left. Whoever joins while it is being
//! loaded waits in its queue, so that a document is loaded once however many come at once.

use crate::Limits;
use crate::committer::Committer;
use crate::mailbox::{Answer, Mailbox};
use crate::metrics::{CountedRoom, Metrics, RoomState};
use crate::owners::Owners;
use crate::room::{Request, Room};
use crate::store::Store;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watersmeet_crdt::session::Code;

/// The way into a room.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) channel: u32,
    pub(crate) requests: mpsc::Sender<Request>,
}

/// The open rooms.
#[derive(Default)]
struct Open {
    doors: HashMap<Arc<str>, Door>,
    channels: HashSet<u32>,
    latest: u32,
}

/// What a room needs, and who has one. See the [module](self).
pub(crate) struct Rooms {
    limits: Arc<Limits>,
    store: Arc<dyn Store>,
    owners: Arc<Owners>,
    committer: Committer,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Mutex<Open>,
}

impl Rooms {
    pub(crate) fn new(
        limits: Arc<Limits>,
        store: Arc<dyn Store>,
        committer: Committer,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let owners = Owners::new(store.clone());
        Arc::new(Rooms { limits, store, owners, committer, metrics, stop, tasks, open: Mutex::default() })
    }

    /// The door of the room of `name`, which is opened if need be; none if there are too many rooms.
    pub(crate) fn door(self: &Arc<Self>, name: &str) -> Option<Door> {
        let mut open = self.open();
        if let Some(door) = open.doors.get(name) {
            return Some(door.clone());
        }
        if open.doors.len() >= self.limits.rooms {
            return None;
        }
        let name: Arc<str> = name.into();
        let (requests, queue) = mpsc::channel(self.limits.room_queue);
        let door = Door { channel: open.free_channel(), requests };
        open.doors.insert(name.clone(), door.clone());
        self.tasks.spawn(live(self.clone(), name, door.channel, queue));
        Some(door)
    }

    /// Forgets a room. Who comes from now on opens another.
    fn forget(&self, name: &str, channel: u32) {
        let mut open = self.open();
        open.doors.remove(name);
        open.channels.remove(&channel);
    }

    /// Forgets a room, unless somebody is on the way in.
    fn retire(&self, name: &str, channel: u32, queue: &mut mpsc::Receiver<Request>) -> bool {
        let mut open = self.open();
        if !queue.is_empty() {
            return false;
        }
        queue.close();
        open.doors.remove(name);
        open.channels.remove(&channel);
        true
    }

    /// A panic elsewhere does it no harm: every change to it is a single step.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// A number that no open room has. They are fewer than numbers by far.
    fn free_channel(&mut self) -> u32 {
        loop {
            self.latest = self.latest.wrapping_add(1);
            if self.channels.insert(self.latest) {
                return self.latest;
            }
        }
    }
}

/// The life of a room: load, serve, end.
async fn live(rooms: Arc<Rooms>, name: Arc<str>, channel: u32, mut queue: mpsc::Receiver<Request>) {
    let mut counted = rooms.metrics.room();
    let opened = Room::open(
        name.clone(),
        channel,
        rooms.limits.clone(),
        rooms.store.clone(),
        rooms.owners.clone(),
        rooms.committer.clone(),
        rooms.metrics.clone(),
    )
    .await;
    match opened {
        Ok(mut room) => {
            tracing::debug!(document = %name, channel, "room opened");
            if !serve(&rooms, &mut room, &name, channel, &mut queue, &mut counted).await {
                rooms.forget(&name, channel);
            }
        }
        Err(error) => {
            tracing::error!(document = %name, %error, "the document cannot be opened");
            rooms.forget(&name, channel);
        }
    }
    turn_away(&name, channel, queue).await;
    tracing::debug!(document = %name, channel, "room ended");
}

/// Serves until nobody has come for a while; false if the room was lost before.
async fn serve(
    rooms: &Rooms,
    room: &mut Room,
    name: &str,
    channel: u32,
    queue: &mut mpsc::Receiver<Request>,
    counted: &mut CountedRoom,
) -> bool {
    let mut batch = Vec::new();
    loop {
        counted.is(if room.is_empty() { RoomState::Idle } else { RoomState::Open });
        let idle = async {
            tokio::select! {
                () = tokio::time::sleep(rooms.limits.room_idle) => {}
                () = rooms.stop.cancelled() => {}
            }
        };
        tokio::select! {
            biased;
            () = room.mended() => room.ask_again(),
            _ = queue.recv_many(&mut batch, rooms.limits.room_batch) => {
                if room.serve(std::mem::take(&mut batch)).await.is_err() {
                    return false;
                }
            }
            () = idle, if room.is_empty() => {
                if rooms.retire(name, channel, queue) {
                    return true;
                }
            }
        }
    }
}

/// Answers those who were on the way in when the room ended.
async fn turn_away(name: &Arc<str>, channel: u32, mut queue: mpsc::Receiver<Request>) {
    queue.close();
    while let Some(request) = queue.recv().await {
        if let Request::Join { mailbox, .. } = request {
            turn_away_one(&mailbox, name.clone(), channel);
        }
    }
}

fn turn_away_one(mailbox: &Mailbox, name: Arc<str>, channel: u32) {
    let message = "the document cannot be read now".to_owned();
    mailbox.answer(Answer::Refused { name, channel, code: Code::Unavailable, message });
}
