//! Bytes by range: what an archive needs of the place where it lies.
//!
//! One idea: a length and a range are all it takes, so that a file, memory, or an object store by HTTP range can all hold
//! an archive. Files are read by position, not mapped: a mapped file that someone truncates kills the process. Not here: caching.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

/// A place that gives bytes by range. Shared by all threads that render.
pub trait ByteReader: Send + Sync {
    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Exactly so many bytes from a position.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range reaches beyond the end, [`Absent`] when the bytes have to be fetched first,
    /// otherwise what the system says.
    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes>;

    /// What these bytes are called where they lie, another name than any others that ever have their place; `None` where
    /// bytes have no name.
    fn etag(&self) -> Option<&str> {
        None
    }
}

/// How many times in a row something may lack bytes before it is given up: a tile's directories and cells nest less deep.
pub(crate) const FETCHES_MAX: usize = 32;

/// Brings bytes into memory.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Done when they are there, for a while.
    ///
    /// # Errors
    /// When they cannot be had: the future gives what the store or the system says.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>>;
}

/// Why a reader that does not wait gives no bytes: they are not in memory. Inside of an [`io::Error`] of the kind
/// `WouldBlock`; whoever gets it fetches them and asks again.
#[derive(Clone, Debug, Error)]
#[error("the bytes are not in memory yet")]
pub struct Absent(Arc<dyn Fetch>);

impl Absent {
    /// With what brings the bytes.
    pub fn new(fetch: impl Fetch + 'static) -> Self {
        Self(Arc::new(fetch))
    }

    /// What this error lacks; `None` if it is another one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().cloned()
    }

    /// See [`Fetch::fetch`].
    ///
    /// # Errors
    /// When the bytes cannot be had.
    pub async fn fetch(&self) -> io::Result<()> {
        self.0.fetch().await
    }
}

impl From<Absent> for io::Error {
    fn from(absent: Absent) -> Self {
        Self::new(io::ErrorKind::WouldBlock, absent)
    }
}

/// A file that is read by position. It stays readable when another file takes its name.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    length: u64,
}

impl FileReader {
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?)
    }

    pub(crate) fn of(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl ByteReader for FileReader {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        // Checked first, so that a false length in a directory allocates nothing.
        within(self.length, position, length)?;
        let mut bytes = vec![0; length];
        read_exact_at(&self.file, &mut bytes, position)?;
        Ok(bytes.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, position)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        position += read as u64;
        bytes = &mut bytes[read..];
    }
    Ok(())
}

impl ByteReader for Bytes {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let start = within(self.len() as u64, position, length)?;
        Ok(self.slice(start..start + length))
    }
}

/// Where a range begins, if it lies within so many bytes.
pub(crate) fn within(total: u64, position: u64, length: usize) -> io::Result<usize> {
    let fits = position.checked_add(length as u64).is_some_and(|end| end <= total);
    match usize::try_from(position) {
        Ok(start) if fits => Ok(start),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl<R: ByteReader + ?Sized> ByteReader for Arc<R> {
    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }

    fn read_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        (**self).read_at(position, length)
    }

    fn etag(&self) -> Option<&str> {
        (**self).etag()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_beyond_the_end_are_refused_without_allocating() {
        let memory = Bytes::from_static(b"watersmeet");
        assert_eq!(memory.read_at(5, 5).unwrap(), "smeet");
        for (position, length) in [(5, 6), (11, 0), (u64::MAX, 1), (0, usize::MAX)] {
            assert_eq!(memory.read_at(position, length).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        let file = FileReader::open(Path::new(env!("CARGO_MANIFEST_PATH"))).unwrap();
        assert_eq!(file.read_at(0, 9).unwrap(), "[package]");
        assert!(file.read_at(0, usize::MAX).is_err());
    }
}
