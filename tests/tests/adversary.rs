//! A peer that may edit a document and lies about who did what. It is refused each time, on that document alone; nobody
//! else notices, and everybody's documents stay equal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::session::{Code, Frame};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_tests::{Keys, Raw, Server, patiently, token};

const MALLORY: ReplicaId = ReplicaId::new(666);
const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A server with a key, and what alice and mallory show it.
struct World {
    server: Server,
    alices: String,
    mallorys: String,
    _keys: Keys,
}

impl World {
    fn new(name: &str) -> Self {
        Self::with(name, &[])
    }

    /// With more options of `watersmeet serve`.
    fn with(name: &str, options: &[&str]) -> Self {
        let keys = Keys::new(name);
        let (private, public) = keys.make("--ed25519", "key");
        let everything = ["--write", "map", "--write", "other"];
        let [alices, mallorys] = ["alice", "mallory"].map(|subject| token(&private, subject, &everything));
        let options: Vec<&str> = ["--key", &public].iter().chain(options).copied().collect();
        World { server: Server::start_with(options), alices, mallorys, _keys: keys }
    }

    async fn alice(&self) -> Client {
        Client::builder(&self.server.url()).token(self.alices.clone()).connect().await.unwrap()
    }

    async fn mallory(&self, replica: ReplicaId) -> Raw {
        Raw::greet_with(&self.server.url(), replica, &self.mallorys).await
    }

    /// What somebody finds who comes anew.
    async fn hash(&self, name: &str) -> u128 {
        let found = self.alice().await.open(name);
        patiently("synced", found.synced()).await.unwrap();
        found.read(Document::hash)
    }
}

async fn edit(document: &DocumentHandle, key: &str, value: i64) {
    document.edit(|tx| tx.set(&[key], value)).unwrap();
    patiently("alice's edit is durable", document.durable()).await.unwrap();
}

/// A document of `replica` that goes on from what another holds.
fn gone_on(replica: ReplicaId, from: &DocumentHandle) -> Document {
    let mut document = Document::new(replica);
    document.apply(from.read(Document::state)).unwrap();
    document
}

fn set(document: &mut Document, key: &str, value: i64) -> Delta {
    let before = document.version().clone();
    document.edit(NOW, |tx| tx.set(&[key], value)).unwrap();
    document.since(&before)
}

async fn tell(raw: &mut Raw, channel: u32, delta: &Delta) {
    raw.say(&Frame::Delta { channel, delta: &delta.encode() }).await;
}

/// Mallory's own edits on another document are still taken.
async fn goes_on(raw: &mut Raw, channel: u32, own: &mut Document) {
    let value = i64::try_from(own.len()).unwrap();
    let delta = set(own, &value.to_string(), value);
    tell(raw, channel, &delta).await;
    assert_eq!(raw.acknowledged(channel).await.seq(MALLORY), own.version().seq(MALLORY));
}

/// Mallory says events that are not hers, in the map and in another document.
async fn forged_events_are_refused(
    mallory: &mut Raw,
    [channel, aside]: [u32; 2],
    map: &DocumentHandle,
    alices_id: ReplicaId,
    elsewhere: &mut Document,
) {
    // Forged: the next event of alice, by mallory.
    let forged = set(&mut gone_on(alices_id, map), "place 0", 666);
    tell(mallory, channel, &forged).await;
    let (code, message) = mallory.refusal("map").await;
    assert_eq!(code, Code::Author, "{message}");
    assert!(message.contains("map") && message.contains(&alices_id.get().to_string()), "{message}");
    goes_on(mallory, aside, elsewhere).await;

    // Forged in another document, where alice has never been.
    let forged = set(&mut Document::new(alices_id), "x", 666);
    tell(mallory, aside, &forged).await;
    assert_eq!(mallory.refusal("other").await.0, Code::Author);
    goes_on(mallory, aside, elsewhere).await;

    // Forged along with an honest event: none of it is taken.
    let mut together = gone_on(alices_id, map);
    set(&mut together, "place 1", 666);
    let mut own = Document::new(MALLORY);
    own.apply(together.state()).unwrap();
    let since = map.read(|document| document.version().clone());
    own.edit(NOW, |tx| tx.set(&["mallory was here"], 1)).unwrap();
    tell(mallory, channel, &own.since(&since)).await;
    assert_eq!(mallory.refusal("map").await.0, Code::Author);
}

