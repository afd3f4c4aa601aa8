//! `watersmeet serve`: documents, tiles and the web app on one port.

use crate::config::{self, Flags, Level, Settings};
use crate::maps::{self, Maps};
use crate::{log, web};
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use serde_json::json;
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal;
use watersmeet_crdt::session::redirect::is_socket_url;
use watersmeet_sync::access::{Access, AccessError};
use watersmeet_sync::{Config, Hosts, NoOrigin, Origin, Origins, Server};

/// Serve documents, tiles and the web app.
///
/// Every setting can be in a file, in the environment (`WATERSMEET_LIMITS_ROOMS` for `limits.rooms`) and in a flag.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Limit(#[from] watersmeet_sync::OutOfRange),
    #[error(
        "port {} at {} is taken; stop what listens there, or choose another with --listen {}:PORT (0 for any that is free)",
        .0.port(), .0.ip(), .0.ip()
    )]
    PortTaken(SocketAddr),
    #[error("cannot listen at {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the tiles in {folder} cannot be served: {source}")]
    Tiles { folder: PathBuf, source: watersmeet_tiles::SetsError },
    #[error("tiles.sets: {0}")]
    Remote(#[from] watersmeet_tiles::RemoteError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("{option}: {source}")]
    Origin { option: &'static str, source: NoOrigin },
    #[error("server.drain_to: {0:?} is no URL of a server's socket, such as wss://b.example/sync")]
    DrainTo(String),
    #[error("--path-prefix: {0:?} is no path such as /maps")]
    PathPrefix(String),
    #[error("tiles.fonts: {0} is no folder")]
    Fonts(PathBuf),
    #[error("the web folder {0} has no index.html")]
    Web(PathBuf),
}

impl Serve {
    pub(crate) fn run(self, level: Option<Level>) -> Result<(), Box<dyn Error>> {
        let flags = self.flags.with_level(level);
        let settings = Settings::load(&flags)?;
        let _exporting = log::start(&settings)?;
        let runtime = tokio::runtime::Runtime::new()?;
        let served = runtime.block_on(serve(&settings, flags));
        // Whoever still waits for a disk that hangs is not waited for.
        runtime.shutdown_background();
        served
    }
}

async fn serve(settings: &Settings, flags: Flags) -> Result<(), Box<dyn Error>> {
    let plan = Plan::of(settings)?;
    if let Some(maps) = &plan.maps {
        maps.begin().await;
    }
    let listener = bind(settings.server.listen).await?;
    let address = listener.local_addr()?;
    let hosts = plan.hosts(address);
    let config = Config {
        limits: settings.limits(),
        access: plan.access,
        origins: plan.origins,
        hosts,
        data: settings.server.data.clone(),
        drain_to: settings.server.drain_to.clone(),
    };
    let server = Server::open(config)?;
    let app = below(&plan.path_prefix, watersmeet_sync::router(server.clone()).merge(plan.content));
    reload_on_hangup(server.clone(), flags)?;
    let stop = stop(Signals::listen()?, server.clone(), settings.server.drain_notice.0);
    if let Some(maps) = &plan.maps {
        maps::accompany(&server, maps)?;
    }
    announce(address, settings)?;
    watersmeet_sync::serve(listener, app, &server, stop).await?;
    if let Some(maps) = &plan.maps {
        maps.close();
    }
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ServeError::PortTaken(address),
        _ => ServeError::Listen { address, source },
    })
}

/// What settings come to: keys that were read, folders that were opened. Also what `config check` checks.
pub(crate) struct Plan {
    access: Access,
    origins: Origins,
    /// The websites that are known as this server's own, or allowed.
    known: Vec<Origin>,
    path_prefix: String,
    maps: Option<Maps>,
    /// Tiles and the web app.
    content: Router,
}

impl Plan {
    pub(crate) fn of(settings: &Settings) -> Result<Self, ServeError> {
        let server = &settings.server;
        settings.limits().check()?;
        if let Some(url) = server.drain_to.as_ref().filter(|url| !is_socket_url(url)) {
            return Err(ServeError::DrainTo(url.clone()));
        }
        let known = known_origins(server)?;
        let any = server.allow_origin.iter().any(|origin| origin == "*");
        let path_prefix = path_prefix(&server.path_prefix)?;
        let maps = maps(settings, &path_prefix)?;
        Ok(Plan {
            access: settings.access.load()?,
            origins: if any { Origins::Any } else { Origins::These(known.clone()) },
            known,
            path_prefix,
            content: content(server, maps.as_ref())?,
            maps,
        })
    }

    /// The names that an open server answers to.
    fn hosts(&self, address: SocketAddr) -> Hosts {
        match (self.access.is_open(), address.ip().is_loopback()) {
            (true, true) => Hosts::Loopback(self.known.clone()),
            (true, false) => {
                tracing::warn!(
                    %address,
                    "OPEN: whoever reaches this address can read and edit every document. Give it a key (--key FILE), or listen on loopback"
                );
                Hosts::Any
            }
            (false, _) => Hosts::Any,
        }
    }
}

/// The allowed origins, and the one by which browsers reach this server.
fn known_origins(server: &config::Server) -> Result<Vec<Origin>, ServeError> {
    let origin = |option: &'static str, url: &String| {
        url.parse::<Origin>().map_err(|source| ServeError::Origin { option, source })
    };
    let public = server.public_url.iter().map(|url| origin("--public-url", url));
    let allowed = server.allow_origin.iter().filter(|url| *url != "*");
    public.chain(allowed.map(|url| origin("--allow-origin", url))).collect()
}

