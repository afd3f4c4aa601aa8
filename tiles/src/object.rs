//! Archives and cells in an object store, read by range, so that a renderer needs no copy of its own.
//!
//! One idea: **no thread waits for the network.** A reader gives what is in memory; what is not is an [`Absent`] error that
//! can fetch it, and whoever gets it does so and asks again. So archives and renderers are the same code whether their
//! bytes lie in a file or in another country, and a store that hangs holds up nobody else.
//!
//! An object may be replaced while it is read, and two versions are never mixed: every request names the version that was
//! opened (`If-Match` with its `ETag`), and fails once there is another. Bytes come in blocks: neighbours on the map are
//! neighbours in an archive, so what is asked for next is often there already. Not here: when to look for another version
//! (see [`RemoteSets`](crate::RemoteSets)).

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path as Name, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;
use url::Url;

use crate::build::cells_path;
use crate::flights::Flights;
use crate::open::OpenError;
use crate::reader::{Absent, ByteReader, FETCHES_MAX, Fetch, within};
use crate::set::TileSet;

/// How many bytes come at once: what a store gives in about the time that it takes to begin.
const BLOCK_BYTES: u64 = 64 << 10;

/// An object's blocks may take so many bytes of memory. They are kept for what is read next; tiles, directories and cells
/// have caches of their own.
const BLOCKS_BYTES_MAX: u64 = 64 << 20;

/// No tile and no cell is longer; a range that is comes from a broken archive.
const RANGE_BYTES_MAX: usize = 16 << 20;

/// So many requests for one object are under way at once.
const REQUESTS_MAX: usize = 64;

/// How long bytes may take to come, with all tries.
const FETCH_TIME_MAX: Duration = Duration::from_secs(10);

/// Variables of the environment that tell of stores and credentials begin with one of these.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Where an object is.
#[derive(Clone)]
pub(crate) struct Location {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// As it was written, for messages.
    url: String,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Location {
    /// What a URL names, with the credentials that the environment has for its store. Nothing is asked for yet.
    pub(crate) fn of(url: &str) -> io::Result<Self> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let parsed = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(invalid("a URL with a query cannot name two files beside each other".to_owned()));
        }
        use_ring();
        let given =
            [("timeout", "10s"), ("connect_timeout", "5s")].map(|(key, value)| (key.into(), value.into()));
        let plain = (parsed.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
        let environment = std::env::vars_os().filter_map(|(key, value)| {
            let (key, value) = (key.into_string().ok()?, value.into_string().ok()?);
            PREFIXES.iter().any(|prefix| key.starts_with(prefix)).then(|| (key.to_ascii_lowercase(), value))
        });
        let (store, path) =
            object_store::parse_url_opts(&parsed, given.into_iter().chain(plain).chain(environment))
                .map_err(|error| invalid(error.to_string()))?;
        Ok(Self { store: store.into(), path, url: url.to_owned() })
    }

    /// What lies beside an archive: its cells.
    pub(crate) fn cells(&self) -> Self {
        let beside = |path: &str| cells_path(Name::new(path)).to_string_lossy().into_owned();
        let path = Path::from(beside(self.path.as_ref()));
        Self { store: Arc::clone(&self.store), path, url: beside(&self.url) }
    }

    /// As messages and paths name it.
    pub(crate) fn name(&self) -> PathBuf {
        self.url.clone().into()
    }

