//! Whether edits can be stored now, for whoever asks, however many do.
//!
//! To know it takes a synced write. So what was found holds for a while, and who asks in the meantime, or while it is
//! being found out, is told the same: strangers who ask cost the disk nothing.

use crate::hub::Hub;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

/// Why edits cannot be stored, if they cannot.
type Finding = Result<(), String>;

/// The latest finding, and when it was made. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Health {
    latest: Mutex<Option<(Instant, Finding)>>,
}

impl Health {
    /// What is known, found out again if it is too old.
    pub(crate) async fn of(hub: Arc<Hub>) -> Finding {
        // In a task of its own: who asks and goes away would otherwise end it, and the next would start another.
        let finding = tokio::spawn(async move { hub.health.latest_or_new(&hub).await });
        finding.await.unwrap_or_else(|_| Err("the check failed".to_owned()))
    }

    async fn latest_or_new(&self, hub: &Hub) -> Finding {
        let mut latest = self.latest.lock().await;
        let fresh = latest.as_ref().filter(|(at, _)| at.elapsed() < hub.limits.health_kept);
        if let Some((_, finding)) = fresh {
            return finding.clone();
        }
        let finding = match tokio::time::timeout(hub.limits.health, hub.committer.check()).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_elapsed) => Err("the store does not answer".to_owned()),
        };
        *latest = Some((Instant::now(), finding.clone()));
        finding
    }
}
