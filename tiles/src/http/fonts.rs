//! `/tiles/fonts/{fontstack}/{range}.pbf`: glyphs for labels, from a folder of files.
//!
//! One idea: a folder holds `FONT/0-255.pbf` and so on, as every maker of glyphs writes them, and a name that is asked
//! for is compared with the folders that are there, never put into a path: nothing else can be reached. Of several fonts
//! (`A,B`) the answer is all their files one behind the other, the last font first: a glyph that comes later wins, so
//! those of the first font do, and what it lacks is taken from the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use moka::sync::Cache;
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Refusal, cors};
use super::kitchen::Failure;
use super::tiles::plain;
use super::{Server, negotiate};

/// How many fonts a request may name.
const FONTS_MAX: usize = 8;

/// No file of glyphs is nearly as large.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Glyphs come in ranges of so many characters, up to the last one that fits 16 bits.
const RANGE: u32 = 256;

/// The lane of glyphs. No set has this name.
const LANE: &str = "fonts";

/// Glyphs in memory may take so many bytes.
const KEPT_BYTES_MAX: u64 = 32 << 20;

/// How long they are kept before the folder is looked at again.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// What was read of a font stack's range; `None` when there is no such font.
type Glyphs = Option<(Bytes, HeaderValue)>;

/// Glyphs that were asked for lately.
pub(super) struct Kept(Cache<(String, u32), Glyphs>);

impl Kept {
    pub(super) fn new() -> Self {
        let weigh = |(stack, _): &(String, u32), glyphs: &Glyphs| {
            let bytes = glyphs.as_ref().map_or(0, |(bytes, _)| bytes.len());
            u32::try_from(stack.len() + bytes + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT_BYTES_MAX).weigher(weigh).time_to_live(KEPT_FOR).build())
    }
}

const HINT: &str = "glyphs are at /tiles/fonts/FONT/0-255.pbf, 256-511.pbf and so on to 65280-65535.pbf";

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Refusal> {
    let mut segments = request.uri().path().rsplit('/');
    let (file, stack) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let Some(folder) = server.options.fonts.clone() else {
        let error = "no fonts are served".to_owned();
        return Err(Refusal::Missing { error, hint: "the operator names a folder of glyphs in tiles.fonts" });
    };
    let malformed = |error: String| Refusal::Malformed { error, hint: HINT };
    let range = range(file).ok_or_else(|| malformed(format!("{file:?} is no range of glyphs")))?;
    let stack = plain(stack).ok_or_else(|| malformed(format!("{stack:?} is no font")))?.into_owned();
    match read(&server, folder, stack, range).await {
        Ok(Some(glyphs)) => Ok(served(glyphs, request.headers())),
        Ok(None) => Err(Refusal::Missing {
            error: "there is no such font".to_owned(),
            hint: "the set's style names one",
        }),
        Err(Failure::NoTurn(_)) => Err(Refusal::Busy("too many glyphs are being read".to_owned())),
        Err(failure) => {
            tracing::error!(?failure, "glyphs cannot be read");
            Err(Refusal::Broken)
        }
    }
}

/// Glyphs from memory, or else from their files when it is their turn.
async fn read(server: &Server, folder: PathBuf, stack: String, range: u32) -> Result<Glyphs, Failure> {
    let key = (stack, range);
    if let Some(kept) = server.glyphs.0.get(&key) {
        return Ok(kept);
    }
    let (stack, lane) = (key.0.clone(), LANE.into());
    let read = server.kitchen.in_turn(&lane, move |_| {
        let read =
            glyphs(&folder, &stack, range).map_err(|error| Failure::Broken(error.to_string().into()))?;
        Ok(read.map(|glyphs| {
            let etag = format!("\"{:016x}\"", xxh3_64(&glyphs));
            // Hexadecimal digits and quotes fit any header.
            (Bytes::from(glyphs), HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")))
        }))
    });
    let read = read.await?;
    server.glyphs.0.insert(key, read.clone());
    Ok(read)
}

/// The first character of a file's range.
fn range(file: &str) -> Option<u32> {
    let (first, last) = file.strip_suffix(".pbf")?.split_once('-')?;
    let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
    let fits = first.is_multiple_of(RANGE) && first < 1 << 16 && last == first + RANGE - 1;
    // Written in one way only, so that caches hold it once.
    (fits && file == format!("{first}-{last}.pbf")).then_some(first)
}

/// The glyphs of the fonts that are there; none when no font is.
fn glyphs(folder: &Path, stack: &str, first: u32) -> io::Result<Option<Vec<u8>>> {
    let mut glyphs = None;
    let known = fonts(folder)?;
    let names: Vec<_> = stack.split(',').map(str::trim).take(FONTS_MAX).collect();
    for name in names.iter().rev() {
        let Some((_, path)) = known.iter().find(|(font, _)| font == name) else { continue };
        let all: &mut Vec<u8> = glyphs.get_or_insert_default();
        let path = path.join(format!("{first}-{}.pbf", first + RANGE - 1));
        match fs::metadata(&path) {
            Ok(found) if found.len() <= FILE_BYTES_MAX => all.extend(fs::read(&path)?),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::FileTooLarge, path.display().to_string())),
            // A font that lacks all of these characters.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(glyphs)
}

/// The fonts in a folder: their names, and where they lie.
fn fonts(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut fonts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_dir(), path.file_name().and_then(|name| name.to_str())) {
            fonts.push((name.to_owned(), path.clone()));
        }
    }
    fonts.sort();
    Ok(fonts)
}

/// The font for labels: a regular one, if there is one.
pub(super) fn default_font(folder: &Path) -> Option<String> {
    let fonts = fonts(folder).ok()?;
    let regular = fonts.iter().find(|(name, _)| name.contains("Regular"));
    regular.or(fonts.first()).map(|(name, _)| name.clone())
}

fn served((glyphs, etag): (Bytes, HeaderValue), headers: &HeaderMap) -> Response {
    let mut out = cors();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let is_known = negotiate::has_it(headers, etag.as_bytes());
    out.insert(header::ETAG, etag);
    if is_known {
        return (StatusCode::NOT_MODIFIED, out).into_response();
    }
    (StatusCode::OK, out, glyphs).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_and_written_in_one_way() {
        assert_eq!(range("0-255.pbf"), Some(0));
        assert_eq!(range("65280-65535.pbf"), Some(65_280));
        for wrong in
            ["0-256.pbf", "1-256.pbf", "00-255.pbf", "0-255", "65536-65791.pbf", "+0-255.pbf", "-.pbf"]
        {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
