//! A server as a child process, with a data folder of its own, and what the system says it costs.

use crate::failure::Failure;
use std::fs::read_to_string;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a server is started on a data folder and a port.
type Launch<'a> = dyn Fn(&Path, u16) -> Result<Command, Failure> + 'a;

/// A running server. It is killed, and its data removed, when this is dropped.
pub(crate) struct Process<'a> {
    command: Box<Launch<'a>>,
    folder: PathBuf,
    child: Child,
    pub(crate) address: SocketAddr,
}

impl<'a> Process<'a> {
    /// Starts a server on a free port, with an empty folder.
    pub(crate) fn start(
        command: impl Fn(&Path, u16) -> Result<Command, Failure> + 'a,
    ) -> Result<Self, Failure> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watersmeet-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (child, address) = launch(&command, &folder)?;
        Ok(Process { command: Box::new(command), folder, child, address })
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) -> Result<(), Failure> {
        (self.child, self.address) = launch(&self.command, &self.folder)?;
        Ok(())
    }

    /// Processor time so far, in user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let text = read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything; after it come the numbers.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let text = read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1_024).ok_or_else(|| Failure::new("the system does not tell resident memory"))
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn launch(command: &Launch<'_>, folder: &Path) -> Result<(Child, SocketAddr), Failure> {
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let mut command = command(folder, address.port())?;
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("WATERSMEET_")) {
        command.env_remove(key);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(Failure::new(format!("the server ended at once: {status}")));
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(Failure::new("the server does not listen"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((child, address))
}
