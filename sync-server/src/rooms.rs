//! Which documents are open, and how to get into their rooms.
//!
//! A room begins when somebody joins and ends some time after the last has left, or when too many are left open: a
//! document is *hot* while somebody has it open, *warm* while it stays in memory for who may come back, and *cold* on
//! the disk. Whoever joins while it is being loaded waits in its queue, so that a document is loaded once however many
//! come at once.

use crate::mailbox::{Answer, Mailbox};
use crate::metrics::{CountedRoom, RoomState};
use crate::room::{Needs, Request, Room};
use crate::store::Store;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use watersmeet_crdt::session::Code;

/// The way into a room.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) name: Arc<str>,
    pub(crate) channel: u32,
    pub(crate) requests: mpsc::Sender<Request>,
    /// Told when a warm room is to end.
    evicted: Arc<Notify>,
}

/// The open rooms.
#[derive(Default)]
struct Open {
    doors: HashMap<Arc<str>, Door>,
    channels: HashSet<u32>,
    latest: u32,
    warm: Warm,
    unreadable: Unreadable,
}

/// Documents that could not be opened, and why: whoever asks again and again for one is told each time, the log once.
#[derive(Default)]
struct Unreadable {
    told: HashMap<Arc<str>, String>,
}

/// Documents of which is remembered that the log has told of them. Beyond it all are forgotten.
const TOLD_MAX: usize = 1_000;

impl Unreadable {
    /// Whether the log has not told of it yet.
    fn is_news(&mut self, document: &Arc<str>, why: &str) -> bool {
        if self.told.get(document).is_some_and(|told| told == why) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(document.clone(), why.to_owned());
        true
    }
}

/// Rooms that nobody is in, in the order in which they were left.
#[derive(Default)]
struct Warm {
    rooms: BTreeMap<u64, Resting>,
    bytes: usize,
    next: u64,
}

struct Resting {
    bytes: usize,
    evicted: Arc<Notify>,
}

impl Warm {
    /// Adds a room; its place in the order.
    fn add(&mut self, resting: Resting) -> u64 {
        self.bytes += resting.bytes;
        self.next += 1;
        self.rooms.insert(self.next, resting);
        self.next
    }

    fn remove(&mut self, place: u64) {
        if let Some(resting) = self.rooms.remove(&place) {
            self.bytes -= resting.bytes;
        }
    }

    /// Ends the room that was left first; false if there is none.
    fn evict(&mut self) -> bool {
        let Some((_, resting)) = self.rooms.pop_first() else { return false };
        self.bytes -= resting.bytes;
        resting.evicted.notify_one();
        true
    }
}

/// What a room needs, and who has one. See the [module](self).
pub(crate) struct Rooms {
    needs: Needs,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Mutex<Open>,
}

