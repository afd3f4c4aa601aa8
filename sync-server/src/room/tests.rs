use super::*;
use crate::access::Access;
use crate::hub::Hub;
use crate::mailbox::{Capacity, Letters};
use crate::rooms::Door;
use crate::store::{Saved, Sqlite};
use crate::{Config, Server};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use watersmeet_crdt::session::{Frame, Input, Limits as SessionLimits, Output, PROTOCOL, Session, Token};
use watersmeet_crdt::{ReplicaId, Time};

pub(super) const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A session whose peer has asked for the document and was granted it.
fn session(channel: u32) -> Session {
    let mut session = Session::listen(NOW, ReplicaId::new(1), SessionLimits::default());
    let hello = Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(2), token: Token::default() };
    let open = Frame::Open { name: "map", version: VersionVector::default() };
    for frame in [hello, open] {
        session.handle(NOW, Input::Frame(&frame.encode())).unwrap();
    }
    session.accept("map", channel, VersionVector::default(), VersionVector::default());
    while !matches!(session.poll(), Output::Wait(_)) {}
    session
}

/// What is posted next.
pub(super) async fn letters(mailbox: &Mailbox) -> Letters {
    let posted = tokio::time::timeout(Duration::from_secs(60), mailbox.posted());
    posted.await.expect("something is posted");
    mailbox.take()
}

/// Has a guest join a room; where its post comes.
async fn join(hub: &Hub, door: &Door, number: u64) -> Arc<Mailbox> {
    let capacity = Capacity { bytes: 1_000, deltas: 8 };
    let mailbox = Arc::new(Mailbox::new(capacity, hub.metrics.queue_drops.clone()));
    let (guest, has) = (GuestId(number), VersionVector::default());
    door.requests.send(Request::Join { guest, mailbox: mailbox.clone(), has }).await.unwrap();
    assert!(matches!(letters(&mailbox).await.answers[..], [Answer::Opened { .. }]));
    mailbox
}

/// The first edit of a replica, brought by a guest.
async fn edit(hub: &Hub, guest: u64, author: Option<&str>) -> Edit {
    let mut document = Document::new(ReplicaId::new(2));
    document.edit(NOW, |tx| tx.set(&["mill"], "old")).unwrap();
    let delta = document.since(&VersionVector::default());
    Edit {
        guest: GuestId(guest),
        author: author.map(Subject::new),
        bytes: delta.encode(),
        delta: Box::new(delta),
        came: Arrival::now(GuestId(guest), "map", 0),
        permit: hub.inbound.clone().acquire_many_owned(1).await.unwrap(),
    }
}

/// A server of its own, and where it keeps its documents.
fn server(name: &str) -> (Server, std::path::PathBuf) {
    server_with(name, Limits::default())
}

pub(super) fn server_with(name: &str, limits: Limits) -> (Server, std::path::PathBuf) {
    let folder = std::env::temp_dir().join(format!("watersmeet-room-{name}-{}", std::process::id()));
    let config = Config { limits, ..Config::new(&folder, Access::open()) };
    (Server::open(config).unwrap(), folder)
}

