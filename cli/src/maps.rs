//! The tile sets of a folder and of object stores, as `watersmeet serve` serves them: looked at for changes, counted, and
//! told of.

use crate::config::Settings;
use crate::serve::ServeError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use watersmeet_sync::Companion;
use watersmeet_tiles::{Folder, RemoteSets, Sets, TileServer};

/// The tile sets, and their server.
#[derive(Clone)]
pub(crate) struct Maps {
    folder: Option<Folder>,
    remote: RemoteSets,
    pub(crate) server: TileServer,
    look: Duration,
    hot_saved: Duration,
}

impl Maps {
    pub(crate) fn open(settings: &Settings, path_prefix: String) -> Result<Self, ServeError> {
        let old_versions = settings.tiles.old_versions;
        let opened = settings.server.tiles.as_ref().map(|folder| {
            let failed = |source| ServeError::Tiles { folder: folder.clone(), source };
            Folder::open(folder, old_versions).map_err(failed)
        });
        let folder = opened.transpose()?;
        let sets =
            folder.as_ref().map_or_else(|| Sets::keeping(old_versions), |folder| folder.sets().clone());
        let urls = settings.tiles.sets.iter().map(|set| (set.name.as_deref(), &*set.url));
        let remote = RemoteSets::new(&sets, urls)?;
        let server = TileServer::new(sets, settings.serve_options(path_prefix));
        let (look, hot_saved) = (settings.tiles.look.0, settings.tiles.hot_saved.0);
        Ok(Self { folder, remote, server, look, hot_saved })
    }

    /// Opens what lies in stores. One that does not answer is told of, and tried again later.
    pub(crate) async fn begin(&self) {
        self.remote.look().await;
    }

    /// Looks at folder and stores and writes counts down from time to time, and looks at once when told to hurry. Never done.
    pub(crate) async fn tend(self, mut hurry: impl AsyncFnMut()) {
        let (mut look, mut save) = (ticks(self.look), ticks(self.hot_saved));
        loop {
            tokio::select! {
                _ = look.tick() => {
                    tokio::join!(self.off_thread(Folder::look), self.remote.look());
                }
                // Twice: a file is taken when two looks find it the same.
                () = hurry() => {
                    let twice = |folder: &Folder| [(); 2].iter().for_each(|()| folder.look());
                    tokio::join!(self.off_thread(twice), self.remote.look());
                }
                _ = save.tick(), if !self.hot_saved.is_zero() => self.off_thread(Folder::save_hot).await,
            }
        }
    }

    async fn off_thread(&self, work: impl FnOnce(&Folder) + Send + 'static) {
        let Some(folder) = self.folder.clone() else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || work(&folder)).await {
            tracing::error!(%error, "the tiles' folder could not be tended");
        }
    }

    /// The last thing before the end.
    pub(crate) fn close(&self) {
        if let Some(folder) = self.folder.as_ref().filter(|_| !self.hot_saved.is_zero()) {
            folder.save_hot();
        }
    }
}

/// From one span from now on. None is never shorter than a millisecond.
fn ticks(span: Duration) -> tokio::time::Interval {
    let span = span.max(Duration::from_millis(1));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + span, span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Companion for Maps {
    fn write_metrics(&self, out: &mut String) -> fmt::Result {
        self.server.write_metrics(out, self.notices().len())
    }

    fn notices(&self) -> Vec<String> {
        let of_folder = self.folder.as_ref().map(Folder::faults).unwrap_or_default();
        [of_folder, self.remote.faults()].concat()
    }
}

/// Lets `server` tell of these tiles, and tends them.
pub(crate) fn accompany(server: &watersmeet_sync::Server, maps: &Maps) -> std::io::Result<()> {
    server.accompany(Arc::new(maps.clone()));
    #[cfg(unix)]
    {
        let mut hang_up = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::spawn(maps.clone().tend(async move || {
            hang_up.recv().await;
        }));
    }
    #[cfg(not(unix))]
    tokio::spawn(maps.clone().tend(async || std::future::pending().await));
    Ok(())
}
