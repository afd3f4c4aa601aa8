//! Typed views: every handle against the untyped methods, apart and together, and among peers who keep to no type.

#![allow(unsafe_code, reason = "a counting allocator over the system's, which it calls unchanged")]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::pull;
use quickcheck::quickcheck;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use watersmeet_crdt::document::{EditError, Kind, Transaction, View};
use watersmeet_crdt::typed::{
    Counter, Flag, FromValue, Guard, IntoValue, List, Map, Mismatch, OrSet, Record, Register, RwSet,
};
use watersmeet_crdt::{Document, ReplicaId, Time, Value};

#[derive(Record, Clone, Debug)]
struct World {
    places: Map<Place>,
    heights: Map<Register<f64>>,
}

#[derive(Record, Clone, Debug)]
struct Place {
    name: Register<String>,
    tags: OrSet<String>,
    banned: RwSet<i64>,
    votes: Counter,
    starred: Flag,
    open: Guard,
    ring: List<[f64; 2]>,
    owner: Person,
    r#type: Register<Option<i32>>,
}

#[derive(Record, Clone, Debug)]
struct Person {
    #[record(key = "e-mail")]
    mail: Register<Option<String>>,
    friends: Map<Person>,
}

/// A record of a type that its user chooses.
#[derive(Record)]
struct Labelled<T, const N: usize>
where
    T: FromValue + Default,
{
    label: Register<T>,
    corners: Register<[T; N]>,
}

/// Names that the generated code uses are free for fields.
#[derive(Record)]
struct Awkward {
    path: Counter,
    path_0: Counter,
    at: Counter,
}

#[derive(Record)]
struct Nothing {}

fn now() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn mill() -> Place {
    World::root().places.get("mill")
}

fn edited(replica: u64, edit: impl FnOnce(&mut Transaction)) -> Document {
    let mut document = Document::new(ReplicaId::new(replica));
    document.edit(now(), edit).unwrap();
    document
}

fn meet(anna: &mut Document, ben: &mut Document) {
    pull(anna, ben);
    pull(ben, anna);
    assert_eq!(anna.hash(), ben.hash());
}

