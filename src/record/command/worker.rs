//! One worker of a recorded family, and what becomes of it.

use super::program::{Program, status_of_zombie};
use crate::family::recording::Fate;
use crate::kernel::spawn::{exit_status, pidfd_open, wait_for_exit};
use crate::record::ending::fate;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a process may have neither its old memory nor that of another program.
const BETWEEN: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(5);
/// Signals by which programs end their workers in good order.
const ORDERLY: [&str; 3] = ["SIGTERM", "SIGINT", "SIGHUP"];

/// A forked child.
#[derive(Debug)]
pub struct Worker {
    /// Its process.
    pub pid: u32,
    /// `None` where the kernel has no such descriptors, or the process had ended.
    pidfd: Option<OwnedFd>,
    /// When it was forked.
    pub forked: Instant,
    /// It executed another program, so that it was no worker.
    pub executed: bool,
    /// How it ended, once it has.
    pub fate: Option<Fate>,
}

/// What became of a worker that does not run its zygote's program any more.
#[derive(Debug)]
pub enum Change {
    /// It executes a program of this name.
    Executed(String),
    /// It has ended.
    Ended(Fate),
}

impl Worker {
    /// A child that was just forked.
    pub fn new(pid: u32) -> Self {
        let pidfd = pidfd_open(pid).unwrap_or(None);
        Self { pid, pidfd, forked: Instant::now(), executed: false, fate: None }
    }

    /// What became of it; `None` while it runs the zygote's program.
    pub fn change(&self, zygote: &Program, step: &str) -> Option<Change> {
        let deadline = Instant::now() + BETWEEN;
        while !zygote.is_image_of(self.pid) && Instant::now() < deadline {
            if let Ok(program) = Program::of(self.pid, 0)
                && program.still_runs()
            {
                return Some(Change::Executed(program.name));
            }
            // It has no memory: it ends, or is about to run another program.
            if wait_for_exit(self.pid, Instant::now() + POLL) {
                return Some(Change::Ended(self.ending(step)));
            }
        }
        None
    }

    fn ending(&self, step: &str) -> Fate {
        let status = status_of_zombie(self.pid).or_else(|| exit_status(self.pidfd.as_ref()?));
        status.map_or_else(
            || Fate::Killed { signal: "an unknown signal".into(), step: step.into() },
            |status| fate(status, step),
        )
    }

    /// For the reader, if it was killed otherwise than workers are ended in good order.
    pub fn killed(&self) -> Option<String> {
        match self.fate.as_ref()? {
            Fate::Killed { signal, step } if !ORDERLY.contains(&signal.as_str()) => {
                Some(format!("worker {} was killed by {signal} after '{step}'", self.pid))
            }
            _ => None,
        }
    }
}
