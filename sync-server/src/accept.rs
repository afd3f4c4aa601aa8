//! Connections of TCP, and HTTP on them, with bounds on what a stranger may hold before any route is asked: how many
//! sockets are open, how long the head of a request may take, and how long an answer may wait for a reader who does not
//! read.
//!
//! A WebSocket keeps its socket's place among all of them; what it may hold besides is the business of its pump.

use crate::hub::Hub;
use crate::paced::Paced;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Bytes of the head of a request, and of an answer that wait for their socket. A version of many replicas may be part of
/// the address.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// Who come when all sockets are taken are told so, as many at once. Others are cut off.
const TURNED_AWAY_MAX: usize = 64;
/// Bytes that are read of who is turned away, so that the answer is not lost with what is unread.
const TURNED_AWAY_BYTES: u64 = 64 << 10;
/// How long nobody is let in after the system had no room for one more, such as an open file.
const OUT_OF_ROOM: Duration = Duration::from_millis(200);

/// Serves until the hub stops, and then until all answers have been given.
pub(crate) async fn serve(listener: TcpListener, app: Router, hub: Arc<Hub>) {
    let tasks = TaskTracker::new();
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    loop {
        let stream = tokio::select! {
            stream = next(&listener) => stream,
            () = hub.stop.cancelled() => break,
        };
        match hub.sockets.clone().try_acquire_owned() {
            Ok(place) => {
                let stream = Paced::new(stream, hub.limits.stall, (place, hub.metrics.socket()));
                tasks.spawn(converse(stream, app.clone(), hub.clone()));
            }
            Err(_all_taken) => {
                hub.metrics.refused("full");
                let Ok(place) = turned_away.clone().try_acquire_owned() else { continue };
                let linger = hub.limits.linger;
                tasks.spawn(async move {
                    let _ = tokio::time::timeout(linger, turn_away(stream)).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The next connection, however many break before they are there.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Frames are small and flushed once they are complete; to hold them back would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return stream;
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; is LimitNOFILE (ulimit -n) too low?");
                tokio::time::sleep(OUT_OF_ROOM).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Answers the requests of one connection.
async fn converse(stream: Paced, app: Router, hub: Arc<Hub>) {
    let pace = stream.pace();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(hub.limits.head).max_buf_size(BUFFER_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection.with_upgrades());
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = hub.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // If it has become a WebSocket, that has a pace of its own.
    pace.end();
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Says that there is no room, and hears the peer out, or it might not read that.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(crate::http::full().as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(TURNED_AWAY_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}
