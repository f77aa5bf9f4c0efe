//! The witness `ring`: sees every page fault of a zygote and of all that it forks, from outside.

use super::attach::{Attached, MOST_PAGES};
use super::event::{Fault, Records};
use crate::error::{Error, Result};
use crate::kernel::event::BreakEvent;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often rings are looked at that wake nobody, in milliseconds.
const LOOK_EVERY: u16 = 100;

/// Page faults of a process and its descendants, read out of the kernel's rings while it runs.
///
/// Nothing of ours is in the process. A thread of our own empties the rings; it ends when this is
/// dropped.
#[derive(Debug)]
pub struct RingWitness {
    watched: Arc<Watched>,
    /// Closing it ends the reader.
    running: Option<PipeWriter>,
    reader: Option<JoinHandle<()>>,
}

/// What the reader and its owner share.
#[derive(Debug)]
struct Watched {
    attached: Attached,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    records: Records,
    /// Faults that were taken away already.
    taken: u64,
}

impl RingWitness {
    /// Watches a process that runs, all its threads, and all threads and processes that it makes later,
    /// until they execute another program.
    ///
    /// It should not fork meanwhile: such a child may be seen on some processors only.
    ///
    /// Errors: perf is forbidden here (says what would allow it), or the process is gone or another
    /// user's.
    pub fn attach(pid: u32) -> Result<Self> {
        Self::with_rings_of(pid, MOST_PAGES)
    }

    /// As [`RingWitness::attach`], with at most so many pages of 4 KiB in each ring.
    pub fn with_rings_of(pid: u32, pages: usize) -> Result<Self> {
        let watched =
            Arc::new(Watched { attached: Attached::to_process(pid, pages)?, log: Mutex::default() });
        let cannot_read =
            |error: std::io::Error| Error::new("cannot start a reader of perf rings").why(error);
        let (stop, running) = std::io::pipe().map_err(cannot_read)?;
        let shared = Arc::clone(&watched);
        let reader = std::thread::Builder::new()
            .name("forkprint-ring".into())
            .spawn(move || shared.drain_until(&stop))
            .map_err(cannot_read)?;
        Ok(Self { watched, running: Some(running), reader: Some(reader) })
    }

    /// Empties the rings and takes all faults since the last time, oldest first.
    pub fn take(&self) -> Vec<BreakEvent> {
        let mut log = self.watched.drain();
        let mut faults = std::mem::take(&mut log.records.faults);
        log.taken += faults.len() as u64;
        drop(log);
        faults.sort_unstable_by_key(Fault::nanos);
        faults.into_iter().map(BreakEvent::from).collect()
    }

    /// How many faults the kernel counted. While the processes stand still, those that it counted and
    /// did not [deliver](Self::delivered) are lost.
    pub fn counted(&self) -> Result<u64> {
        self.watched.attached.counted()
    }

    /// How many faults the rings gave so far, taken or not. Empties them first.
    pub fn delivered(&self) -> u64 {
        let log = self.watched.drain();
        log.taken + log.records.faults.len() as u64
    }

    /// Whether faults of the kernel on behalf of a process (`read(2)` into a buffer) are seen too.
    pub fn kernel_included(&self) -> bool {
        self.watched.attached.kernel_included
    }

    /// Bytes of each ring.
    pub fn ring_size(&self) -> usize {
        self.watched.attached.rings.first().map_or(0, super::ring::Ring::data_size)
    }
}

impl Drop for RingWitness {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(reader) = self.reader.take() {
            let _it_had_no_result = reader.join();
        }
    }
}

impl Watched {
    /// Moves what stands in the rings to the log.
    fn drain(&self) -> MutexGuard<'_, Log> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for ring in &self.attached.rings {
            let position = ring.read(&mut log.records);
            ring.consume(position);
        }
        log
    }

    /// Drains whenever a ring is a quarter full, until the other end of `stop` is closed.
    fn drain_until(&self, stop: &PipeReader) {
        let rings = &self.attached.rings;
        let mut polled: Vec<PollFd> = vec![PollFd::new(stop.as_fd(), PollFlags::empty())];
        polled.extend(rings.iter().map(|ring| PollFd::new(ring.as_fd(), PollFlags::POLLIN)));
        loop {
            match poll(&mut polled, PollTimeout::from(LOOK_EVERY)) {
                Ok(_) | Err(Errno::EINTR) => drop(self.drain()),
                Err(_) => return,
            }
            let ended = |fd: &PollFd| fd.revents().is_some_and(|told| told.contains(PollFlags::POLLHUP));
            if ended(&polled[0]) {
                return;
            }
            // The descriptor of an event whose threads have all ended would wake us for ever.
            let mut first = true;
            polled.retain(|fd| std::mem::take(&mut first) || !ended(fd));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    /// A shell that waits for a line, and then forks 300 times: each of its children faults, too.
    const FORKS: &str = "echo; read go; i=0; while [ $i -lt 300 ]; do (:); i=$((i+1)); done";

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child
    }

    fn run_to_end(mut child: Child) {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_a_full_ring_has_no_room_for_is_counted_and_not_delivered() {
        let child = shell(FORKS);
        let witness = match RingWitness::with_rings_of(child.id(), 1) {
            Ok(witness) => witness,
            Err(error) => {
                eprintln!("skipped: {error}");
                return run_to_end(child);
            }
        };
        let nobody_reads = witness.watched.log.lock().unwrap();
        run_to_end(child);
        let rings = witness.watched.attached.rings.len();
        drop(nobody_reads);
        let (counted, delivered) = (witness.counted().unwrap(), witness.delivered());
        assert!(counted > 3000, "{counted}");
        // One page has room for 102 samples of 40 bytes.
        assert!((1..=102 * rings as u64).contains(&delivered), "{delivered} of {counted}");
    }
    #[test]
    fn nothing_is_left_of_a_witness_that_is_dropped() {
        let child = shell(FORKS);
        match RingWitness::attach(child.id()) {
            Ok(witness) => {
                let watched = Arc::downgrade(&witness.watched);
                drop(witness);
                assert_eq!(watched.strong_count(), 0, "the reader still runs");
            }
            Err(error) => eprintln!("skipped: {error}"),
        }
        run_to_end(child);
    }
}
