//! `watersmeet serve`: documents, tiles and the web app on one port.

use crate::web;
use axum::Router;
use clap::Args;
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::signal;
use watersmeet_sync::{Config, Server};

/// Serve documents, tiles and the web app.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen at. Port 0 takes any that is free.
    #[arg(long, env = "WATERSMEET_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds the documents.
    #[arg(long, env = "WATERSMEET_DATA", default_value = "watersmeet-data")]
    data: PathBuf,
    /// The folder that holds the web app; none is served without it.
    #[arg(long, env = "WATERSMEET_WEB")]
    web: Option<PathBuf>,
    /// The URL that browsers reach this server by, if it is not the one it listens at.
    #[arg(long, env = "WATERSMEET_PUBLIC_URL")]
    public_url: Option<String>,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(
        "port {} at {} is taken; stop what listens there, or choose another with --listen {}:PORT (0 for any that is free)",
        .0.port(), .0.ip(), .0.ip()
    )]
    PortTaken(SocketAddr),
    #[error("cannot listen at {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

impl Serve {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let listener = self.bind().await?;
        let address = listener.local_addr()?;
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let server = Server::open(Config::new(&self.data))?;
        let app = self.app(&server)?;
        let stop = stop()?;
        announce(address, &url)?;
        watersmeet_sync::serve(listener, app, &server, stop).await?;
        tracing::info!("stopped");
        Ok(())
    }

    async fn bind(&self) -> Result<TcpListener, ServeError> {
        TcpListener::bind(self.listen).await.map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => ServeError::PortTaken(self.listen),
            _ => ServeError::Listen { address: self.listen, source },
        })
    }

    fn app(&self, server: &Server) -> Result<Router, Box<dyn Error>> {
        let app = watersmeet_sync::router(server.clone());
        Ok(match &self.web {
            Some(folder) => app.fallback_service(web::router(folder)),
            None => app,
        })
    }
}

/// Says that the server is ready; scripts wait for this line.
fn announce(address: SocketAddr, url: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    if url != format!("http://{address}") {
        writeln!(out, "reached by {url}")?;
    }
    out.flush()
}

/// Done at the first SIGTERM or Ctrl-C. Installed before the server says that it is ready.
#[cfg(unix)]
fn stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
    })
}

/// Done at the first Ctrl-C.
#[cfg(not(unix))]
fn stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        let _ = signal::ctrl_c().await;
    })
}
