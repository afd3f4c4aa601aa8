//! PostGIS: a cluster of its own in a temporary folder, stopped and removed at the end, and `ST_AsMVT` on an indexed
//! table, timed inside the database. So it is spared connections, and the way of bytes to a client.

use super::on_demand::{Answer, Found, Questions};
use crate::failure::Failure;
use crate::figures::Figures;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use watersmeet_tiles::TileCoord;

/// Debian's place for the programs of all versions.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Rendering ends after so many seconds, with the tiles that are done by then: a continent as one polygon takes long.
const SECONDS: u32 = 40;
/// The same for getting warm, and for the tiles that are compared with ours.
const SECONDS_BEFORE: u32 = 10;
/// How long a cluster may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// The user that a cluster runs as when we are root, whom it refuses.
const USER: &str = "postgres";

/// The peer, if it is there.
pub(super) struct Postgis {
    /// The folder of its programs, and its version.
    found: Option<(PathBuf, String)>,
}

impl Postgis {
    /// The newest PostgreSQL that has PostGIS.
    pub(super) fn find() -> Self {
        let mut versions: Vec<u32> = fs::read_dir(PROGRAMS)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        versions.sort_unstable();
        let found = versions.into_iter().rev().find_map(|version| {
            let control = format!("/usr/share/postgresql/{version}/extension/postgis.control");
            let control = fs::read_to_string(control).ok()?;
            let line = control.lines().find(|line| line.starts_with("default_version"))?;
            let postgis = line.split('\'').nth(1)?.to_owned();
            Some((Path::new(PROGRAMS).join(version.to_string()).join("bin"), postgis))
        });
        Postgis { found }
    }

    pub(super) fn name(&self) -> String {
        let version = self.found.as_ref().map_or("(not installed)", |(_, version)| version);
        format!("postgis {version}")
    }

    /// Loads the set and renders what is asked for.
    pub(super) fn render(&self, questions: &Questions) -> Result<Found, Failure> {
        let (programs, _) = self.found.as_ref().ok_or_else(|| {
            Failure::new("not installed; Debian has it as postgresql-15-postgis-3 (apt-get install)")
        })?;
        let cluster = Cluster::start(programs)?;
        let start = Instant::now();
        let lines = questions.set.lines(&questions.folder)?;
        cluster.ask(&load(&lines, &columns(&lines)?))?;
        let mut told = Figures::default();
        told.cost("indexing first", "ms", start.elapsed().as_secs_f64() * 1e3);
        let checked = cluster.render(&questions.checked, SECONDS_BEFORE)?;
        Ok(Found { tiles: cluster.render(&questions.tiles, SECONDS)?, checked, told })
    }
}

