use super::*;
use crate::access::{Access, Claims, SigningKey};
use crate::store::{Sqlite, Store};
use crate::{Config, Server, router, serve};
use tokio::net::TcpListener;
use watersmeet_client::Client;

/// Bytes of the task of a connection, its wire and its mailbox, without what they point to.
const CONNECTION_BYTES_MAX: usize = 3_000;

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// An edit was let in, and waits for room among all that wait in the server; meanwhile the key of its author's token is
/// taken away.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_whose_author_lost_its_rights_while_it_waited_is_not_taken() {
    let folder = std::env::temp_dir().join(format!("watersmeet-pump-{}", std::process::id()));
    let key = SigningKey::generate_ed25519("a").unwrap();
    let everything = vec!["**".parse().unwrap()];
    let claims = Claims { read: everything.clone(), write: everything, ..Claims::new("anna", 4_000_000_000) };
    let server = Server::open(Config::new(&folder, Access::keys([key.verifying()]))).unwrap();
    let hub = server.hub.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/sync", listener.local_addr().unwrap());
    let stop = hub.stop.clone().cancelled_owned();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { serve(listener, router(server.clone()), &server, stop).await }
    });
    let client = Client::builder(&url).token(key.sign(&claims)).connect().await.unwrap();
    let document = client.open("map");
    document.synced().await.unwrap();

    let all = hub.limits.inbound_bytes;
    let taken = hub.inbound.clone().acquire_many_owned(all).await.unwrap();
    document.edit(|tx| tx.set(&["mill"], "old")).unwrap();
    until("the edit has come", || hub.metrics.received_deltas.get() == 1).await;
    let other = SigningKey::generate_ed25519("b").unwrap();
    server.trust(Access::keys([other.verifying()])).unwrap();
    drop(taken);
    until("it waits no longer", || hub.inbound.available_permits() == all as usize).await;
    until("its connection has ended", || hub.metrics.connections.get() == 0).await;

    drop(client);
    server.shutdown().await;
    serving.await.unwrap().unwrap();
    drop((server, hub));
    let saved = Sqlite::open(&folder).unwrap().load("map").unwrap();
    assert!(saved.snapshot.is_none() && saved.deltas.is_empty(), "{saved:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// What an idle connection takes besides its buffers and what it has open: a size that grows unnoticed, times ten thousand.
#[test]
fn a_connection_is_small() {
    fn bytes<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    let sizes = [bytes(super::serve), size_of::<Wire>(), size_of::<Mailbox>()];
    println!("task, wire and mailbox: {sizes:?} bytes");
    assert!(sizes.iter().sum::<usize>() <= CONNECTION_BYTES_MAX, "{sizes:?}");
}
