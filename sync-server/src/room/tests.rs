use super::*;
use crate::access::Access;
use crate::mailbox::{Capacity, Letters};
use crate::{Config, Server};
use std::time::Duration;
use watersmeet_crdt::session::{Frame, Input, Limits as SessionLimits, Output, PROTOCOL, Session, Token};
use watersmeet_crdt::{ReplicaId, Time};

const NOW: Time = Time::from_millis(1_700_000_000_000);

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
async fn letters(mailbox: &Mailbox) -> Letters {
    let posted = tokio::time::timeout(Duration::from_secs(60), mailbox.posted());
    posted.await.expect("something is posted");
    mailbox.take()
}

/// Two receivers hand their sockets the same bytes, not equal ones: to encode a frame for each would cost more than all
/// the rest of a delivery.
#[tokio::test]
async fn an_edit_is_encoded_once_however_many_receive_it() {
    let folder = std::env::temp_dir().join(format!("watersmeet-room-test-{}", std::process::id()));
    let server = Server::open(Config::new(&folder, Access::open())).unwrap();
    let hub = server.hub.clone();
    let door = hub.rooms.door("map").unwrap();
    let mut mailboxes = Vec::new();
    for number in 0..3 {
        let capacity = Capacity { bytes: 1_000, deltas: 8 };
        let mailbox = Arc::new(Mailbox::new(capacity, hub.metrics.queue_drops.clone()));
        let (guest, has) = (GuestId(number), VersionVector::default());
        door.requests.send(Request::Join { guest, mailbox: mailbox.clone(), has }).await.unwrap();
        assert!(matches!(letters(&mailbox).await.answers[..], [Answer::Opened { .. }]));
        mailboxes.push(mailbox);
    }
    let mut document = Document::new(ReplicaId::new(2));
    document.edit(NOW, |tx| tx.set(&["mill"], "old")).unwrap();
    let delta_of_author = document.since(&VersionVector::default());
    let edit = Edit {
        guest: GuestId(0),
        author: None,
        bytes: delta_of_author.encode(),
        delta: Box::new(delta_of_author),
        came: Arrival::now(GuestId(0), "map", 0),
        permit: hub.inbound.clone().acquire_many_owned(1).await.unwrap(),
    };
    door.requests.send(Request::Edit(edit)).await.unwrap();

    let mut sent = Vec::new();
    for mailbox in &mailboxes[1..] {
        let group = letters(mailbox).await.deltas.pop_front().expect("a delta");
        let mut session = session(group.channel);
        assert!(session.send_encoded(group.channel, &group.from, &group.to, group.frame.clone()));
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
