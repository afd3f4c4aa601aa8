//! What an operator is told: the counts of `/metrics` are those of what happened, and `/ready` says whether to come here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use watersmeet_crdt::session::{Frame, PROTOCOL, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_tests::{Raw, Server, http, until};

/// A scrape: series with their labels, and their values.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(server: &Server) -> Self {
        let answer = http::get(server.port(), "/metrics", &[]);
        assert_eq!(answer.status, 200);
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
        let series = answer.body.lines().filter(|line| !line.starts_with('#'));
        Scrape(
            series
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
                .collect(),
        )
    }

    /// The value of a series; 0 if it has none yet.
    fn of_series(&self, name: &str) -> f64 {
        self.0.get(&format!("watersmeet_{name}")).copied().unwrap_or(0.0)
    }

    fn is(&self, name: &str, value: usize) {
        assert_eq!(self.of_series(name), value as f64, "{name} of {:#?}", self.0);
    }
}

/// A peer that knows how many bytes of frames it sent and was sent.
struct Counting {
    raw: Raw,
    sent: usize,
    received: usize,
}

impl Counting {
    async fn open(server: &Server, replica: ReplicaId, name: &str) -> (Self, u32) {
        let mut peer = Counting { raw: Raw::connect(&server.url()).await, sent: 0, received: 0 };
        peer.say(&Frame::Hello { protocol: PROTOCOL, replica, token: Token::default() }).await;
        peer.say(&Frame::Open { name, version: VersionVector::default() }).await;
        let channel =
            peer.until(|frame| if let Frame::Opened { channel, .. } = frame { Some(*channel) } else { None });
        let channel = channel.await;
        (peer, channel)
    }

