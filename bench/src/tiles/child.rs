//! A program that runs to its end, and what the system says it took.

use crate::failure::Failure;
use crate::figures::Figures;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// What a program took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) wall: Duration,
    /// Processor time in user and system, of all threads and of the children it waited for.
    pub(super) cpu: Duration,
    /// The most resident memory at any time, in bytes.
    pub(super) memory: u64,
}

impl Took {
    pub(super) fn tell(self, figures: &mut Figures) {
        figures.cost("wall", "s", self.wall.as_secs_f64());
        figures.cost("cpu", "s", self.cpu.as_secs_f64());
        figures.cost("peak memory", "MB", self.memory as f64 / 1e6);
    }
}

/// Runs a program to its end; if it fails, the last line that it said is the reason.
pub(super) fn run(command: &mut Command) -> Result<Took, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|cause| Failure::new(format!("{program}: {cause}")))?;
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_end(&mut said)?;
    }
    let used = child.wait4()?;
    let wall = start.elapsed();
    if !used.status.success() {
        let said = String::from_utf8_lossy(&said);
        let last = said.trim_end().lines().last().unwrap_or_default();
        return Err(Failure::new(format!("{program} ended with {}: {last}", used.status)));
    }
    Ok(Took { wall, cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss })
}
