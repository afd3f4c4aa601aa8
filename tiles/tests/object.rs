//! Sets in an object store, here that of `object_store` over a folder: the same code as for S3 but for the network. The real
//! protocol, and a store that goes away, are asked for by `tests/object_store.rs` of the whole system.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use axum::Router;
use common::client::get;
use common::{Folder, Random, built, feature, plain};
use watersmeet_tiles::archive::ArchiveWriter;
use watersmeet_tiles::compress::{Encoding, unpack};
use watersmeet_tiles::source::Shape;
use watersmeet_tiles::{
    BuildOptions, OpenError, RemoteError, RemoteSets, ServeOptions, Sets, SetsError, TileCoord, TileServer,
    TileSet, Tiles, Value, cells_path,
};

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn options() -> BuildOptions {
    BuildOptions { archive_zoom: Some(3), ..BuildOptions::default() }
}

async fn serve(urls: &[&str]) -> (RemoteSets, Sets, Router) {
    let sets = Sets::new();
    let remote = RemoteSets::new(&sets, urls.iter().map(|url| (None, *url))).unwrap();
    remote.look().await;
    let router = TileServer::new(sets.clone(), ServeOptions::default()).router();
    (remote, sets, router)
}

/// All tiles down to a zoom, and some below it.
fn tiles() -> impl Iterator<Item = TileCoord> {
    let upper = (0..=5_u8).flat_map(|z| {
        (0..1_u32 << z).flat_map(move |x| (0..1_u32 << z).map(move |y| TileCoord::new(z, x, y).unwrap()))
    });
    upper.chain((6..=14).map(|zoom| TileCoord::new(14, 8801, 5373).unwrap().ancestor(zoom)))
}

#[tokio::test]
async fn every_tile_has_the_same_bytes_as_from_a_file() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    built(&path, &options(), Random(1).map([13.4, 52.5]));
    let file = TileSet::open(&path).unwrap();
    let (remote, sets, router) = serve(&[&url(&path)]).await;
    assert_eq!(remote.faults(), Vec::<String>::new());
    let version = sets.current("map").unwrap().version().to_owned();
    assert_eq!((&*version, sets.current("map").unwrap().facts()), (file.version(), file.facts()));
    let (mut filled, mut rendered) = (0, 0);
    for tile in tiles() {
        let path = format!("/tiles/map/{version}/{tile}.mvt");
        let answer = get(&router, &path, &[("accept-encoding", "zstd")]).await;
        let expected = plain(&file, tile);
        assert_eq!(answer.status == 200, !expected.is_empty(), "{tile}: {}", answer.status);
        if answer.status == 200 {
            assert_eq!(unpack(&answer.body, Encoding::Zstd).unwrap(), expected, "{tile}");
            filled += 1;
            rendered += u32::from(tile.z() > 3);
        }
    }
    assert!(filled > 50 && rendered > 40, "{filled}, {rendered}");
}

#[tokio::test]
async fn an_archive_of_others_needs_no_cells_and_one_of_ours_does() {
    let folder = Folder::new();
    let [ours, theirs] = [folder.path("ours.pmtiles"), folder.path("theirs.pmtiles")];
    built(&ours, &options(), Random(1).map([13.4, 52.5]));
    // As another program would have written it: without our part of the metadata.
    let mut bytes = std::fs::read(&ours).unwrap();
    bytes[24..40].fill(0);
    std::fs::write(&theirs, bytes).unwrap();
    let opened = TileSet::open_url(&url(&theirs)).await.unwrap();
    assert_eq!(opened.max_zoom(), 3);
    // Its layers are told of its tiles, which had to be fetched for it.
    assert!(!opened.metadata()["vector_layers"].as_array().unwrap().is_empty());
    std::fs::remove_file(cells_path(&ours)).unwrap();
    let missing = TileSet::open_url(&url(&ours)).await.map(|_| ()).unwrap_err();
    assert!(matches!(missing, OpenError::CellsMissing(_)), "{missing}");
    assert!(
        missing.to_string().contains("file://") && missing.to_string().contains("ours.cells"),
        "{missing}"
    );
}

/// A map with cells all over the world that do not come with the first bytes.
fn wide(path: &Path, seed: u64) {
    let mut random = Random(seed);
    let dots = (0..8_000).map(|id| {
        let place = [random.between(-179.0, 179.0), random.between(-80.0, 80.0)];
        let name = format!("{:x}{:x}", random.next(), random.next());
        feature(id, Shape::Points(vec![place]), &[("name", Value::Text(name.into()))])
    });
    let dots = dots.collect();
    built(path, &options(), vec![("dots", dots)]);
}