/// What all items read as; the test fails where one does not.
fn all<T>(items: impl Iterator<Item = Result<T, Mismatch>>) -> Vec<T> {
    items.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_handle_writes_what_the_untyped_method_writes() {
    let mill = mill();
    let typed = edited(1, |tx| {
        mill.name.set(tx, "Old mill");
        mill.name.set(tx, String::from("Water mill"));
        mill.tags.insert(tx, "ruin");
        let water = String::from("water");
        mill.tags.insert(tx, &water);
        mill.tags.remove(tx, "ruin");
        mill.banned.insert(tx, 7);
        mill.banned.remove(tx, 8);
        mill.votes.add(tx, 3);
        mill.votes.add(tx, -1);
        mill.starred.raise(tx);
        mill.starred.lower(tx);
        mill.starred.raise(tx);
        mill.open.lower(tx);
        mill.open.raise(tx);
        mill.open.lower(tx);
        mill.ring.splice(tx, 0, 0, [[13.3, 52.5], [13.5, 52.5]]);
        mill.ring.insert(tx, 1, [13.4, 52.6]);
        mill.ring.replace(tx, 0, [13.2, 52.4]);
        mill.ring.remove(tx, 2);
        mill.owner.mail.set(tx, Some("mill@example.org".to_owned()));
        mill.r#type.set(tx, None);
    });
    let at = |lon: f64, lat: f64| Value::from(vec![Value::from(lon), Value::from(lat)]);
    let untyped = edited(1, |tx| {
        let place = |name| ["places", "mill", name];
        tx.set(&place("name"), "Old mill");
        tx.set(&place("name"), "Water mill");
        tx.insert(&place("tags"), "ruin");
        tx.insert(&place("tags"), "water");
        tx.remove(&place("tags"), "ruin");
        tx.include(&place("banned"), 7);
        tx.exclude(&place("banned"), 8);
        tx.increment(&place("votes"), 3);
        tx.increment(&place("votes"), -1);
        [true, false, true].into_iter().for_each(|up| tx.flag(&place("starred"), up));
        [false, true, false].into_iter().for_each(|up| tx.guard(&place("open"), up));
        tx.splice(&place("ring"), 0, 0, [at(13.3, 52.5), at(13.5, 52.5)]);
        tx.splice(&place("ring"), 1, 0, [at(13.4, 52.6)]);
        tx.replace(&place("ring"), 0, at(13.2, 52.4));
        tx.splice::<Value>(&place("ring"), 2, 1, []);
        tx.set(&["places", "mill", "owner", "e-mail"], "mill@example.org");
        tx.set(&place("type"), Value::Null);
    });
    assert_eq!(typed.encode_state(), untyped.encode_state());

    assert_eq!(mill.name.get(&typed).unwrap().as_deref(), Some("Water mill"));
    assert_eq!(all(mill.tags.iter(&typed)), ["water"]);
    assert!(mill.tags.contains(&typed, "water") && !mill.tags.contains(&typed, "ruin"));
    assert_eq!((all(mill.banned.iter(&typed)), mill.banned.len(&typed)), (vec![7], 1));
    assert!(mill.banned.contains(&typed, 7) && !mill.banned.contains(&typed, 8));
    assert_eq!(mill.votes.get(&typed), 2);
    assert!(mill.starred.is_up(&typed) && !mill.open.is_up(&typed));
    assert_eq!(all(mill.ring.iter(&typed)), [[13.2, 52.4], [13.4, 52.6]]);
    assert_eq!(mill.ring.get(&typed, 1), Ok(Some([13.4, 52.6])));
    assert_eq!((mill.ring.get(&typed, 2), mill.ring.len(&typed)), (Ok(None), 2));
    assert_eq!(mill.owner.mail.get(&typed), Ok(Some(Some("mill@example.org".to_owned()))));
    assert_eq!(mill.r#type.get(&typed), Ok(Some(None)));
}

#[test]
fn where_nothing_was_written_a_handle_reads_nothing() {
    for document in [Document::new(ReplicaId::new(1)), edited(1, |tx| tx.set(&["places"], "not a map"))] {
        let mill = mill();
        assert_eq!((mill.name.get(&document), mill.name.conflicts(&document).count()), (Ok(None), 0));
        assert!(mill.tags.is_empty(&document) && mill.banned.is_empty(&document));
        assert!(!mill.tags.contains(&document, "ruin"));
        assert_eq!(mill.votes.get(&document), 0);
        assert!(!mill.starred.is_up(&document) && mill.open.is_up(&document));
        assert!(mill.ring.is_empty(&document) && mill.ring.get(&document, 0) == Ok(None));
        assert_eq!(World::root().places.keys(&document).count(), 0);
        assert!(!World::root().places.contains(&document, "mill"));
    }
}

#[test]
fn concurrent_edits_of_one_place_meet() {
    let mill = mill();
    let mut anna = edited(1, |tx| {
        mill.name.set(tx, "Mill");
        mill.tags.insert(tx, "ruin");
        mill.banned.insert(tx, 1);
        mill.starred.raise(tx);
        mill.ring.splice(tx, 0, 0, [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]);
    });
    let mut ben = Document::new(ReplicaId::new(2));
    pull(&mut ben, &anna);
    let later = now().plus(1);
    anna.edit(later, |tx| {
        mill.name.set(tx, "Old mill");
        mill.tags.remove(tx, "ruin");
        mill.banned.remove(tx, 1);
        mill.votes.add(tx, 2);
        mill.starred.lower(tx);
        mill.open.lower(tx);
        mill.ring.replace(tx, 0, [0.1, 0.1]);
        mill.ring.replace(tx, 1, [1.1, 0.1]);
    })
    .unwrap();
    ben.edit(later, |tx| {
        mill.name.set(tx, "Water mill");
        mill.tags.insert(tx, "ruin");
        mill.banned.insert(tx, 1);
        mill.votes.add(tx, -5);
        mill.starred.raise(tx);
        mill.open.raise(tx);
        mill.ring.replace(tx, 1, [1.2, 0.2]);
        mill.ring.insert(tx, 1, [0.5, 0.0]);
        mill.owner.friends.get("ann").mail.set(tx, None);
    })
    .unwrap();
    meet(&mut anna, &mut ben);

    assert_eq!(mill.name.get(&anna).unwrap().as_deref(), Some("Water mill"));
    assert_eq!(all(mill.name.conflicts(&anna)), ["Old mill"]);
    assert_eq!(all(mill.tags.iter(&anna)), ["ruin"]);
    assert!(mill.banned.is_empty(&anna));
    assert_eq!(mill.votes.get(&anna), -3);
    assert!(mill.starred.is_up(&anna) && !mill.open.is_up(&anna));
    assert_eq!(all(mill.ring.iter(&anna)), [[0.1, 0.1], [0.5, 0.0], [1.2, 0.2], [1.0, 1.0]]);
    assert_eq!(all(mill.ring.conflicts(&anna, 2)), [[1.1, 0.1]]);
    assert_eq!(mill.ring.conflicts(&anna, 9).count(), 0);

    ben.edit(later, |tx| mill.name.set(tx, "Mill by the water")).unwrap();
    meet(&mut anna, &mut ben);
    assert_eq!(mill.name.conflicts(&anna).count(), 0);
}

/// A peer without types wrote values of other types. They are told of, with what they are; the rest reads on.
#[test]
fn a_value_of_another_type_is_told_and_kept() {
    let mill = mill();
    let document = edited(9, |tx| {
        tx.set(&["places", "mill", "name"], 7);
        tx.insert(&["places", "mill", "tags"], "ruin");
        tx.insert(&["places", "mill", "tags"], 1.5);
        tx.set(&["places", "mill", "type"], i64::MAX);
        let at = |numbers: &[f64]| Value::from(numbers.iter().copied().map(Value::from).collect::<Vec<_>>());
        tx.splice(&["places", "mill", "ring"], 0, 0, [at(&[1.0, 2.0]), at(&[1.0, 2.0, 3.0])]);
    });
    let mismatch = mill.name.get(&document).unwrap_err();
    assert_eq!((mismatch.path.names(), &mismatch.found), (vec!["places", "mill", "name"], &Value::from(7)));
    let told =
        "the value at places/mill/name is a whole number, which does not read as alloc::string::String";
    assert_eq!(mismatch.to_string(), told);
    assert_eq!(mill.name.raw(&document).and_then(|name| name.get()), Some(&Value::from(7)));

    let tags: Vec<_> = mill.tags.iter(&document).collect();
    assert_eq!(tags[0].as_ref().unwrap_err().found, Value::from(1.5));
    assert_eq!((tags[1].as_deref(), mill.tags.len(&document)), (Ok("ruin"), 2));
    assert_eq!(mill.r#type.get(&document).unwrap_err().found, Value::from(i64::MAX));
    let ring: Vec<_> = mill.ring.iter(&document).collect();
    assert_eq!((&ring[0], ring[1].is_err()), (&Ok([1.0, 2.0]), true));
    assert!(mill.ring.get(&document, 1).is_err());
}

/// The winner is of another type: the loser is not read in its stead, and is a conflict as ever.
#[test]
fn a_foreign_winner_is_not_passed_over() {
    let mill = mill();
    let mut anna = edited(1, |tx| mill.name.set(tx, "Old mill"));
    let mut ben = edited(2, |tx| tx.set(&["places", "mill", "name"], true));
    meet(&mut anna, &mut ben);
    assert_eq!(mill.name.get(&anna).unwrap_err().found, Value::from(true));
    assert_eq!(all(mill.name.conflicts(&anna)), ["Old mill"]);
    anna.edit(now(), |tx| mill.name.set(tx, "Mill")).unwrap();
    assert_eq!(mill.name.get(&anna), Ok(Some("Mill".to_owned())));
}

/// A peer put things of other kinds under the same keys. Each handle sees its own, and the others stay.
#[test]
fn another_kind_under_a_key_stands_beside() {
    let (world, mill) = (World::root(), mill());
    let mut document = edited(9, |tx| {
        tx.increment(&["places", "mill", "name"], 4);
        tx.set(&["places", "mill", "votes"], "many");
        tx.set(&["places", "dam"], "not a place");
        tx.set(&["heights", "Brocken", "feet"], 3_743);
    });
    assert_eq!((mill.name.get(&document), mill.votes.get(&document)), (Ok(None), 0));
    document.edit(now(), |tx| mill.name.set(tx, "Old mill")).unwrap();
    assert_eq!(mill.name.get(&document), Ok(Some("Old mill".to_owned())));
    assert!(matches!(mill.name.path().view(&document, Kind::Counter), Some(View::Counter(4))));
    assert_eq!(document.register(&mill.votes.path().names()), Some(&Value::from("many")));

    assert_eq!(world.places.keys(&document).collect::<Vec<_>>(), ["mill"]);
    assert!(world.places.contains(&document, "mill") && !world.places.contains(&document, "dam"));
    assert_eq!(world.places.raw(&document).unwrap().len(), 2);
    assert_eq!(world.heights.keys(&document).count(), 0);

    document.edit(now(), |tx| mill.name.delete(tx)).unwrap();
    assert_eq!((mill.name.get(&document), document.counter(&mill.name.path().names())), (Ok(None), 0));
}

#[test]
fn a_map_removes_what_it_has_seen_of_a_record() {
    let places = World::root().places;
    let mut anna = edited(1, |tx| {
        places.get("dam").votes.add(tx, 1);
        places.get("mill").name.set(tx, "Old mill");
        places.get("mill").owner.mail.set(tx, None);
    });
    let mut ben = Document::new(ReplicaId::new(2));
    pull(&mut ben, &anna);
    anna.edit(now(), |tx| ["dam", "mill"].into_iter().for_each(|key| places.remove(tx, key))).unwrap();
    assert_eq!(places.iter(&anna).count(), 0);
    ben.edit(now(), |tx| places.get("mill").votes.add(tx, 1)).unwrap();
    meet(&mut anna, &mut ben);
    let left: Vec<_> = places.iter(&anna).map(|(key, place)| (key, place.votes.get(&anna))).collect();
    assert_eq!(left, [("mill", 1)]);
    assert_eq!(mill().name.get(&anna), Ok(None));
}

#[test]
fn keys_are_those_of_the_fields_or_as_they_say() {
    let mill = mill();
    let shown = |record: &dyn std::fmt::Debug| format!("{record:?}");
    assert_eq!(mill.owner.mail.path().names(), ["places", "mill", "owner", "e-mail"]);
    assert_eq!(mill.r#type.path().to_string(), "places/mill/type");
    let friend = mill.owner.friends.get("ann").friends.get("bob");
    assert_eq!(friend.mail.path().to_string(), "places/mill/owner/friends/ann/friends/bob/e-mail");
    assert_eq!(shown(&mill.votes.clone()), r#"Counter at ["places", "mill", "votes"]"#);
    assert_eq!(shown(&World::root().places.clone()), r#"Map at ["places"]"#);
    let awkward = Awkward::root();
    let paths = [awkward.path, awkward.path_0, awkward.at].map(|counter| counter.path().to_string());
    assert_eq!(paths, ["path", "path_0", "at"]);
    let Nothing {} = Nothing::root();
}

#[test]
fn a_record_may_leave_its_type_open() {
    let labelled = Map::<Labelled<i64, 3>>::root().get("a");
    let document = edited(1, |tx| {
        labelled.label.set(tx, 4);
        labelled.corners.set(tx, [1, 2, 3]);
    });
    assert_eq!(
        (labelled.label.get(&document), labelled.corners.get(&document)),
        (Ok(Some(4)), Ok(Some([1, 2, 3])))
    );
    assert!(Map::<Labelled<i64, 2>>::root().get("a").corners.get(&document).is_err());
}

#[test]
fn a_change_event_has_the_path_of_its_handle() {
    let mill = mill();
    let mut anna = Document::new(ReplicaId::new(1));
    anna.watch();
    pull(&mut anna, &edited(2, |tx| mill.owner.mail.set(tx, None)));
    let changes = anna.take_changes();
    assert_eq!(
        (changes.len(), mill.owner.mail.path().names()),
        (1, changes[0].path.iter().map(|s| &**s).collect())
    );
}

#[test]
fn what_a_document_cannot_hold_is_refused() {
    let mut document = Document::new(ReplicaId::new(1));
    let at_root = Register::<bool>::root();
    assert_eq!(document.edit(now(), |tx| at_root.set(tx, true)), Err(EditError::EmptyPath));
    assert_eq!((at_root.get(&document), Counter::root().get(&document)), (Ok(None), 0));
    let beyond = document.edit(now(), |tx| mill().ring.insert(tx, 1, [0.0, 0.0]));
    assert!(matches!(beyond, Err(EditError::BeyondTheEnd { .. })));
    let mut person = mill().owner;
    for _ in 0..20 {
        person = person.friends.get("ann");
    }
    assert!(matches!(
        document.edit(now(), |tx| person.mail.set(tx, None)),
        Err(EditError::PathTooDeep { .. })
    ));
    assert_eq!(person.mail.get(&document), Ok(None));
    assert!(document.is_empty());
}

/// What is written is read again.
fn reads_again<T: FromValue + IntoValue<T> + Clone + PartialEq>(it: T) -> bool {
    T::from_value(&it.clone().into_value()) == Some(it)
}

quickcheck! {
    fn what_is_written_is_read_again(text: String, bytes: Vec<u8>, numbers: Vec<i64>, flag: bool) -> bool {
        let floats = [0.5, f64::MAX, -3.25];
        reads_again(numbers.first().map(|n| vec![Some(*n), None]))
            && reads_again([text.clone(), String::new()])
            && reads_again(Value::from(text))
            && reads_again(bytes)
            && reads_again(numbers)
            && reads_again(flag)
            && reads_again(i32::MIN)
            && reads_again([floats, floats])
    }

    fn a_whole_number_is_read_as_a_float_only_if_it_is_the_same(wide: i64, shift: u8) -> bool {
        let whole = wide.wrapping_shr(shift.into());
        let read = f64::from_value(&Value::from(whole));
        match read {
            Some(float) => format!("{float:.0}") == whole.to_string(),
            None => whole.unsigned_abs() > 1 << 53,
        }
    }
}

#[test]
fn types_do_not_read_one_another() {
    let values =
        [Value::Null, true.into(), 3_000_000_000_i64.into(), 0.5.into(), "a".into(), vec![1_u8].into()];
    fn reads<T: FromValue>(values: &[Value]) -> String {
        values.iter().map(|value| if T::from_value(value).is_some() { 'x' } else { '.' }).collect()
    }
    assert_eq!(reads::<bool>(&values), ".x....");
    assert_eq!(reads::<i64>(&values), "..x...");
    assert_eq!(reads::<i32>(&values), "......");
    assert_eq!(reads::<f64>(&values), "..xx..");
    assert_eq!(reads::<String>(&values), "....x.");
    assert_eq!(reads::<Vec<u8>>(&values), ".....x");
    assert_eq!(reads::<Option<f64>>(&values), "x.xx..");
    assert_eq!(reads::<Value>(&values), "xxxxxx");
    let list = [Value::from(values.to_vec()), Value::from(Vec::<Value>::new())];
    assert_eq!(reads::<Vec<bool>>(&list), ".x");
    assert_eq!(reads::<Vec<Value>>(&list), "xx");
    assert_eq!(reads::<[Value; 6]>(&list), "x.");
    assert_eq!(reads::<[bool; 6]>(&list), "..");
    assert_eq!(reads::<Vec<u8>>(&list), "..");
}

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(of: impl FnOnce() -> T) -> usize {
    let before = CALLS.get();
    let it = of();
    let after = CALLS.get();
    drop(it);
    after - before
}

#[test]
fn reading_allocates_what_the_value_needs() {
    let (world, mill) = (World::root(), mill());
    let document = edited(1, |tx| {
        mill.name.set(tx, "Old mill");
        mill.tags.insert(tx, "ruin");
        mill.votes.add(tx, 2);
        mill.ring.splice(tx, 0, 0, [[0.0, 0.0], [1.0, 0.0]]);
    });
    let lengths = || mill.ring.iter(&document).flatten().map(|[lon, lat]| lon.hypot(lat)).sum::<f64>();
    assert_eq!(allocations(lengths), 0);
    assert_eq!(allocations(|| mill.ring.get(&document, 1)), 0);
    assert_eq!(allocations(|| (mill.votes.get(&document), mill.starred.is_up(&document))), 0);
    assert_eq!(allocations(|| mill.tags.contains(&document, "ruin")), 0);
    assert_eq!(allocations(|| mill.name.raw(&document).and_then(|name| name.get()?.text())), 0);
    assert_eq!(allocations(|| world.places.keys(&document).count()), 0);
    assert_eq!(allocations(|| mill.name.get(&document)), 1, "the text");
    let heights = &world.heights;
    assert_eq!(allocations(|| heights.get("Brocken")), 0, "a short key, and no fields");
    assert_eq!(
        allocations(|| world.places.get("mill").votes),
        3,
        "the place, its owner, and their map of friends"
    );
}
