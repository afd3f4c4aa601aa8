//! What all connections share.

use crate::access::{Access, OtherMode};
use crate::committer::Committer;
use crate::compactor::Compactor;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outgoing::Outgoing;
use crate::owners::Owners;
use crate::room::{GuestId, Needs};
use crate::rooms::Rooms;
use crate::store::Store;
use crate::subjects::Subjects;
use crate::{Companion, Config, Hosts, Limits, Origins, ServerError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watersmeet_crdt::ReplicaId;
use watersmeet_crdt::session::Limits as SessionLimits;
use watersmeet_crdt::session::redirect::is_socket_url;

pub(crate) struct Hub {
    pub(crate) limits: Arc<Limits>,
    /// Those of them that are of sessions, which share them.
    pub(crate) session_limits: Arc<SessionLimits>,
    /// Asked when somebody comes.
    access: RwLock<Access>,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) origins: Origins,
    pub(crate) hosts: Hosts,
    pub(crate) replica: ReplicaId,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) committer: Committer,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    /// What else the program does.
    pub(crate) companion: OnceLock<Arc<dyn Companion>>,
    /// Bytes of edits that may still wait for their rooms.
    pub(crate) inbound: Arc<Semaphore>,
    /// Bytes that may still come of large edits whose end is under way.
    pub(crate) coming: Arc<Semaphore>,
    /// Sockets that may still be opened.
    pub(crate) sockets: Arc<Semaphore>,
    /// Bytes of answers that may still be on their way.
    pub(crate) answers: Arc<Semaphore>,
    /// Documents that are being encoded, or turned into JSON.
    pub(crate) renderings: Arc<Semaphore>,
    /// Where peers are sent when the server stops.
    pub(crate) drain_to: Option<String>,
    /// Whether it has been announced that the server will stop.
    leaving: AtomicBool,
    /// Cancelled when the server stops.
    pub(crate) stop: CancellationToken,
    /// Connections and rooms.
    pub(crate) tasks: TaskTracker,
    connections: Arc<Semaphore>,
    guests: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Hub {
    /// Starts on `store`, whatever folder is configured.
    pub(crate) fn start(config: Config, store: Arc<dyn Store>) -> Result<Arc<Self>, ServerError> {
        let Config { limits, access, origins, hosts, drain_to, data: _ } = config;
        limits.check()?;
        if let Some(url) = drain_to.as_ref().filter(|url| !is_socket_url(url)) {
            return Err(ServerError::DrainTo(url.clone()));
        }
        let limits = Arc::new(limits);
        let replica = ReplicaId::new(getrandom::u64().map_err(ServerError::Random)?);
        let metrics = Metrics::new();
        let (queue, batch) = (limits.commit_queue, limits.commit_batch);
        let (committer, thread) =
            Committer::start(store.clone(), queue, batch, metrics.clone()).map_err(ServerError::Thread)?;
        tokio::spawn(committer.mend(limits.clone()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let compactor = Compactor::start(store.clone(), metrics.clone(), limits.compact_queue, stop.clone());
        let renderings = Arc::new(Semaphore::new(limits.renderings));
        let needs = Needs {
            limits: limits.clone(),
            owners: Owners::new(store.clone()),
            store,
            committer: committer.clone(),
            compactor,
            outgoing: Arc::new(Outgoing::new(&limits)),
            renderings: renderings.clone(),
            metrics: metrics.clone(),
        };
        let rooms = Rooms::new(needs, stop.clone(), tasks.clone());
        Ok(Arc::new(Hub {
            access: RwLock::new(access),
            subjects: Subjects::new(limits.connections_per_subject, limits.edits),
            origins,
            hosts,
            replica,
            rooms,
            committer,
            health: Health::default(),
            metrics,
            companion: OnceLock::new(),
            inbound: Arc::new(Semaphore::new(limits.inbound_bytes as usize)),
            coming: Arc::new(Semaphore::new(limits.coming_bytes as usize)),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
            answers: Arc::new(Semaphore::new(limits.answer_bytes as usize)),
            renderings,
            connections: Arc::new(Semaphore::new(limits.connections)),
            session_limits: Arc::new(limits.session.clone()),
            limits,
            drain_to,
            leaving: AtomicBool::new(false),
            stop,
            tasks,
            guests: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Whom the server believes.
    pub(crate) fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Believes others from now on.
    pub(crate) fn trust(&self, access: Access) -> Result<(), OtherMode> {
        access.succeed(&mut self.access.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says from now on, to whoever asks, that the server is about to stop. Work goes on.
    pub(crate) fn announce_stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop, or stops.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.stop.is_cancelled()
    }

    /// Lets one more connection in; none if there are too many.
    pub(crate) fn admit(&self) -> Option<(GuestId, OwnedSemaphorePermit)> {
        let permit = self.connections.clone().try_acquire_owned().ok()?;
        Some((GuestId(self.guests.fetch_add(1, Ordering::Relaxed)), permit))
    }

    /// Ends connections, then rooms, then the committer, within the time that [`Limits::drain`] gives: three quarters
    /// of it are for the peers.
    pub(crate) async fn shutdown(&self) {
        let deadline = Instant::now() + self.limits.drain;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.limits.drain * 3 / 4, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some connections did not end in time and are cut off");
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let closed = async {
            self.committer.close().await;
            while thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout_at(deadline.into(), closed).await.is_err() {
            tracing::error!("the store does not answer and is left as it is; what was acknowledged is safe");
        }
    }
}