/// A defect in one document's task ends that task: who is in the room is told to connect again, the others notice
/// nothing, and whoever comes next finds what was committed.
#[tokio::test]
async fn a_panic_in_a_room_harms_no_other_and_leaves_no_dead_document() {
    let (server, folder) = server("panic");
    let hub = server.hub.clone();
    let (door, other) = (hub.rooms.door("map").unwrap(), hub.rooms.door("other").unwrap());
    let (mailbox, neighbour) = (join(&hub, &door, 1).await, join(&hub, &other, 2).await);
    door.requests.send(Request::Edit(edit(&hub, 1, None).await)).await.unwrap();
    assert_eq!(letters(&mailbox).await.acks.len(), 1);
    door.requests.send(Request::Panic).await.unwrap();
    assert!(matches!(letters(&mailbox).await.end, Some((Code::Unavailable, _))));

    let again = hub.rooms.door("map").unwrap();
    assert_ne!(again.channel, door.channel);
    let mailbox = join(&hub, &again, 3).await;
    let (guest, has) = (GuestId(3), VersionVector::default());
    again.requests.send(Request::CatchUp { guest, has }).await.unwrap();
    let answers = letters(&mailbox).await.answers;
    let [Answer::CaughtUp(group)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(group.to.seq(ReplicaId::new(2)), 1, "what was committed is there");
    other.requests.send(Request::Edit(edit(&hub, 2, None).await)).await.unwrap();
    assert_eq!(letters(&neighbour).await.acks.len(), 1);
    for (door, number) in [(&again, 3), (&other, 2)] {
        door.requests.send(Request::Leave { guest: GuestId(number) }).await.unwrap();
    }
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// Whoever opens a document again is not told what was refused before.
#[tokio::test]
async fn what_was_refused_is_forgotten_when_the_document_is_left() {
    let (server, folder) = server("refused");
    let hub = server.hub.clone();
    let door = hub.rooms.door("map").unwrap();
    let (anna, ben) = (join(&hub, &door, 1).await, join(&hub, &door, 2).await);
    door.requests.send(Request::Edit(edit(&hub, 1, Some("anna")).await)).await.unwrap();
    assert_eq!(letters(&anna).await.acks.len(), 1);
    assert_eq!(letters(&ben).await.deltas.len(), 1);
    // A second of her events, but brought by him.
    let mut document = Document::new(ReplicaId::new(2));
    document.edit(NOW, |tx| tx.set(&["mill"], "old")).unwrap();
    document.edit(NOW, |tx| tx.set(&["mill"], "new")).unwrap();
    let delta = document.since(&VersionVector::default());
    let forged = Edit { bytes: delta.encode(), delta: Box::new(delta), ..edit(&hub, 2, Some("ben")).await };
    door.requests.send(Request::Edit(forged)).await.unwrap();
    let settle = async || {
        let (settled, done) = oneshot::channel();
        door.requests.send(Request::Settle { settled }).await.unwrap();
        done.await.unwrap();
    };
    settle().await;
    door.requests.send(Request::Leave { guest: GuestId(2) }).await.unwrap();
    settle().await;
    assert!(ben.take().refused.is_empty(), "it is told in a document that it has left");
    let ben = join(&hub, &door, 2).await;
    settle().await;
    assert!(ben.take().refused.is_empty());
    for guest in [1, 2] {
        door.requests.send(Request::Leave { guest: GuestId(guest) }).await.unwrap();
    }
    drop(door);
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// Two receivers hand their sockets the same bytes, not equal ones: to encode a frame for each would cost more than all
/// the rest of a delivery.
#[tokio::test]
async fn an_edit_is_encoded_once_however_many_receive_it() {
    let (server, folder) = server("once");
    let hub = server.hub.clone();
    let door = hub.rooms.door("map").unwrap();
    let mut mailboxes = Vec::new();
    for number in 0..3 {
        mailboxes.push(join(&hub, &door, number).await);
    }
    door.requests.send(Request::Edit(edit(&hub, 0, None).await)).await.unwrap();

    let mut sent = Vec::new();
    for mailbox in &mailboxes[1..] {
        let group = letters(mailbox).await.deltas.pop_front().expect("a delta");
        let mut session = session(group.channel);
        assert!(session.send_encoded(
            group.channel,
            &group.from,
            &group.to,
            group.frame.clone(),
            &group.packed
        ));
        let Output::Send(frame) = session.poll() else { panic!("nothing is sent") };
        sent.push(frame);
    }
    assert!(matches!(Frame::decode(&sent[0]), Some(Frame::Delta { .. })));
    assert_eq!(sent[0].as_ptr(), sent[1].as_ptr());
    for number in 0..3 {
        door.requests.send(Request::Leave { guest: GuestId(number) }).await.unwrap();
    }
    drop(door);
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// Has two guests ask to come in, right after `first`: both are told that they cannot.
async fn turned_away_after(hub: &Hub, door: &Door, first: Request) {
    let capacity = Capacity { bytes: 1_000, deltas: 8 };
    let mailbox = || Arc::new(Mailbox::new(capacity, hub.metrics.queue_drops.clone()));
    let (joins, follows) = (mailbox(), mailbox());
    let arrivals = [
        first,
        Request::Join { guest: GuestId(2), mailbox: joins.clone(), has: VersionVector::default() },
        Request::Follow { guest: GuestId(3), mailbox: follows.clone(), has: None },
    ];
    // At once, so that the room takes them as one batch.
    for request in arrivals {
        door.requests.try_send(request).unwrap();
    }
    for mailbox in [joins, follows] {
        let answers = letters(&mailbox).await.answers;
        assert!(matches!(answers[..], [Answer::Refused { code: Code::Unavailable, .. }]), "{answers:?}");
    }
}

#[tokio::test]
async fn who_comes_in_by_the_batch_that_panics_is_turned_away() {
    let (server, folder) = server("panic-arriving");
    let hub = server.hub.clone();
    let door = hub.rooms.door("map").unwrap();
    let inside = join(&hub, &door, 1).await;
    turned_away_after(&hub, &door, Request::Panic).await;
    assert!(matches!(letters(&inside).await.end, Some((Code::Unavailable, _))));
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// A store that neither reads nor writes once it is told to fail.
struct Failing(Sqlite, Arc<AtomicBool>);

impl Failing {
    fn sound(&self) -> Result<&Sqlite, StoreError> {
        if self.1.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(&self.0) }
    }
}

impl Store for Failing {
    fn load(&self, document: &str) -> Result<Saved, StoreError> {
        self.sound()?.load(document)
    }

    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError> {
        self.sound()?.append(records)
    }

    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError> {
        self.sound()?.compact(document, upto, state)
    }

    fn owner(&self, replica: ReplicaId) -> Result<Option<String>, StoreError> {
        self.sound()?.owner(replica)
    }

    fn names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.sound()?.names(after, limit)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.sound()?.check()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

#[tokio::test]
async fn who_comes_in_by_the_batch_that_is_lost_is_turned_away() {
    let folder = std::env::temp_dir().join(format!("watersmeet-room-lost-{}", std::process::id()));
    let fails = Arc::new(AtomicBool::new(false));
    let store = Failing(Sqlite::open(&folder).unwrap(), fails.clone());
    let server = Server::with_store(store, Limits::default()).unwrap();
    let hub = server.hub.clone();
    let door = hub.rooms.door("map").unwrap();
    let inside = join(&hub, &door, 1).await;
    let edit = edit(&hub, 1, None).await;
    fails.store(true, Ordering::SeqCst);
    turned_away_after(&hub, &door, Request::Edit(edit)).await;
    assert!(matches!(letters(&inside).await.end, Some((Code::Unavailable, _))));
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}
