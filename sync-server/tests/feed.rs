//! A program that has no engine and reads only the JSON of the change feed has what the document has, however often it
//! is cut off.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Running, Shared, patiently, start};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use watersmeet_crdt::document::Transaction;
use watersmeet_crdt::{Document, ReplicaId, Time, VersionVector};
use watersmeet_sync::Limits;
use watersmeet_tests::http::{self, Event, Events};
use watersmeet_tests::{Dice, Server};

/// What stands where: path and kind.
type Content = BTreeMap<(Vec<String>, String), Json>;

/// A program that mirrors a document.
#[derive(Default)]
struct Mirror {
    content: Content,
    last: Option<String>,
    /// How often it was told the whole state.
    states: usize,
}

impl Mirror {
    fn hear(&mut self, event: Event) {
        let said: Json = serde_json::from_str(&event.data).unwrap();
        assert_eq!(said["version"].as_str(), event.id.as_deref());
        match event.event.as_str() {
            "state" => {
                self.states += 1;
                self.content = content(&said["root"]);
            }
            "changes" => said["changes"].as_array().unwrap().iter().for_each(|change| self.change(change)),
            other => panic!("{other}"),
        }
        self.last = event.id;
    }

    fn change(&mut self, change: &Json) {
        let path: Vec<String> = serde_json::from_value(change["path"].clone()).unwrap();
        let key = (path, change["kind"].as_str().unwrap().to_owned());
        let (op, value) = (change["op"].as_str().unwrap(), change["value"].clone());
        let index = change["index"].as_u64().map(|index| usize::try_from(index).unwrap());
        let items = |content: &mut Content, change: &dyn Fn(&mut Vec<Json>)| {
            let items = content.entry(key.clone()).or_insert_with(|| json!([])).as_array_mut().unwrap();
            change(items);
            if items.is_empty() {
                content.remove(&key);
            }
        };
        let content = &mut self.content;
        match op {
            "set" => {
                drop(content.insert(key, json!([value, change.get("conflicts").map_or(json!([]), sorted)])))
            }
            "unset" | "raise" if op == "unset" || key.1 == "guard" => drop(content.remove(&key)),
            "raise" => drop(content.insert(key, json!(true))),
            "lower" if key.1 == "guard" => drop(content.insert(key, json!(false))),
            "lower" => drop(content.remove(&key)),
            "count" => {
                let before = content.get(&key).and_then(Json::as_i64).unwrap_or_default();
                assert_eq!(before + change["by"].as_i64().unwrap(), value.as_i64().unwrap(), "{change}");
                content.insert(key.clone(), value.clone());
                if value == 0 {
                    content.remove(&key);
                }
            }
            "add" => items(content, &|items| {
                assert!(!items.contains(&value), "{change}");
                items.push(value.clone());
                items.sort_by_key(Json::to_string);
            }),
            "remove" => items(content, &|items| {
                let at = items.iter().position(|item| *item == value).expect("an item that is there");
                items.remove(at);
            }),
            "insert" => items(content, &|items| items.insert(index.unwrap(), value.clone())),
            "replace" => items(content, &|items| items[index.unwrap()] = value.clone()),
            "delete" => items(content, &|items| {
                items.remove(index.unwrap());
            }),
            other => panic!("{other}"),
        }
    }
}

fn sorted(items: &Json) -> Json {
    let mut items = items.as_array().unwrap().clone();
    items.sort_by_key(Json::to_string);
    json!(items)
}

/// What a document's JSON says; what is empty is as if it were not there.
fn content(root: &Json) -> Content {
    let mut content = Content::new();
    add(&mut content, &[], root);
    content
}

fn add(content: &mut Content, path: &[String], map: &Json) {
    for (name, slots) in map.as_object().unwrap() {
        let path = [path, std::slice::from_ref(name)].concat();
        for (kind, value) in slots.as_object().unwrap() {
            let value = match kind.as_str() {
                "map" => {
                    add(content, &path, value);
                    continue;
                }
                "conflicts" | "list-conflicts" => continue,
                "register" => json!([value, slots.get("conflicts").map_or(json!([]), sorted)]),
                "set" | "rw-set" => sorted(value),
                _ => value.clone(),
            };
            if value != json!([]) && value != json!(0) && (kind != "flag" || value != json!(false)) {
                content.insert((path.clone(), kind.clone()), value);
            }
        }
    }
}