    /// The version that is there now.
    pub(crate) async fn etag(&self) -> io::Result<Option<String>> {
        match in_time(self.store.head(&self.path)).await {
            Ok(found) => Ok(found.e_tag),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The one library of ciphers that is built in. Somebody else in the process may have chosen another before.
fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An object of a store, as it was when it was opened. Clones share what was read.
#[derive(Clone)]
pub(crate) struct ObjectReader(Arc<Object>);

struct Object {
    location: Location,
    etag: String,
    length: u64,
    blocks: Cache<u64, Bytes, RandomState>,
    flights: Flights<Range<u64>, Result<(), Failed>>,
    requests: Semaphore,
}

/// Why bytes did not come, for all who waited for them.
#[derive(Clone, Debug)]
struct Failed(io::ErrorKind, Arc<str>);

impl From<&io::Error> for Failed {
    fn from(error: &io::Error) -> Self {
        Self(error.kind(), error.to_string().into())
    }
}

impl From<Failed> for io::Error {
    fn from(Failed(kind, text): Failed) -> Self {
        Self::new(kind, text.to_string())
    }
}

impl ObjectReader {
    /// Opens an object by reading its first block, in which an archive has its header, its root directory and most often
    /// its metadata.
    pub(crate) async fn open(location: Location) -> io::Result<Self> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..BLOCK_BYTES)));
        let read = async {
            let found = location.store.get_opts(&location.path, options).await?;
            let meta = found.meta.clone();
            Ok((meta, found.bytes().await?))
        };
        let (meta, front) = in_time(read).await?;
        let Some(etag) = meta.e_tag.filter(|etag| !etag.starts_with("W/")) else {
            return Err(io::Error::other(
                "the store gives no strong ETag, so a replacement could not be seen",
            ));
        };
        let blocks = Cache::builder()
            .max_capacity(BLOCKS_BYTES_MAX)
            .weigher(|_, block: &Bytes| u32::try_from(block.len() + 64).unwrap_or(u32::MAX))
            // What was fetched is read at once: nothing may be thought less worth keeping than what is there.
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(RandomState::default());
        let requests = Semaphore::new(REQUESTS_MAX);
        let object = Object { location, etag, length: meta.size, blocks, flights: Flights::new(), requests };
        object.keep(0, &front)?;
        Ok(Self(Arc::new(object)))
    }
}

impl Object {
    /// The bytes of some blocks.
    fn bytes_of(&self, blocks: &Range<u64>) -> Range<u64> {
        let end = |block: u64| block.saturating_mul(BLOCK_BYTES).min(self.length);
        end(blocks.start)..end(blocks.end)
    }

    /// Puts what came into memory, block by block.
    fn keep(&self, first: u64, bytes: &Bytes) -> io::Result<()> {
        let count = (bytes.len() as u64).div_ceil(BLOCK_BYTES);
        let expected = self.bytes_of(&(first..first + count.max(1)));
        if bytes.len() as u64 != expected.end - expected.start {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the store gives other bytes than asked for",
            ));
        }
        // Copied, so that one block does not hold the memory of all that came with it.
        let size = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
        for (block, bytes) in (first..).zip(bytes.chunks(size)) {
            self.blocks.insert(block, Bytes::copy_from_slice(bytes));
        }
        Ok(())
    }

    async fn request(&self, blocks: Range<u64>) -> io::Result<()> {
        let _turn = self.requests.acquire().await.map_err(io::Error::other)?;
        let range = GetRange::Bounded(self.bytes_of(&blocks));
        let options = GetOptions::new().with_range(Some(range)).with_if_match(Some(self.etag.clone()));
        let Location { store, path, .. } = &self.location;
        let bytes = in_time(async { store.get_opts(path, options).await?.bytes().await }).await?;
        self.keep(blocks.start, &bytes)
    }
}

/// Within the time that there is, and in words that operators know.
async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
    match tokio::time::timeout(FETCH_TIME_MAX, work).await {
        Ok(Err(Error::Precondition { .. })) => Err(io::Error::other("it was replaced by another version")),
        Ok(Err(error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }))) => {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
        }
        Ok(done) => Ok(done?),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the object store does not answer")),
    }
}

impl ByteReader for ObjectReader {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.length)
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let object = &self.0;
        let start = within(object.length, position, length)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        if length > RANGE_BYTES_MAX {
            let error = format!("the archive speaks of {length} bytes in one piece");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let wanted = position / BLOCK_BYTES..(position + length as u64).div_ceil(BLOCK_BYTES);
        let blocks: Vec<_> = wanted.clone().map(|block| object.blocks.get(&block)).collect();
        let absent = |block: &Option<Bytes>| block.is_none();
        if let (Some(first), Some(last)) = (blocks.iter().position(absent), blocks.iter().rposition(absent)) {
            let blocks = wanted.start + first as u64..wanted.start + last as u64 + 1;
            return Err(Absent::new(Wanted { object: Arc::clone(object), blocks }).into());
        }
        let skipped = start - usize::try_from(wanted.start * BLOCK_BYTES).unwrap_or(start);
        let mut blocks = blocks.into_iter().flatten();
        match (blocks.next(), blocks.next()) {
            (Some(only), None) => Ok(only.slice(skipped..skipped + length)),
            (first, second) => {
                let mut all = BytesMut::with_capacity(skipped + length);
                first.into_iter().chain(second).chain(blocks).for_each(|block| all.extend_from_slice(&block));
                Ok(all.freeze().slice(skipped..skipped + length))
            }
        }
    }

    fn etag(&self) -> Option<&str> {
        Some(&self.0.etag)
    }
}