/// An attribute's name and type.
type Column = (String, &'static str);

/// The attributes of the first feature, as columns: cheaper for `ST_AsMVT` than one of JSON.
fn columns(lines: &Path) -> Result<Vec<Column>, Failure> {
    let mut first = String::new();
    BufReader::new(File::open(lines)?).read_line(&mut first)?;
    let feature: serde_json::Value = serde_json::from_str(&first)?;
    let properties = feature["properties"].as_object().ok_or_else(|| Failure::new("no properties"))?;
    let kind = |name: &str, value: &serde_json::Value| match value {
        serde_json::Value::Number(_) if name == "area" => "double precision",
        serde_json::Value::Number(_) => "bigint",
        _ => "text",
    };
    Ok(properties.iter().map(|(name, value)| (name.clone(), kind(name, value))).collect())
}

/// The statements that make the table `features` and the function `render`.
fn load(lines: &Path, columns: &[Column]) -> String {
    let names = columns.iter().fold(String::new(), |names, (name, _)| names + &format!(", \"{name}\""));
    let values = columns.iter().fold(String::new(), |values, (name, kind)| {
        values + &format!(", (j->'properties'->>'{name}')::{kind} as \"{name}\"")
    });
    let lines = lines.display();
    // COPY would take a backslash for its own in its usual format. The square of the map ends at 85.0511°, and beyond
    // there is no projecting.
    format!(
        r"create extension postgis;
create unlogged table raw (j jsonb);
\copy raw from '{lines}' with (format csv, quote e'\x01', delimiter e'\x02')
create table features as
select (j->>'id')::bigint as fid{values},
    ST_Transform(ST_ClipByBox2D(ST_SetSRID(ST_GeomFromGeoJSON(j->'geometry'), 4326),
        ST_MakeEnvelope(-180, -85.06, 180, 85.06, 4326)), 3857) as geom
from raw;
create index on features using gist (geom);
vacuum analyze features;
create function render(zs int[], xs int[], ys int[], seconds int)
returns table (us double precision, features bigint, bytes int) language plpgsql as $$
declare
    began timestamptz := clock_timestamp();
    start timestamptz;
    tile bytea;
begin
    for i in 1 .. array_length(zs, 1) loop
        start := clock_timestamp();
        select ST_AsMVT(t, 'features', 4096, 'mvt', 'fid'), count(*) into tile, features from (
            select fid{names}, ST_AsMVTGeom(geom, ST_TileEnvelope(zs[i], xs[i], ys[i]), 4096, 64, true) as mvt
            from features
            where geom && ST_TileEnvelope(zs[i], xs[i], ys[i], margin => 64 / 4096.0)
        ) t where mvt is not null;
        us := extract(epoch from clock_timestamp() - start) * 1e6;
        bytes := coalesce(length(tile), 0);
        return next;
        exit when clock_timestamp() - began > make_interval(secs => seconds);
    end loop;
end $$;
"
    )
}

/// A running database. It is stopped, and its folder removed, when this is dropped.
struct Cluster<'a> {
    programs: &'a Path,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl<'a> Cluster<'a> {
    fn start(programs: &'a Path) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("watersmeet-bench-postgis-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let started = own(&folder).and_then(|()| spawn(programs, &folder, port));
        let child = started.inspect_err(|_| _ = fs::remove_dir_all(&folder))?;
        let cluster = Cluster { programs, folder, port, child };
        let start = Instant::now();
        while let Err(failure) = cluster.ask("select 1;") {
            if start.elapsed() > PATIENCE {
                return Err(failure);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }

    /// Runs statements; answers with what they print.
    fn ask(&self, statements: &str) -> Result<String, Failure> {
        let script = self.folder.join("script.sql");
        fs::write(&script, statements)?;
        let mut command = Command::new(self.programs.join("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-F",
            " ",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
        ]);
        command.args(["-p", &self.port.to_string(), "-d", "postgres", "-f"]).arg(script);
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("psql: {}", said.lines().next().unwrap_or_default())))
    }

    fn render(&self, tiles: &[TileCoord], seconds: u32) -> Result<Vec<Answer>, Failure> {
        let list = |part: fn(&TileCoord) -> u32| {
            let numbers: Vec<String> = tiles.iter().map(|tile| part(tile).to_string()).collect();
            format!("'{{{}}}'", numbers.join(","))
        };
        let (zs, xs, ys) = (list(|tile| tile.z().into()), list(|tile| tile.x()), list(|tile| tile.y()));
        // The plan by the index is made once, and what is read is in memory: at its best.
        let mut statements =
            "set plan_cache_mode = force_generic_plan;\nset enable_seqscan = off;\n".to_owned();
        write!(
            statements,
            "select count(*) from render({zs}, {xs}, {ys}, {SECONDS_BEFORE});\n\\echo measured\n"
        )?;
        writeln!(statements, "select * from render({zs}, {xs}, {ys}, {seconds});")?;
        let said = self.ask(&statements)?;
        let measured = said.split("measured\n").nth(1).unwrap_or_default();
        measured.lines().map(answer).collect()
    }
}

fn answer(line: &str) -> Result<Answer, Failure> {
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or_else(|| Failure::new(format!("psql: {line:?} is no answer")));
    Ok(Answer { us: next()?.parse()?, features: next()?.parse()?, bytes: next()?.parse()? })
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // Told to stop fast, it ends its own children.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(programs: &Path, folder: &Path, port: u16) -> Result<Child, Failure> {
    let data = folder.join("data");
    let mut init = as_user(&programs.join("initdb"))?;
    init.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", USER, "-D"]).arg(&data);
    let output = init.current_dir(folder).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("initdb: {}", said.lines().next().unwrap_or_default())));
    }
    let mut serve = as_user(&programs.join("postgres"))?;
    serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k"]).arg(folder).current_dir(folder);
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=1GB", "jit=off"] {
        serve.args(["-c", setting]);
    }
    Ok(serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// The ids of the database's user and group, when we are root.
fn user() -> Result<Option<(u32, u32)>, Failure> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip_while(|field| *field != USER).skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    user.map(Some).ok_or_else(|| Failure::new(format!("root may not run it, and there is no user {USER}")))
}

fn as_user(program: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(program);
    if let Some((user, group)) = user()? {
        command.uid(user).gid(group);
    }
    Ok(command)
}

fn own(folder: &Path) -> Result<(), Failure> {
    if let Some((user, group)) = user()? {
        chown(folder, Some(user), Some(group))?;
    }
    Ok(())
}