/// As it is put before paths: nothing, or `/` and segments without one at the end.
fn path_prefix(text: &str) -> Result<String, ServeError> {
    let prefix = text.trim_end_matches('/');
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    match prefix.strip_prefix('/') {
        None if prefix.is_empty() => Ok(String::new()),
        Some(segments) if segments.split('/').all(plain) => Ok(prefix.to_owned()),
        _ => Err(ServeError::PathPrefix(text.to_owned())),
    }
}

/// The tile sets, if there are any.
fn maps(settings: &Settings, path_prefix: &str) -> Result<Option<Maps>, ServeError> {
    if let Some(fonts) = settings.tiles.fonts.as_ref().filter(|fonts| !fonts.is_dir()) {
        return Err(ServeError::Fonts(fonts.clone()));
    }
    if settings.server.tiles.is_none() && settings.tiles.sets.is_empty() {
        return Ok(None);
    }
    Maps::open(settings, path_prefix.to_owned()).map(Some)
}

/// Tiles and the web app.
fn content(server: &config::Server, maps: Option<&Maps>) -> Result<Router, ServeError> {
    let content = maps.map_or_else(Router::new, |maps| maps.server.router());
    if let Some(folder) = server.web.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
        return Err(ServeError::Web(folder.clone()));
    }
    let (tiles, web) = (maps.is_some(), server.web.clone());
    Ok(content.merge(web::router(web::Content { tiles, web })))
}

/// Everything below a path, and nothing elsewhere. Whoever leaves out the last slash is sent to where it is.
fn below(prefix: &str, app: Router) -> Router {
    if prefix.is_empty() {
        return app;
    }
    let start = format!("{prefix}/");
    let to_start = {
        let start = start.clone();
        async move |RawQuery(query): RawQuery| {
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            Redirect::permanent(&format!("{start}{query}"))
        }
    };
    let elsewhere = json!({ "error": { "code": "not-found", "message": "there is nothing here", "hint": format!("everything is below {start}") } });
    Router::new()
        .route(prefix, get(to_start))
        .nest(&start, app)
        .fallback(async move || (StatusCode::NOT_FOUND, Json(elsewhere)))
}

/// Says that the server is ready; scripts wait for this line.
fn announce(address: SocketAddr, settings: &Settings) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    if let Some(url) = &settings.server.public_url {
        writeln!(out, "reached by {url}")?;
    }
    out.flush()
}

/// Said when a file has reached the size that the system allows; this number on Linux and on macOS.
#[cfg(unix)]
const SIGXFSZ: std::ffi::c_int = 25;

/// Done when the server is to stop: as long after the first signal as a balancer has to hear of it, or at the second.
async fn stop(mut signals: Signals, server: Server, notice: Duration) {
    let signal = signals.next().await;
    server.announce_stop();
    if notice > Duration::ZERO {
        tracing::info!("{signal}: stopping in {notice:?}, or when told again; /ready says so");
        let _ = tokio::time::timeout(notice, signals.next()).await;
    }
    tracing::info!("{signal}: stopping");
}

/// What tells the server to stop. Listened to before it says that it is ready.
#[cfg(unix)]
struct Signals {
    terminate: signal::unix::Signal,
    interrupt: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        let interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
        // A file that may not grow (`ulimit -f`) is a failed write, to be told of and survived, and not the end: whoever
        // listens to the signal is not ended by it.
        let _listens = signal::unix::signal(signal::unix::SignalKind::from_raw(SIGXFSZ))?;
        Ok(Signals { terminate, interrupt })
    }

    /// The next signal's name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "interrupted",
        }
    }
}

/// At each SIGHUP, reads the keys of tokens again: from the file, the environment and the flags that the server was started
/// with. Nothing else of the settings is looked at.
#[cfg(unix)]
fn reload_on_hangup(server: Server, flags: Flags) -> std::io::Result<()> {
    let mut hangup = signal::unix::signal(signal::unix::SignalKind::hangup())?;
    let reload =
        move || -> Result<(), Box<dyn Error>> { Ok(server.trust(Settings::load(&flags)?.access.load()?)?) };
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match reload() {
                Ok(()) => tracing::info!("SIGHUP: the keys of tokens were read again"),
                Err(error) => {
                    tracing::error!(%error, "SIGHUP: the keys of tokens stay as they are");
                }
            }
        }
    });
    Ok(())
}

/// There is no such signal.
#[cfg(not(unix))]
fn reload_on_hangup(_: Server, _: Flags) -> std::io::Result<()> {
    Ok(())
}

/// What tells the server to stop: Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) -> &'static str {
        let _ = signal::ctrl_c().await;
        "interrupted"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A log that can be read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_server_that_is_open_to_the_network_warns_of_it() {
        let warned = |access: Access, address: &str| {
            let (origins, known, path_prefix, content) = (Origins::Own, vec![], String::new(), Router::new());
            let plan = Plan { access, origins, known, path_prefix, maps: None, content };
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                plan.hosts(address.parse().expect("an address"))
            });
            let log = log.0.lock().expect("nobody panics").clone();
            String::from_utf8_lossy(&log).contains("OPEN")
        };
        assert!(warned(Access::open(), "0.0.0.0:8080") && warned(Access::open(), "[2001:db8::1]:8080"));
        assert!(!warned(Access::open(), "127.0.0.1:8080") && !warned(Access::open(), "[::1]:8080"));
        assert!(!warned(Access::keys([]), "0.0.0.0:8080"));
    }
}