/// Programs with the engine that edit one document.
struct Authors {
    dice: Dice,
    documents: Vec<Document>,
    port: u16,
    time: u64,
}

impl Authors {
    fn new(port: u16) -> Self {
        let documents = (1..=3).map(|replica| Document::new(ReplicaId::new(replica))).collect();
        Authors { dice: Dice::new(), documents, port, time: 1_700_000_000_000 }
    }

    /// One of them makes some edits, and sometimes hears of the others' before: so edits are concurrent.
    fn edit(&mut self) {
        let who = usize::try_from(self.dice.below(3)).unwrap();
        if self.dice.below(3) == 0 {
            let others: Vec<_> = self.documents.iter().map(Document::state).collect();
            others.iter().for_each(|other| {
                self.documents[who].apply(other).unwrap();
            });
        }
        self.time += 1;
        let (now, count) = (Time::from_millis(self.time), 1 + self.dice.below(4));
        let mut edit = Transaction::default();
        let list = self.documents[who].list(&["list"]).len();
        let mut length = list;
        (0..count).for_each(|_| one(&mut edit, &mut self.dice, &mut length));
        // An edit that the document does not take is none.
        if self.documents[who].commit(now, edit).is_err() {
            return;
        }
        let state = self.documents[who].since(&VersionVector::default()).encode();
        let answer = http::send(self.port, "POST", "/docs/map/deltas", &[], &state);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// One operation of any kind, on few keys, so that they meet.
fn one(tx: &mut Transaction, dice: &mut Dice, list: &mut usize) {
    let keys = ["a", "b", "c"];
    let key = keys[usize::try_from(dice.below(3)).unwrap()];
    let path = if dice.below(2) == 0 { vec![key] } else { vec!["deep", key] };
    let number = i64::try_from(dice.below(5)).unwrap();
    match dice.below(13) {
        0 | 1 => tx.set(&path, number),
        2 => tx.increment(&path, number - 2),
        3 => tx.insert(&path, number),
        4 => tx.remove(&path, number),
        5 => tx.include(&path, number),
        6 => tx.exclude(&path, number),
        7 => tx.flag(&path, number > 2),
        8 => tx.guard(&path, number > 2),
        9 => tx.delete(&path),
        10 | 11 => {
            tx.splice(&["list"], *list, 0, [number]);
            *list += 1;
        }
        _ if *list > 0 => {
            tx.splice(&["list"], *list - 1, 1, Vec::<i64>::new());
            *list -= 1;
        }
        _ => tx.set(&path, "text"),
    }
}

fn follow(port: u16, last: Option<&str>) -> Events {
    let headers: Vec<_> = last.iter().map(|last| ("Last-Event-ID", *last)).collect();
    let (status, events) = Events::open(port, "/docs/map/changes?form=json", &headers);
    assert_eq!(status, 200);
    events
}

/// Reads on until the mirror is at the document's version, and compares.
fn compare(port: u16, mirror: &mut Mirror, events: &mut Events) {
    let answer = http::get(port, "/docs/map", &[]);
    let document: Json = serde_json::from_str(&answer.body).unwrap();
    while mirror.last.as_deref() != document["version"].as_str() {
        mirror.hear(events.next().expect("the stream goes on"));
    }
    assert_eq!(mirror.content, content(&document["root"]));
}

fn port(server: &Running) -> u16 {
    server.url.trim_end_matches("/sync").rsplit(':').next().unwrap().parse().unwrap()
}

async fn served() -> (Running, Folder) {
    let folder = Folder::fresh();
    (start(Shared(Faulty::open(&folder, false)), Limits::default()).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_only_the_changes_has_what_the_document_has() {
    let (server, _folder) = served().await;
    let port = port(&server);
    let mirroring = tokio::task::spawn_blocking(move || {
        let mut authors = Authors::new(port);
        while http::get(port, "/docs/map", &[]).status == 404 {
            authors.edit();
        }
        let mut mirror = Mirror::default();
        let mut events = follow(port, None);
        for n in 0..150 {
            authors.edit();
            if n % 3 == 0 {
                compare(port, &mut mirror, &mut events);
            }
            // Cut off, it comes back after some more edits, and goes on where it was.
            if n % 25 == 24 {
                drop(events);
                (0..3).for_each(|_| authors.edit());
                events = follow(port, mirror.last.as_deref());
                compare(port, &mut mirror, &mut events);
            }
        }
        assert_eq!(mirror.states, 1, "only who begins is told the state");
    });
    patiently("the mirror", mirroring).await.unwrap();
    server.stop().await;
}

/// What the server does not remember it tells as a state: after a restart, or of a version that never was.
#[test]
fn who_is_somewhere_else_is_told_the_state() {
    let mut server = Server::start();
    let mut authors = Authors::new(server.port());
    (0..20).for_each(|_| authors.edit());
    let mut mirror = Mirror::default();
    compare(server.port(), &mut mirror, &mut follow(server.port(), None));
    server.kill_9();
    server.restart();
    (0..20).for_each(|_| authors.edit());
    let mut events = follow(server.port(), mirror.last.as_deref());
    compare(server.port(), &mut mirror, &mut events);
    assert_eq!(mirror.states, 2);
    let mut lost = Mirror { last: Some("77:5".to_owned()), ..Mirror::default() };
    let mut events = follow(server.port(), Some("77:5"));
    lost.hear(events.next().unwrap());
    assert_eq!((&lost.content, &lost.last), (&mirror.content, &mirror.last));
    let wrong = http::get(server.port(), "/docs/map/changes?form=xml", &[]);
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("json"), "{wrong:?}");
}

/// A program that counts what it is told of one counter.
#[derive(Default)]
struct Tally {
    count: i64,
    last: Option<String>,
}

impl Tally {
    /// Reads on until it has heard that the counter is at `value`.
    fn hear(&mut self, events: &mut Events, value: i64) {
        let mut heard = 0;
        while heard < value {
            let event = events.next().expect("the stream goes on");
            // As `EventSource` does: an event without an id leaves the last one as it was.
            self.last = event.id.or(self.last.take());
            let said: Json = serde_json::from_str(&event.data).unwrap();
            if event.event == "state" {
                heard = said["root"]["count"]["counter"].as_i64().unwrap();
                self.count = heard;
            }
            for change in said["changes"].as_array().into_iter().flatten() {
                self.count += change["by"].as_i64().unwrap();
                heard = change["value"].as_i64().unwrap();
            }
        }
    }
}

/// What so many replicas have edited has a version that is too long for an id; it is told once nonetheless.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_exact_however_many_replicas_have_edited() {
    let (server, _folder) = served().await;
    let port = port(&server);
    let counting = tokio::task::spawn_blocking(move || {
        let (mut all, mut replica) = (Document::new(ReplicaId::new(1)), ReplicaId::MAX);
        let mut count_on = |by: u64| {
            let before = all.version().clone();
            for _ in 0..by {
                replica -= 1;
                let mut one = Document::new(ReplicaId::new(replica));
                one.edit(Time::from_millis(1), |tx| tx.increment(&["count"], 1)).unwrap();
                all.apply(one.state()).unwrap();
            }
            let delta = all.since(&before).encode();
            assert_eq!(http::send(port, "POST", "/docs/map/deltas", &[], &delta).status, 200);
        };
        let mut tally = Tally::default();
        count_on(5);
        let mut events = follow(port, None);
        tally.hear(&mut events, 5);
        count_on(245);
        tally.hear(&mut events, 250);
        drop(events);
        let mut events = follow(port, tally.last.as_deref());
        count_on(1);
        tally.hear(&mut events, 251);
        assert_eq!(tally.count, 251);
    });
    patiently("the count", counting).await.unwrap();
    server.stop().await;
}
