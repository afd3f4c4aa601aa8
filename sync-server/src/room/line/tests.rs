use super::*;
use crate::mailbox::{Letters, Mailbox};
use crate::room::Edit;
use crate::room::tests::{NOW, letters, server_with};
use crate::rooms::Door;
use crate::trace::Arrival;
use crate::{Limits, Server, hub::Hub, mailbox::Capacity};
use tokio::sync::oneshot;
use watersmeet_crdt::document::Transaction;
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId};

/// One room, and guests who ask it by hand.
struct World {
    server: Server,
    folder: std::path::PathBuf,
    hub: Arc<Hub>,
    door: Door,
    author: Document,
}

/// More than the document's task encodes at once.
const MANY: usize = 5_000;

impl World {
    /// Its document has many entries.
    async fn of_many(name: &str, limits: Limits) -> (Self, Arc<Mailbox>) {
        let (server, folder) = server_with(name, limits);
        let hub = server.hub.clone();
        let door = hub.rooms.door("map").unwrap();
        let mut world = World { server, folder, hub, door, author: Document::new(ReplicaId::new(2)) };
        let first = world.join(1).await;
        world.edit(MANY).await;
        assert_eq!(letters(&first).await.acks.len(), 1);
        (world, first)
    }

    async fn ask(&self, request: Request) {
        self.door.requests.send(request).await.unwrap();
    }

    /// Opens the document. What it lacks is told to who asks for it.
    async fn join(&self, guest: u64) -> Arc<Mailbox> {
        let capacity = Capacity { bytes: 1 << 20, deltas: 8 };
        let mailbox = Arc::new(Mailbox::new(capacity, self.hub.metrics.queue_drops.clone()));
        let (guest, has) = (GuestId(guest), VersionVector::default());
        self.ask(Request::Join { guest, mailbox: mailbox.clone(), has }).await;
        let answers = letters(&mailbox).await.answers;
        assert!(matches!(answers[..], [Answer::Opened { .. }]), "{answers:?}");
        mailbox
    }

    async fn catch_up(&self, guest: u64, has: VersionVector) {
        self.ask(Request::CatchUp { guest: GuestId(guest), has }).await;
    }

    /// The first guest writes so many entries.
    async fn edit(&mut self, entries: usize) {
        let before = self.author.version().clone();
        let round = before.seq(ReplicaId::new(2));
        let write = |tx: &mut Transaction| {
            (0..entries).for_each(|n| tx.set(&[&format!("entry {n}")], format!("written in round {round}")));
        };
        self.author.edit(NOW, write).unwrap();
        let delta = self.author.since(&before);
        let edit = Edit {
            guest: GuestId(1),
            author: None,
            bytes: delta.encode(),
            delta: Box::new(delta),
            came: Arrival::now(GuestId(1), "map", 0),
            permit: self.hub.inbound.clone().acquire_many_owned(1).await.unwrap(),
        };
        self.ask(Request::Edit(edit)).await;
    }

    /// What has been posted when all that was asked has been done.
    async fn settled(&self, mailbox: &Mailbox) -> Letters {
        let (settled, done) = oneshot::channel();
        self.ask(Request::Settle { settled }).await;
        done.await.unwrap();
        mailbox.take()
    }

    /// What a guest is told when it is its turn, and whether there is more.
    async fn told(&self, mailbox: &Mailbox) -> (Arc<Group>, bool) {
        loop {
            let Letters { answers, lagging, .. } = letters(mailbox).await;
            match &answers[..] {
                [] => {}
                [Answer::CaughtUp(group)] => {
                    let since = self.settled(mailbox).await.lagging;
                    return (group.clone(), !(lagging.is_empty() && since.is_empty()));
                }
                _ => panic!("{answers:?}"),
            }
        }
    }

    async fn end(self) {
        for guest in 1..=4 {
            self.ask(Request::Leave { guest: GuestId(guest) }).await;
        }
        drop(self.door);
        self.server.shutdown().await;
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}

/// To encode 100,000 entries takes 56 ms, and authors would wait for it whenever somebody comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_acknowledged_while_the_document_is_being_encoded() {
    let (mut world, author) = World::of_many("encoding", Limits::default()).await;
    let before = world.author.version().clone();
    // So that it begins, and does not end.
    let renderings = world.hub.renderings.clone();
    let held = renderings.acquire_many(2).await.unwrap();
    let reader = world.join(2).await;
    world.catch_up(2, VersionVector::default()).await;
    world.edit(1).await;
    let acks = world.settled(&author).await.acks;
    assert_eq!(acks.values().next(), Some(&world.author.version().beyond(&before)));
    let unread = world.settled(&reader).await;
    assert!(unread.answers.is_empty(), "it is still to be encoded");
    // Who comes now is told by the same encoding.
    let late = world.join(3).await;
    world.catch_up(3, VersionVector::default()).await;
    drop(held);
    let (group, more) = world.told(&reader).await;
    let mut read = Document::new(ReplicaId::new(9));
    read.apply(Delta::decode(&group.delta().unwrap()).unwrap()).unwrap();
    assert!(*read.version() == group.to && group.to.covers(&before));
    assert_eq!(more, group.to != *world.author.version(), "who was told less hears that there is more");
    let (same, _) = world.told(&late).await;
    assert_eq!(group.frame.as_ptr(), same.frame.as_ptr());
    world.catch_up(2, group.to.clone()).await;
    let (rest, more) = world.told(&reader).await;
    read.apply(Delta::decode(&rest.delta().unwrap()).unwrap()).unwrap();
    assert_eq!((read.hash(), more), (world.author.hash(), false));
    drop((group, same, rest));
    world.end().await;
}

/// A thousand who read slowly would each be sent another state of a document that is edited meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_has_so_many_bytes_and_who_needs_more_waits_in_line() {
    let limits = Limits { outgoing_bytes: 200_000, ..Limits::default() };
    let (mut world, author) = World::of_many("outgoing", limits).await;
    let slow = world.join(2).await;
    world.catch_up(2, VersionVector::default()).await;
    let (group, _) = world.told(&slow).await;
    assert!((100_001..=200_000).contains(&group.frame.len()), "{}", group.frame.len());
    // As long as any of it has not been sent.
    let unread = group.frame.slice(90_000..);
    drop(group);
    let same = world.join(3).await;
    world.catch_up(3, VersionVector::default()).await;
    let (group, _) = world.told(&same).await;
    assert_eq!(group.frame[90_000..].as_ptr(), unread.as_ptr(), "what is sent to two counts once");
    drop(group);
    world.edit(1).await;
    assert_eq!(world.settled(&author).await.acks.len(), 1);
    let waits = world.join(4).await;
    world.catch_up(4, VersionVector::default()).await;
    // A large edit is shown in its turn too, and is acknowledged all the same.
    world.edit(MANY).await;
    assert_eq!(world.settled(&author).await.acks.len(), 1);
    let posted = world.settled(&same).await;
    assert!(!posted.lagging.is_empty() && posted.deltas.iter().all(|group| group.frame.len() < 1_000));
    assert!(world.settled(&waits).await.answers.is_empty());
    drop(unread);
    let (group, more) = world.told(&waits).await;
    assert_eq!((&group.to, more), (world.author.version(), false));
    drop(group);
    world.end().await;
}