/// A tile that is asked for after its set was replaced is the one of its version or refused, and never the other's.
#[tokio::test]
async fn an_object_that_is_replaced_is_never_mixed_with_the_next() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    wide(&path, 1);
    let file = TileSet::open(&path).unwrap();
    let (remote, sets, router) = serve(&[&url(&path)]).await;
    let first = file.version().to_owned();
    let ask = async |version: &str, tile: TileCoord| {
        get(&router, &format!("/tiles/map/{version}/{tile}.mvt"), &[]).await
    };
    assert_eq!(ask(&first, TileCoord::ROOT).await.body, plain(&file, TileCoord::ROOT));
    // The other version's archive comes, and its cells do not: what was served goes on, from what is in memory.
    let cells = std::fs::read(cells_path(&path)).unwrap();
    wide(&path, 2);
    let other = TileSet::open(&path).unwrap();
    let other_cells = std::fs::read(cells_path(&path)).unwrap();
    std::fs::write(cells_path(&path), &cells).unwrap();
    remote.look().await;
    let told = remote.faults();
    assert!(told[0].contains("map.cells") && told[0].contains("build"), "{told:?}");
    let row = || (0..32).map(|x| TileCoord::new(5, x, 12).unwrap());
    let mut refused = 0;
    for tile in row() {
        let answer = ask(&first, tile).await;
        if answer.status == 502 {
            let error = answer.json()["error"].clone();
            assert_eq!((answer.header("cache-control"), &error["code"]), ("no-store", &"not-fetched".into()));
            assert!(error["message"].as_str().unwrap().contains("\"map\""), "{error}");
            refused += 1;
        } else {
            assert_eq!(answer.body, plain(&file, tile), "{tile}");
        }
    }
    assert!(refused > 0);
    std::fs::write(cells_path(&path), &other_cells).unwrap();
    remote.look().await;
    assert_eq!(remote.faults(), Vec::<String>::new());
    let second = sets.current("map").unwrap().version().to_owned();
    assert_eq!(second, other.version());
    for tile in row() {
        assert_eq!(ask(&second, tile).await.body, plain(&other, tile), "{tile}");
    }
    assert_eq!(ask(&first, TileCoord::ROOT).await.body, plain(&file, TileCoord::ROOT), "this was in memory");
}

#[tokio::test]
async fn sizes_that_an_archive_makes_up_take_no_memory() {
    let folder = Folder::new();
    let path = folder.path("big.pmtiles");
    let mut writer = ArchiveWriter::default();
    (0..1_000).for_each(|number| writer.add(number, &[7; 1_000]));
    let honest = writer.to_plain_bytes().unwrap();
    // A vector tile archive whose root, metadata, leaves and tiles are said to lie at the ends of the world.
    for (at, value) in
        [(8, u64::MAX), (16, 1 << 40), (24, u64::MAX - 5), (32, u64::MAX), (56, u64::MAX), (16, 0)]
    {
        let mut bytes = honest.clone();
        bytes[99] = 1;
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(set) = TileSet::open_url(&url(&path)).await {
            assert!(set.tile(TileCoord::ROOT, &|| false).is_err(), "{at}");
        }
    }
    std::fs::write(&path, &honest[..40]).unwrap();
    assert!(TileSet::open_url(&url(&path)).await.is_err());
}

#[tokio::test]
async fn what_names_no_set_is_told() {
    let sets = Sets::new();
    let refused =
        |name: Option<&str>, url: &str| RemoteSets::new(&sets, [(name, url)]).map(|_| ()).unwrap_err();
    for url in ["map.pmtiles", "carrier-pigeon://loft/map.pmtiles", "s3://bucket/map.pmtiles?versionId=1"] {
        let error = refused(None, url);
        assert!(matches!(error, RemoteError::Url { .. }) && error.to_string().contains(url), "{error}");
    }
    assert!(matches!(refused(Some("a b"), "file:///map.pmtiles"), RemoteError::Name(SetsError::Name(_))));
    RemoteSets::new(&sets, [(None, "file:///tmp/one.pmtiles")]).unwrap();
    let error = refused(Some("one"), "file:///tmp/other.pmtiles");
    assert!(matches!(error, RemoteError::Name(SetsError::Twice(_))), "{error}");
    let (remote, _, _) = serve(&["file:///nonexistent/map.pmtiles"]).await;
    assert!(remote.faults()[0].contains("file:///nonexistent/map.pmtiles"), "{:?}", remote.faults());
}
