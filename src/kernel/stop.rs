//! Makes processes stand still while they are read: SIGSTOP until dropped, then SIGCONT.
//!
//! For live servers. A worker that waits at a barrier is better left alone: when it goes on again the
//! kernel may note its new processor in its memory (`rseq`), a write that we would have caused.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// How long a process may take to stop: the longest system call that no signal interrupts.
const PATIENCE: Duration = Duration::from_secs(2);

/// Processes that do not run until this is dropped.
#[derive(Debug)]
pub struct StandStill {
    pids: Vec<u32>,
}

impl StandStill {
    /// Stops processes, parents before their children, and waits until every thread of them has
    /// stopped. One that ends meanwhile, or does not stop in time, is left to itself.
    pub fn of(pids: &[u32]) -> Self {
        let stopped = Self { pids: pids.to_vec() };
        for &pid in pids {
            send(pid, Signal::SIGSTOP);
        }
        let deadline = Instant::now() + PATIENCE;
        while pids.iter().any(|&pid| runs(pid)) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        stopped
    }
}

impl Drop for StandStill {
    fn drop(&mut self) {
        for &pid in self.pids.iter().rev() {
            send(pid, Signal::SIGCONT);
        }
    }
}

fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _gone_already = kill(Pid::from_raw(pid), signal);
    }
}

/// Whether any thread of a process may still run.
fn runs(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().any(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|fields| fields.chars().next());
        !matches!(state, None | Some('T' | 't' | 'Z' | 'X'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::spawn::ProcessGroup;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_stopped_process_says_nothing_until_it_may_go_on() {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo tick; done"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(command, Vec::new()).unwrap();
        let mut lines = BufReader::new(group.child().stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let still = StandStill::of(&[group.pid()]);
        assert!(!runs(group.pid()));
        drop(still);
        // More than a pipe holds: it must have run again.
        assert_eq!(
            lines.by_ref().take(40_000).filter(|line| line.as_deref().is_ok_and(|l| l == "tick")).count(),
            40_000
        );
    }

    #[test]
    fn a_process_that_is_gone_is_no_obstacle() {
        assert!(!runs(u32::MAX));
        drop(StandStill::of(&[u32::MAX]));
    }
}
