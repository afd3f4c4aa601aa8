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
use watersmeet_sync::access::{self, Access, AccessError, KeyConfig};
use watersmeet_sync::{Config, Hosts, NoOrigin, Origin, Origins, Server};
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
    /// A file with a key by which tokens are believed, as `watersmeet token key` writes it. Can be given several times.
    #[arg(long, env = "WATERSMEET_KEY", value_name = "FILE", value_delimiter = ',', conflicts_with = "open")]
    key: Vec<PathBuf>,
    /// Let everybody do everything, without tokens. For one's own machine.
    #[arg(long, env = "WATERSMEET_OPEN")]
    open: bool,
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
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{option}: {source}")]
    Origin { option: &'static str, source: NoOrigin },
    #[error("the web folder {0} has no index.html")]
    Web(PathBuf),
}

impl Serve {
    #[tokio::main]
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let access = self.access()?;
        let listener = self.bind().await?;
        let address = listener.local_addr()?;
        let content = self.content()?;
        let (origins, hosts) = (self.origins()?, self.hosts(&access, address)?);
        let server = Server::open(Config { origins, hosts, ..Config::new(&self.data, access) })?;
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

    /// Who may come in.
    fn access(&self) -> Result<Access, AccessError> {
        let keys = self.key.iter().map(KeyConfig::file).collect();
        access::Config { open: self.open, keys, ..access::Config::default() }.load()
    }

    /// The names that an open server answers to.
    fn hosts(&self, access: &Access, address: SocketAddr) -> Result<Hosts, ServeError> {
        match (access.is_open(), address.ip().is_loopback()) {
            (true, true) => Ok(Hosts::Loopback(self.known_origins()?)),
            (true, false) => {
                tracing::warn!(
                    %address,
                    "OPEN: whoever reaches this address can read and edit every document. Give it a key (--key FILE), or listen on loopback"
                );
                Ok(Hosts::Any)
            }
            (false, _) => Ok(Hosts::Any),
        }
    }

    /// The websites that may sync through their visitors' browsers.
    fn origins(&self) -> Result<Origins, ServeError> {
        match self.allow_origin.iter().any(|origin| origin == "*") {
            true => Ok(Origins::Any),
            false => Ok(Origins::These(self.known_origins()?)),
        }
    }

    /// The allowed origins, and the one by which browsers reach this server.
    fn known_origins(&self) -> Result<Vec<Origin>, ServeError> {
        let origin = |option: &'static str, url: &String| {
            url.parse::<Origin>().map_err(|source| ServeError::Origin { option, source })
        };
        let public = self.public_url.iter().map(|url| origin("--public-url", url));
        let allowed = self.allow_origin.iter().filter(|url| *url != "*");
        public.chain(allowed.map(|url| origin("--allow-origin", url))).collect()
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
