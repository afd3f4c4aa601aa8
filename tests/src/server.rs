//! The real binary as a child process, with a data folder of its own.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The binary `watersmeet`: what the environment's `WATERSMEET_BIN` names, or else built now.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("WATERSMEET_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds the binary beside the tests: into the same target folder, with the same profile.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "watersmeet", "--target-dir"]);
    // Of the package whose tests these are: ring is built anew, and all that needs it, when they change.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        cargo.env_remove(name);
    }
    cargo.arg(profile.parent().expect("target/PROFILE"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the binary could not be built");
    profile.join(format!("watersmeet{}", std::env::consts::EXE_SUFFIX))
}

/// A server under test. It is killed, and its data folder removed, when this is dropped.
#[derive(Debug)]
pub struct Server {
    data: PathBuf,
    options: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts an open server on a free port, with an empty data folder.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        Self::start_with::<&str>([])
    }

    /// As [`start`](Self::start), with more options of `watersmeet serve`; with a `--key` it is not open.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with<T: Into<OsString>>(options: impl IntoIterator<Item = T>) -> Self {
        Self::start_in(&[], options)
    }

    /// As [`start_with`](Self::start_with), with variables of the environment.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_in<T: Into<OsString>>(
        environment: &[(&str, &str)],
        options: impl IntoIterator<Item = T>,
    ) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("watersmeet-test-{}-{number}", std::process::id()));
        let options = options.into_iter().map(Into::into).collect();
        let environment = environment.iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut server = Server { data, options, environment, port: 0, child: None };
        server.port = server.launch(0);
        server
    }

    /// Starts a server on a free port and on what is in `data`, which is removed when this is dropped.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_on(data: &Path) -> Self {
        let mut server = Server {
            data: data.to_owned(),
            options: Vec::new(),
            environment: Vec::new(),
            port: 0,
            child: None,
        };
        server.port = server.launch(0);
        server
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The port that it listens at, or did.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process's number; 0 if it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/sync", self.port)
    }

    /// Starts it again on the same data and the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.port = self.launch(self.port);
    }

    /// Starts it again on the same data at another port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_at(&mut self, port: u16) {
        self.port = self.launch(port);
    }

    /// Starts it again on the same data and a fresh port, where clients that knew it do not find it.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_elsewhere(&mut self) -> String {
        let port = self.launch(0);
        format!("ws://127.0.0.1:{port}/sync")
    }

    /// A crash: SIGKILL.
    ///
    /// # Panics
    /// If it was not running.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// SIGTERM; how it ended.
    ///
    /// # Panics
    /// If it was not running.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM")
    }

    /// SIGINT, which is Ctrl-C; how it ended.
    ///
    /// # Panics
    /// If it was not running.
    pub fn interrupt(&mut self) -> ExitStatus {
        self.signal("-INT")
    }

    /// SIGHUP: it reads its keys again.
    ///
    /// # Panics
    /// If it does not run.
    pub fn hang_up(&self) {
        self.send("-HUP");
    }

    /// SIGTERM, without waiting for the end.
    ///
    /// # Panics
    /// If it does not run.
    pub fn ask_to_stop(&self) {
        self.send("-TERM");
    }

    fn send(&self, signal: &str) {
        assert!(self.child.is_some(), "the server runs");
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    fn signal(&mut self, signal: &str) -> ExitStatus {
        self.send(signal);
        self.child.take().expect("the server runs").wait().expect("gone")
    }

    /// Resident memory in bytes, where the system tells.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    }

    /// Runs `watersmeet serve` to its end on this server's data folder; its exit status and what it said to stderr.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run_another(&self, listen: &str) -> (ExitStatus, String) {
        self.run_another_with(listen, &[])
    }

    /// As [`run_another`](Self::run_another), with more options.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run_another_with(&self, listen: &str, options: &[&str]) -> (ExitStatus, String) {
        let output = command(&self.data, listen).arg("--open").args(options).output().expect("runs");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn launch(&mut self, port: u16) -> u16 {
        assert!(self.child.is_none(), "one at a time on one data folder");
        let open = (!self.options.iter().any(|option| option == "--key")).then_some("--open");
        let mut child = command(&self.data, &format!("127.0.0.1:{port}"))
            .args(open)
            .args(&self.options)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("stdout is text");
        self.child = Some(child);
        // What it says later is read, so that it is never held up.
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        let port =
            line.trim().strip_prefix("listening on http://127.0.0.1:").and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("the server did not start; it said {line:?}"))
    }
}

fn command(data: &Path, listen: &str) -> Command {
    let mut command = watersmeet(&["--log", "error", "serve", "--listen", listen, "--data"]);
    command.arg(data);
    command
}

/// The binary with these arguments, and nothing of what the tests' caller has configured.
pub fn watersmeet(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("WATERSMEET_")) {
        command.env_remove(key);
    }
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.data);
    }
}