    async fn say(&mut self, frame: &Frame<'_>) {
        self.sent += frame.encode().len();
        self.raw.say(frame).await;
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(&Frame<'_>) -> Option<T>) -> T {
        loop {
            let bytes = self.raw.next().await.unwrap();
            self.received += bytes.len();
            let frame = Frame::decode(&bytes).unwrap();
            // Else the server would hear no answer and count one more question.
            if frame == Frame::Ping {
                self.say(&Frame::Pong).await;
            }
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }
}

/// One author, one reader; every edit waits for its acknowledgement, so each is a commit of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_counts_add_up() {
    const EDITS: usize = 25;
    let server = Server::start();
    let (mut author, channel) = Counting::open(&server, ReplicaId::new(1), "map").await;
    let (mut reader, _) = Counting::open(&server, ReplicaId::new(2), "map").await;
    let opened = Scrape::of(&server);
    let mut document = Document::new(ReplicaId::new(1));
    let mut written_bytes = 0;
    for n in 0..EDITS {
        let before = document.version().clone();
        document.edit(Time::from_millis(1_700_000_000_000), |tx| tx.set(&["n"], n as i64)).unwrap();
        let bytes = document.since(&before).encode();
        written_bytes += bytes.len();
        author.say(&Frame::Delta { channel, delta: &bytes }).await;
        author.until(|frame| matches!(frame, Frame::Ack { .. }).then_some(())).await;
    }
    let mut seen = VersionVector::default();
    while seen != *document.version() {
        seen = reader
            .until(|frame| match frame {
                Frame::Delta { delta, .. } => Some(Delta::decode(delta).unwrap().to().clone()),
                _ => None,
            })
            .await;
    }
    // A scrape may overtake the pump that counts what it has just given to a socket.
    until("all is counted", || {
        Scrape::of(&server).of_series("sent_bytes_total") == (author.received + reader.received) as f64
    })
    .await;

    let scrape = Scrape::of(&server);
    scrape.is("connections", 2);
    scrape.is(r#"rooms{state="open"}"#, 1);
    scrape.is("documents_loaded_total", 1);
    for counted in ["received_deltas_total", "acknowledgement_seconds_count", "committed_events_total"] {
        scrape.is(counted, EDITS);
    }
    for counted in
        ["commits_total", "fsync_seconds_count", "commit_batch_records_count", "commit_batch_records_sum"]
    {
        scrape.is(counted, EDITS);
    }
    scrape.is("committed_bytes_total", written_bytes);
    scrape.is("received_bytes_total", author.sent + reader.sent);
    let sent = scrape.of_series("sent_deltas_total") - opened.of_series("sent_deltas_total");
    assert_eq!(sent, EDITS as f64, "to the reader alone");
    assert!(scrape.of_series("fsync_seconds_sum") > 0.0);
    assert!(scrape.of_series("acknowledgement_seconds_sum") >= scrape.of_series("fsync_seconds_sum"));
    scrape.is("failed_commits_total", 0);
    scrape.is("queue_drops_total", 0);

    // A delta that comes again is acknowledged again, and nothing else.
    let again = document.since(&VersionVector::default()).encode();
    author.say(&Frame::Delta { channel, delta: &again }).await;
    author.until(|frame| matches!(frame, Frame::Ack { .. }).then_some(())).await;
    drop(author);
    until("the author has left", || Scrape::of(&server).of_series("connections") == 1.0).await;
    let scrape = Scrape::of(&server);
    scrape.is("acknowledgement_seconds_count", EDITS + 1);
    scrape.is("committed_events_total", EDITS);
    scrape.is("commits_total", EDITS);
    drop(reader);
    until("nobody has it open", || Scrape::of(&server).of_series(r#"rooms{state="idle"}"#) == 1.0).await;
    Scrape::of(&server).is(r#"rooms{state="open"}"#, 0);
}

/// A series' name, without its labels.
fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// The value of a histogram's series.
fn number(line: &str) -> (&str, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    (series, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

/// Prometheus' conventions, and OpenMetrics' text: each family is described once, before its samples, which are of its name
/// and unit and come once; what only grows ends in `_total`, and a histogram's buckets add up.
#[test]
fn a_scrape_keeps_to_the_conventions() {
    let tiles = std::env::temp_dir().join(format!("watersmeet-metrics-{}", std::process::id()));
    std::fs::create_dir_all(&tiles).unwrap();
    let server = Server::start_with(["--tiles", tiles.to_str().unwrap()]);
    assert_eq!(http::get(server.port(), "/sync", &[]).status, 400);
    assert_eq!(http::get(server.port(), "/tiles/none.json", &[]).status, 404);
    let body = http::get(server.port(), "/metrics", &[]).body;
    std::fs::remove_dir_all(&tiles).unwrap();
    let body = body.strip_suffix("# EOF\n").unwrap();
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind, mut help) = ("", "", "");
    for line in body.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, text] => {
                assert!(families.insert(name) && !text.is_empty(), "{line}");
                (family, help, kind) = (name, name, "");
            }
            ["#", "TYPE", name, which] => {
                assert!(name == help && ["counter", "gauge", "histogram"].contains(&which), "{line}");
                kind = which;
            }
            ["#", "UNIT", name, unit] => {
                assert!(name == help && name.ends_with(&format!("_{unit}")), "{line}")
            }
            _ => {
                let (series, value) = number(line);
                assert!(seen.insert(series), "twice: {line}");
                assert!(value >= 0.0, "{line}");
                let suffix =
                    name_of(series).strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
                let fits: &[&str] = match kind {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    _ => &["_bucket", "_sum", "_count"],
                };
                assert!(fits.contains(&suffix), "{line} of a {kind}");
            }
        }
    }
    assert!(families.iter().all(|name| name.starts_with("watersmeet_") && !name.ends_with("_total")));
    assert!(families.contains("watersmeet_fsync_seconds") && families.contains("watersmeet_sent_bytes"));
    assert!(families.iter().any(|name| name.contains("tile")), "{families:?}");
    for name in families {
        let buckets = body.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{")));
        let counts: Vec<f64> = buckets.map(|line| number(line).1).collect();
        assert!(counts.is_sorted(), "{name}: {counts:?}");
        let all = body.lines().find(|line| line.starts_with(&format!("{name}_count ")));
        assert_eq!(counts.last().copied(), all.map(|line| number(line).1), "{name}");
    }
}

/// `docs/operations.md` names every metric, and none that is not.
#[test]
fn the_documented_metrics_are_the_metrics() {
    let page = include_str!("../../docs/operations.md");
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter_map(|word| word.strip_prefix("watersmeet_")).map(str::to_owned);
    // Those of tiles have a table of their own, without what all of them begin with.
    let table = page.split_once("| count (`watersmeet_tiles_…`) | what |\n|---|---|\n").unwrap().1;
    let rows = table.lines().map_while(|line| line.strip_prefix("| ")?.split_once(" | "));
    let codes = rows.flat_map(|(counts, _)| counts.split('`').skip(1).step_by(2));
    let of_tiles = codes.map(|code| format!("tiles_{}", name_of(code)));
    let documented: BTreeSet<String> = named.filter(|name| name != "tiles_").chain(of_tiles).collect();
    let tiles = std::env::temp_dir().join(format!("watersmeet-documented-{}", std::process::id()));
    std::fs::create_dir_all(&tiles).unwrap();
    let server = Server::start_with(["--tiles", tiles.to_str().unwrap()]);
    // What nothing was refused for is not told of.
    assert_eq!(http::get(server.port(), "/sync", &[]).status, 400);
    assert_eq!(http::get(server.port(), "/tiles/none/0123456789abcdef/0/0/0.mvt", &[]).status, 404);
    let body = http::get(server.port(), "/metrics", &[]).body;
    std::fs::remove_dir_all(&tiles).unwrap();
    let buckets = ["fsync_seconds_bucket", "acknowledgement_seconds_bucket"];
    let mut metrics = BTreeSet::from(buckets.map(str::to_owned));
    let names: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("# TYPE watersmeet_")).collect();
    let total = |line: &str| line.strip_suffix(" counter").map(|name| format!("{name}_total"));
    let name = |line: &&str| total(line).unwrap_or_else(|| line.split(' ').next().unwrap().to_owned());
    metrics.extend(names.iter().map(name));
    assert_eq!(documented, metrics);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_by_reason() {
    let server = Server::start();
    for _ in 0..3 {
        assert!(Raw::connect_from(&server.url(), "https://evil.example").await.is_err());
    }
    assert_eq!(http::get(server.port(), "/sync", &[]).status, 400);
    let mut raw = Raw::greet(&server.url(), ReplicaId::new(1)).await;
    raw.say(&Frame::Ack { channel: 1, version: VersionVector::default() }).await;
    raw.farewell().await;
    until("the farewell is counted", || {
        Scrape::of(&server).of_series(r#"refusals_total{reason="out-of-order"}"#) == 1.0
    })
    .await;
    let scrape = Scrape::of(&server);
    scrape.is(r#"refusals_total{reason="origin"}"#, 3);
    scrape.is(r#"refusals_total{reason="not-a-websocket"}"#, 1);
    assert_eq!(http::get(server.port(), "/ready", &[]).body, r#"{"status":"ok"}"#);
}