#[tokio::test]
async fn forged_skipped_replayed_and_equivocating_events_harm_nothing() {
    let world = World::new("adversary");
    let alice = world.alice().await;
    let map = alice.open("map");
    for n in 0..5 {
        edit(&map, &format!("place {n}"), n).await;
    }
    let alices_id = alice.replica();
    let mut mallory = world.mallory(MALLORY).await;
    let channel = mallory.open("map").await;
    let aside = mallory.open("other").await;
    let mut elsewhere = Document::new(MALLORY);
    goes_on(&mut mallory, aside, &mut elsewhere).await;
    let before = map.read(Document::hash);

    forged_events_are_refused(&mut mallory, [channel, aside], &map, alices_id, &mut elsewhere).await;

    // Skipped: what comes after an event that nobody has seen is asked for from the beginning.
    let mut own = Document::new(MALLORY);
    set(&mut own, "unseen", 1);
    tell(&mut mallory, channel, &set(&mut own, "seen", 2)).await;
    let has = mallory.expect("Lacks", lacks).await;
    assert_eq!(has.seq(MALLORY), 0);
    goes_on(&mut mallory, aside, &mut elsewhere).await;

    // Replayed: alice's own events, which are there already, change nothing, whoever says them.
    tell(&mut mallory, channel, &map.read(Document::state)).await;
    mallory.acknowledged(channel).await;

    // Equivocating: alice's events, saying something else.
    let mut other = Document::new(alices_id);
    set(&mut other, "place 0", 666);
    tell(&mut mallory, channel, &other.state()).await;
    let (code, message) = mallory.refusal("map").await;
    assert_eq!(code, Code::Equivocation, "{message}");
    assert!(message.contains("map"), "{message}");
    goes_on(&mut mallory, aside, &mut elsewhere).await;

    // Left out: alice's events told again as if they had been removed, without any event that removes them.
    let silent = told_without_content(&map, alices_id);
    tell(&mut mallory, channel, &silent).await;
    mallory.acknowledged(channel).await;

    assert_eq!(map.read(Document::hash), before, "alice was shown something of it");
    assert_eq!(world.hash("map").await, before, "something of it got in");
    assert_eq!(world.hash("other").await, elsewhere.hash());
    assert!(map.status().live, "alice has lost her connection");
    edit(&map, "place 5", 5).await;
    assert_eq!(world.hash("map").await, map.read(Document::hash));
}

/// Whoever may edit may remove, and may do so by telling the others' events without what they wrote. It is mean, but it
/// is an edit like any other: everybody has the same after it, who was there and who comes later.
#[tokio::test]
async fn what_is_removed_by_leaving_it_out_is_removed_for_everybody() {
    let world = World::new("omission");
    let (alice, late) = (world.alice().await, world.alice().await);
    let map = alice.open("map");
    for n in 0..5 {
        edit(&map, &format!("place {n}"), n).await;
    }
    let mut mallory = world.mallory(MALLORY).await;
    let channel = mallory.open("map").await;
    let mut own = Document::new(MALLORY);
    own.apply(told_without_content(&map, alice.replica())).unwrap();
    set(&mut own, "mine", 1);
    tell(&mut mallory, channel, &own.state()).await;
    mallory.acknowledged(channel).await;
    edit(&map, "place 5", 5).await;
    patiently("synced", map.synced()).await.unwrap();
    assert_eq!(map.read(Document::len), 2, "the edit of each");
    assert_eq!(world.hash("map").await, map.read(Document::hash));
    let late = late.open("map");
    edit(&late, "place 6", 6).await;
    patiently("synced", late.synced()).await.unwrap();
    patiently("synced", map.synced()).await.unwrap();
    assert_eq!(world.hash("map").await, late.read(Document::hash));
}

