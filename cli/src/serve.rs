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
use watersmeet_sync::access::Access;
use watersmeet_sync::{Config, NoOrigin, Origin, Origins, Server};
use watersmeet_tiles::{ServeOptions, Sets};

/// Serve documents, tiles and the web app.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen at. Port 0 takes any that is free.
    #[arg(long, env = "WATERSMEET_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds the documents.
    #[arg(long, env = "WATERSMEET_DATA", default_value = "watersmeet-data")]
    data: PathBuf,
    /// The folder that holds tile archives (`NAME.pmtiles`); none are served without it.
    #[arg(long, env = "WATERSMEET_TILES")]
    tiles: Option<PathBuf>,
    /// The folder that holds the web app; none is served without it.
    #[arg(long, env = "WATERSMEET_WEB")]
    web: Option<PathBuf>,
    /// The URL that browsers reach this server by, if it is not the one it listens at.
    #[arg(long, env = "WATERSMEET_PUBLIC_URL")]
    public_url: Option<String>,
    /// A website whose pages may sync with this server, such as `https://maps.example`, besides those that it serves
    /// itself; * for all. Can be given several times.
    #[arg(long, env = "WATERSMEET_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
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
    #[error("the tiles in {folder} cannot be served: {source}")]
    Tiles { folder: PathBuf, source: watersmeet_tiles::SetsError },
    #[error("{option}: {source}")]
    Origin { option: &'static str, source: NoOrigin },
    #[error("the web folder {0} has no index.html")]
    Web(PathBuf),
}

impl Serve {
    #[tokio::main]
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let listener = self.bind().await?;
        let address = listener.local_addr()?;
        let content = self.content()?;
        let server =
            Server::open(Config { origins: self.origins()?, ..Config::new(&self.data, Access::open()) })?;
        let app = watersmeet_sync::router(server.clone()).merge(content);
        let stop = stop()?;
        announce(address, self.public_url.as_deref())?;
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

    /// The allowed origins, and the one by which browsers reach this server.
    fn origins(&self) -> Result<Origins, ServeError> {
        if self.allow_origin.iter().any(|origin| origin == "*") {
            return Ok(Origins::Any);
        }
        let origin = |option: &'static str, url: &String| {
            url.parse::<Origin>().map_err(|source| ServeError::Origin { option, source })
        };
        let public = self.public_url.iter().map(|url| origin("--public-url", url));
        let allowed = self.allow_origin.iter().map(|url| origin("--allow-origin", url));
        Ok(Origins::These(public.chain(allowed).collect::<Result<_, _>>()?))
    }

    /// Tiles and the web app.
    fn content(&self) -> Result<Router, ServeError> {
        let mut content = Router::new();
        if let Some(folder) = &self.tiles {
            let sets = Sets::open_dir(folder)
                .map_err(|source| ServeError::Tiles { folder: folder.clone(), source })?;
            let options = ServeOptions { public_url: self.public_url.clone(), ..ServeOptions::default() };
            content = content.merge(watersmeet_tiles::router(sets, options));
        }
        if let Some(folder) = self.web.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
            return Err(ServeError::Web(folder.clone()));
        }
        let (tiles, web) = (self.tiles.is_some(), self.web.clone());
        Ok(content.merge(web::router(web::Content { tiles, web })))
    }
}

/// Says that the server is ready; scripts wait for this line.
fn announce(address: SocketAddr, public_url: Option<&str>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    if let Some(url) = public_url {
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
