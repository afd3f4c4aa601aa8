//! Writers that edit as fast as the server acknowledges: how many edits a second become durable.
//!
//! `cargo run --release -p watersmeet-client --example load -- ws://127.0.0.1:8080/sync [writers] [edits each] [documents]`

use std::time::Instant;
use watersmeet_client::{Client, Error};

/// Edits that a writer leaves unacknowledged before it waits.
const IN_FLIGHT: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("name the server's URL")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (writers, edits) = (number(50)?, number(2_000)?);
    let documents = number(writers)?;

    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|n| tokio::spawn(write(url.clone(), format!("load {}", n % documents), edits)))
        .collect();
    for task in tasks {
        task.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{writers} writers, {documents} documents: {} durable edits in {seconds:.2} s, {:.0} a second",
        writers * edits,
        f64::from(u32::try_from(writers * edits)?) / seconds
    );
    Ok(())
}

async fn write(url: String, name: String, edits: u64) -> Result<(), Error> {
    let client = Client::connect(&url).await?;
    let document = client.open(&name);
    for n in 0..edits {
        document.edit(|tx| {
            tx.set(&["writers", &client.replica().get().to_string(), &(n % 100).to_string()], "value")
        })?;
        if document.status().not_on_server > IN_FLIGHT {
            document.durable().await?;
        }
        if n % 10 == 9 {
            tokio::task::yield_now().await;
        }
    }
    document.durable().await
}