/// All that a replica did in a document, as if nothing of it were alive.
fn told_without_content(map: &DocumentHandle, replica: ReplicaId) -> Delta {
    let events = map.read(|document| document.version().seq(replica));
    let mut empty = Document::new(replica);
    for _ in 0..events {
        set(&mut empty, "gone", 1);
    }
    let before = empty.version().seq(replica);
    // The last of them removes what the others did, so that nothing is left but their number.
    let mut shorter = Document::new(replica);
    for _ in 1..before {
        set(&mut shorter, "gone", 1);
    }
    shorter.edit(NOW, |tx| tx.delete(&["gone"])).unwrap();
    assert_eq!((shorter.version().seq(replica), shorter.len()), (events, 0));
    shorter.state()
}

fn lacks(frame: &Frame<'_>) -> Option<VersionVector> {
    match frame {
        Frame::Lacks { version, .. } => Some(version.clone()),
        _ => None,
    }
}

/// One replica goes on as two, on two connections at once: one of them is believed, and everybody has the same.
#[tokio::test]
async fn of_two_stories_one_is_believed() {
    let world = World::new("two-stories");
    let map = world.alice().await.open("map");
    patiently("synced", map.synced()).await.unwrap();
    let mut refused = 0;
    for round in 0..20 {
        let replica = ReplicaId::new(1_000 + round);
        let stories = [1, 2].map(|value| set(&mut Document::new(replica), "story", value));
        let mut tellers = Vec::new();
        for story in &stories {
            let mut raw = world.mallory(replica).await;
            let channel = raw.open("map").await;
            tell(&mut raw, channel, story).await;
            tellers.push(raw);
        }
        for raw in &mut tellers {
            let refusal = raw.expect("an answer", |frame| match frame {
                Frame::Ack { .. } => Some(false),
                Frame::Refused { code, .. } => {
                    assert_eq!(*code, Code::Equivocation);
                    Some(true)
                }
                _ => None,
            });
            refused += usize::from(refusal.await);
        }
        assert_eq!(refused, usize::try_from(round).unwrap() + 1, "of each two, one is refused");
    }
    edit(&map, "alice", 1).await;
    patiently("synced", map.synced()).await.unwrap();
    assert_eq!(world.hash("map").await, map.read(Document::hash));
}

/// Whose a replica is outlives the server, and is on disk as soon as its first edit is.
#[tokio::test]
async fn a_replica_stays_its_owners_through_a_crash() {
    let mut world = World::new("owners");
    let alices_id = {
        let alice = world.alice().await;
        edit(&alice.open("map"), "x", 1).await;
        alice.replica()
    };
    world.server.kill_9();
    world.server.restart();
    let mut mallory = world.mallory(MALLORY).await;
    let channel = mallory.open("other").await;
    tell(&mut mallory, channel, &set(&mut Document::new(alices_id), "x", 666)).await;
    assert_eq!(mallory.refusal("other").await.0, Code::Author);
    // On the other hand another device of alice's may bring what the first had not sent yet.
    let mut alice = Raw::greet_with(&world.server.url(), ReplicaId::new(7), &world.alices).await;
    let channel = alice.open("other").await;
    tell(&mut alice, channel, &set(&mut Document::new(alices_id), "x", 2)).await;
    assert_eq!(alice.acknowledged(channel).await.seq(alices_id), 1);
}

/// After a restore of an old backup, clients bring back what they have of others, if the operator lets them.
#[tokio::test]
async fn others_edits_are_brought_back_if_anybody_may_bring_them() {
    let world = World::with("authors", &["--set", "access.authors=any"]);
    let alice = world.alice().await;
    let map = alice.open("map");
    edit(&map, "x", 1).await;
    let mut relay = world.mallory(MALLORY).await;
    let channel = relay.open("map").await;
    let lost = set(&mut gone_on(alice.replica(), &map), "y", 2);
    tell(&mut relay, channel, &lost).await;
    assert_eq!(relay.acknowledged(channel).await.seq(alice.replica()), 2);
    let found = world.alice().await.open("map");
    patiently("synced", found.synced()).await.unwrap();
    assert!(found.read(|document| document.register(&["y"]).is_some()));
}
