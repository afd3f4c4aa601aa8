//! A TCP proxy that counts, that can be slow, and that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Stands between clients and a server. Its threads end with the connections, and with the test.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct Wire {
    bytes_per_second: u64,
    cut: AtomicBool,
    received: AtomicU64,
    ends: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a free port and passes on to the server at `port`.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(port: u16) -> Self {
        Self::start_at(port, u64::MAX)
    }

    /// As [`start`](Self::start); each way it lets so many bytes pass in a second.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start_at(port: u16, bytes_per_second: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let wire = Wire { bytes_per_second, ..Wire::default() };
        let proxy = Proxy { port: listener.local_addr().expect("bound").port(), wire: Arc::new(wire) };
        let wire = proxy.wire.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever comes while it is cut finds nobody.
                if !wire.cut.load(Ordering::SeqCst) {
                    wire.pass_on(client, port);
                }
            }
        });
        proxy
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/sync", self.port)
    }

    /// Where others connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that clients were sent so far.
    pub fn received_bytes(&self) -> u64 {
        self.wire.received.load(Ordering::SeqCst)
    }

    /// Ends all connections, and lets nobody in.
    pub fn cut(&self) {
        self.wire.cut.store(true, Ordering::SeqCst);
        for end in self.wire.ends.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Lets clients in again.
    pub fn mend(&self) {
        self.wire.cut.store(false, Ordering::SeqCst);
    }
}

impl Wire {
    fn pass_on(self: &Arc<Self>, client: TcpStream, port: u16) {
        let server = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
        let copy = |end: &TcpStream| end.try_clone().expect("another handle");
        let (from_client, from_server) = (copy(&client), copy(&server));
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).extend([copy(&client), copy(&server)]);
        let wire = self.clone();
        std::thread::spawn(move || pump(from_client, server, |bytes| wire.take_time(bytes)));
        let wire = self.clone();
        std::thread::spawn(move || {
            pump(from_server, client, |bytes| {
                wire.received.fetch_add(bytes, Ordering::SeqCst);
                wire.take_time(bytes);
            });
        });
    }

    fn take_time(&self, bytes: u64) {
        std::thread::sleep(Duration::from_micros(1_000_000 * bytes / self.bytes_per_second.max(1)));
    }
}

/// Copies until an end has gone.
fn pump(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u64)) {
    let mut buffer = [0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        count(bytes as u64);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