impl Rooms {
    pub(crate) fn new(needs: Needs, stop: CancellationToken, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Rooms { needs, stop, tasks, open: Mutex::default() })
    }

    /// The door of the room of `name`, which is opened if need be; none if there are too many rooms.
    pub(crate) fn door(self: &Arc<Self>, name: &str) -> Option<Door> {
        let mut open = self.open();
        if let Some(door) = open.doors.get(name) {
            return Some(door.clone());
        }
        if open.doors.len() >= self.needs.limits.rooms && !open.warm.evict() {
            return None;
        }
        let name: Arc<str> = name.into();
        let (requests, queue) = mpsc::channel(self.needs.limits.room_queue);
        let door =
            Door { name: name.clone(), channel: open.free_channel(), requests, evicted: Arc::default() };
        open.doors.insert(name.clone(), door.clone());
        let span = tracing::debug_span!("document", document = &*name);
        let life = live(self.clone(), door.clone(), queue);
        self.tasks.spawn(life.instrument(span));
        Some(door)
    }

    /// Where documents are kept.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.needs.store
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

    /// Counts a room among the warm ones, of which the oldest end if they are too many; its place among them.
    fn rest(&self, bytes: usize, evicted: &Arc<Notify>) -> u64 {
        let mut open = self.open();
        let limits = &self.needs.limits;
        let place = open.warm.add(Resting { bytes, evicted: evicted.clone() });
        while open.warm.rooms.len() > limits.warm_documents || open.warm.bytes > limits.warm_bytes {
            open.warm.evict();
        }
        place
    }

    /// Counts a room among the warm ones no longer.
    fn wake(&self, place: u64) {
        self.open().warm.remove(place);
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
async fn live(rooms: Arc<Rooms>, door: Door, mut queue: mpsc::Receiver<Request>) {
    let mut counted = rooms.needs.metrics.room();
    let room = Room::open(&door, &rooms.needs).await;
    let Door { name, channel, evicted, .. } = door;
    match room {
        Ok(mut room) => {
            tracing::debug!(document = %name, channel, "room opened");
            rooms.open().unreadable.told.remove(&name);
            let serving = serve(&rooms, &mut room, (&name, channel), &evicted, &mut queue, &mut counted);
            match caught(serving).await {
                Ok(true) => {}
                Ok(false) => rooms.forget(&name, channel),
                // What is in memory may be half changed. Whoever comes from now on has it read from the store again.
                Err(_printed) => {
                    tracing::error!(document = %name, "a defect ended the document's task; it is loaded anew");
                    rooms.forget(&name, channel);
                    room.dismiss();
                }
            }
        }
        Err(error) => {
            if rooms.open().unreadable.is_news(&name, &error.to_string()) {
                tracing::error!(document = %name, %error, "the document cannot be opened");
            }
            rooms.forget(&name, channel);
        }
    }
    empty(&name, channel, queue).await;
    tracing::debug!(document = %name, channel, "room ended");
}

/// What a future ends with, or what it panicked with: so that no defect leaves behind a door that leads nowhere.
async fn caught<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Serves until nobody has come for a while; false if the room was lost before.
async fn serve(
    rooms: &Rooms,
    room: &mut Room,
    (name, channel): (&str, u32),
    evicted: &Arc<Notify>,
    queue: &mut mpsc::Receiver<Request>,
    counted: &mut CountedRoom,
) -> bool {
    let limits = &rooms.needs.limits;
    let (mut batch, mut appended) = (Vec::new(), Vec::new());
    loop {
        let empty = room.is_empty();
        counted.is(if empty { RoomState::Idle } else { RoomState::Open });
        let place = empty.then(|| rooms.rest(room.stored_bytes(), evicted));
        let idle = async {
            tokio::select! {
                () = tokio::time::sleep(limits.room_idle) => {}
                () = evicted.notified() => {}
                () = rooms.stop.cancelled() => {}
            }
        };
        let mut lost = false;
        let mut over = false;
        tokio::select! {
            () = rooms.needs.committer.sound(), if room.has_refused() => room.ask_again(),
            _ = room.appended(&mut appended) => {
                lost = room.take_in(std::mem::take(&mut appended)).await.is_err();
            }
            _ = queue.recv_many(&mut batch, limits.room_batch) => {
                lost = room.serve(std::mem::take(&mut batch)).await.is_err();
            }
            () = idle, if empty => over = rooms.retire(name, channel, queue),
        }
        if let Some(place) = place {
            rooms.wake(place);
        }
        if lost || over {
            return !lost;
        }
    }
}

/// Answers those who were on the way in when the room ended.
async fn empty(name: &Arc<str>, channel: u32, mut queue: mpsc::Receiver<Request>) {
    queue.close();
    while let Some(request) = queue.recv().await {
        if let Some((_, mailbox)) = request.arrival() {
            turn_away(&mailbox, name.clone(), channel);
        }
    }
}

/// Answers one who cannot come in.
pub(crate) fn turn_away(mailbox: &Mailbox, name: Arc<str>, channel: u32) {
    let message = "the document cannot be read now".to_owned();
    mailbox.answer(Answer::Refused { name, channel, code: Code::Unavailable, message });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_once_of_a_document_that_cannot_be_read() {
        let mut unreadable = Unreadable::default();
        let name: Arc<str> = "map".into();
        assert!(unreadable.is_news(&name, "damaged"));
        assert!(!unreadable.is_news(&name, "damaged"));
        assert!(unreadable.is_news(&name, "otherwise damaged"));
        for number in 0..10 * TOLD_MAX {
            unreadable.is_news(&number.to_string().into(), "damaged");
        }
        assert!(unreadable.told.len() <= TOLD_MAX);
    }
}
