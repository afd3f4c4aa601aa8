//! How far a build is, on stderr: a bar that moves on a terminal, a line now and then anywhere else.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use watersmeet_tiles::{Progress, Stage};

/// A terminal is told so often.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
/// A log is told so often of what takes longer.
const LOGGED_EVERY: Duration = Duration::from_secs(5);
/// How many signs the bar has.
const BAR_SIGNS: usize = 24;
/// With less done than this, nobody knows how long the rest takes.
const SHARE_TOLD: f64 = 0.03;

/// Shows progress, and stops the build at the first Ctrl-C or SIGTERM.
pub(super) struct Shown {
    drawn: Mutex<Drawn>,
    is_terminal: bool,
    stopped: Arc<AtomicBool>,
}

struct Drawn {
    stage: Option<Stage>,
    since: Instant,
    latest: Instant,
}

impl Shown {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        // Without the thread the signal ends the process, and the next build takes away what is left.
        let listen = std::thread::Builder::new().name("signals".into());
        let _ = listen.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            if let Ok(runtime) = runtime
                && runtime.block_on(signalled()).is_ok()
            {
                stop.store(true, Ordering::Relaxed);
            }
        });
        let drawn = Mutex::new(Drawn { stage: None, since: now, latest: now });
        Shown { drawn, is_terminal: std::io::stderr().is_terminal(), stopped }
    }

    /// Takes the bar away, so that what is said next stands on a line of its own.
    pub(super) fn end(&self) {
        if self.is_terminal {
            eprint!("\r\x1B[K");
        }
    }
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

impl Progress for Shown {
    fn done(&self, stage: Stage, done: u64, share: Option<f64>) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if drawn.stage != Some(stage) {
            drawn.stage = Some(stage);
            drawn.since = now;
        }
        let every = if self.is_terminal { DRAWN_EVERY } else { LOGGED_EVERY };
        if now - drawn.latest < every {
            return;
        }
        drawn.latest = now;
        let text = described(stage, done, share, now - drawn.since);
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1B[K{}{text}", bar(share));
        } else {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a few signs")]
fn bar(share: Option<f64>) -> String {
    let Some(share) = share else { return String::new() };
    let full = (share.clamp(0.0, 1.0) * BAR_SIGNS as f64) as usize;
    format!("[{}{}] ", "#".repeat(full), ".".repeat(BAR_SIGNS - full))
}

fn described(stage: Stage, done: u64, share: Option<f64>, took: Duration) -> String {
    let Some(share) = share else { return format!("{stage}: {done}") };
    let percent = format!("{stage}: {done}, {:.0} %", share * 100.0);
    if share < SHARE_TOLD {
        return percent;
    }
    let left = took.mul_f64((1.0 - share).max(0.0) / share).as_secs();
    match left {
        0 => percent,
        1..120 => format!("{percent}, {left} s left"),
        _ => format!("{percent}, {} min left", left / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_the_rest_takes_is_told_when_it_can_be_known() {
        let told = |share, seconds| described(Stage::Rendering, 7, share, Duration::from_secs(seconds));
        assert_eq!(told(None, 5), "rendering tiles: 7");
        assert_eq!(told(Some(0.01), 5), "rendering tiles: 7, 1 %");
        assert_eq!(told(Some(0.25), 10), "rendering tiles: 7, 25 %, 30 s left");
        assert_eq!(told(Some(0.5), 600), "rendering tiles: 7, 50 %, 10 min left");
        assert_eq!(bar(Some(0.5)), "[############............] ");
    }
}
