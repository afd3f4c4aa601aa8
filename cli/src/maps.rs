//! The tile sets of a folder, as `watersmeet serve` serves them: looked at for changes, counted, and told of.

use crate::config::Settings;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use watersmeet_sync::Companion;
use watersmeet_tiles::{Folder, SetsError, TileServer};

/// The tile sets of a folder, and their server.
#[derive(Clone)]
pub(crate) struct Maps {
    folder: Folder,
    pub(crate) server: TileServer,
    look: Duration,
    hot_saved: Duration,
}

impl Maps {
    pub(crate) fn open(settings: &Settings, path: &Path, path_prefix: String) -> Result<Self, SetsError> {
        let folder = Folder::open(path, settings.tiles.old_versions)?;
        let server = TileServer::new(folder.sets().clone(), settings.serve_options(path_prefix));
        let (look, hot_saved) = (settings.tiles.look.0, settings.tiles.hot_saved.0);
        Ok(Self { folder, server, look, hot_saved })
    }

    /// Looks at the folder and writes counts down from time to time, and looks at once when told to hurry. Never done.
    pub(crate) async fn tend(self, mut hurry: impl AsyncFnMut()) {
        let (mut look, mut save) = (ticks(self.look), ticks(self.hot_saved));
        loop {
            tokio::select! {
                _ = look.tick() => self.off_thread(Folder::look).await,
                // Twice: a file is taken when two looks find it the same.
                () = hurry() => self.off_thread(|folder| [(); 2].iter().for_each(|()| folder.look())).await,
                _ = save.tick(), if !self.hot_saved.is_zero() => self.off_thread(Folder::save_hot).await,
            }
        }
    }

    async fn off_thread(&self, work: impl FnOnce(&Folder) + Send + 'static) {
        let folder = self.folder.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || work(&folder)).await {
            tracing::error!(%error, "the tiles' folder could not be tended");
        }
    }

    /// The last thing before the end.
    pub(crate) fn close(&self) {
        if !self.hot_saved.is_zero() {
            self.folder.save_hot();
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
        self.server.write_metrics(out, self.folder.faults().len())
    }

    fn notices(&self) -> Vec<String> {
        self.folder.faults()
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