/// Blocks that are not in memory.
struct Wanted {
    object: Arc<Object>,
    blocks: Range<u64>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks {:?} of {:?}", self.blocks, self.object.location)
    }
}

impl Fetch for Wanted {
    /// One request for all who want the same blocks at once; it is dropped when nobody waits for it any more.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        Box::pin(async {
            let Self { object, blocks } = self;
            let kept = || blocks.clone().all(|block| object.blocks.contains_key(&block)).then_some(Ok(()));
            // The flight does not hold the object, which holds the flights.
            let (weak, range): (Weak<Object>, _) = (Arc::downgrade(object), blocks.clone());
            let work = || async move {
                let Some(object) = weak.upgrade() else { return Ok(()) };
                object.request(range).await.map_err(|error| Failed::from(&error))
            };
            let done = object.flights.join(blocks, kept, work).await;
            let panicked =
                || Err(Failed(io::ErrorKind::Other, "a request to the store ended in a panic".into()));
            let in_place =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", object.location.url));
            done.unwrap_or_else(panicked).map_err(|failed| in_place(failed.into()))
        })
    }
}

impl TileSet {
    /// Opens an archive in an object store and, if it was built to be continued, the cells beside it: `s3://BUCKET/KEY`,
    /// `gs://BUCKET/KEY`, `az://CONTAINER/KEY`, `https://HOST/PATH` or `file:///PATH`, with the credentials that the
    /// environment has for the store (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    ///
    /// Such a set gives tiles without waiting for the store: one whose bytes are not in memory is an error of which
    /// [`TileError::absent`](crate::TileError::absent) says how to fetch them; ask again then. The server does so.
    ///
    /// Called, and its tiles fetched, within a runtime of tokio.
    ///
    /// # Errors
    /// When the URL names no store, or an object cannot be read or is broken, or the two do not belong together.
    pub async fn open_url(url: &str) -> Result<Self, OpenError> {
        let location = Location::of(url).map_err(|error| OpenError::Io { path: url.into(), error })?;
        Self::open_objects(&location).await
    }

    pub(crate) async fn open_objects(location: &Location) -> Result<Self, OpenError> {
        let cells = location.cells();
        let (archive_name, cells_name) = (location.name(), cells.name());
        let (archive, cells) = tokio::join!(ObjectReader::open(location.clone()), ObjectReader::open(cells));
        let given = |opened: &io::Result<ObjectReader>| match opened {
            Ok(reader) => Ok(Arc::new(reader.clone()) as Arc<dyn ByteReader>),
            Err(error) => Err(Failed::from(error).into()),
        };
        for _ in 0..FETCHES_MAX {
            let opened = Self::open_by(&archive_name, &|path| {
                given(if path == cells_name { &cells } else { &archive })
            });
            let Some(absent) = opened.as_ref().err().and_then(OpenError::absent) else { return opened };
            let failed = |error| OpenError::Io { path: archive_name.clone(), error };
            absent.fetch().await.map_err(failed)?;
        }
        let error = io::Error::other("it does not stay in memory long enough to be read");
        Err(OpenError::Io { path: archive_name, error })
    }

    /// The versions of the objects that it reads.
    pub(crate) fn etags(&self) -> [Option<String>; 2] {
        let etag = |reader: &Arc<dyn ByteReader>| reader.etag().map(str::to_owned);
        let cells = self.dynamic().and_then(|dynamic| etag(dynamic.cells().reader()));
        [self.archive().and_then(|archive| etag(archive.reader())), cells]
    }
}
