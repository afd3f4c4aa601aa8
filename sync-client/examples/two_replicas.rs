//! Two clients edit one document at the same time, and meet.
//!
//! Start a server (`cargo run -p watersmeet -- serve`), then `cargo run -p watersmeet-client --example two_replicas`.

use watersmeet_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/sync".to_owned());
    let anna = Client::connect(&url).await?.open("example");
    let ben = Client::connect(&url).await?.open("example");

    // Both at once, on the same place.
    anna.edit(|tx| {
        tx.set(&["mill", "name"], "Water mill");
        tx.insert(&["mill", "tags"], "ruin");
    })?;
    ben.edit(|tx| tx.increment(&["mill", "votes"], 1))?;

    // On the server's disk, and soon heard by the other.
    anna.durable().await?;
    ben.durable().await?;
    while anna.read(|map| map.hash()) != ben.read(|map| map.hash()) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    for (who, document) in [("anna", &anna), ("ben", &ben)] {
        document.read(|map| {
            let (name, votes) = (map.register(&["mill", "name"]), map.counter(&["mill", "votes"]));
            println!("{who} sees {name:?} with {votes} votes; state {:032x}", map.hash());
        });
    }
    Ok(())
}
