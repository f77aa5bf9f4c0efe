//! What supervisor, zygote and workers tell each other: length-prefixed JSON over Unix sockets.

use crate::error::Error;
use crate::family::PageRanges;
use crate::interrupt;
use crate::runtimes::{Region, StepFailure};
use crate::units::Vpn;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// No message is longer: a traceback and a region table fit many times.
const MAX_MESSAGE: u32 = 64 << 20;

/// The supervisor's commands to the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToZygote {
    /// Clone the frozen sibling; with `track`, also start to track the zygote's own writes.
    Freeze {
        /// Use userfaultfd `WP_ASYNC`, in the workers too.
        track: bool,
    },
    /// Fork the worker that talks over the socket of this index.
    Fork {
        /// Index of the worker.
        worker: usize,
    },
    /// Run one step in the zygote itself.
    Run {
        /// Its index.
        step: usize,
    },
    /// Wait for a worker that has ended.
    Reap {
        /// Its process id.
        pid: u32,
    },
    /// End.
    Exit,
}

/// The zygote's answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromZygote {
    /// The workload is loaded. Sent once, unasked.
    Loaded(Loaded),
    /// The sibling sleeps.
    Frozen(Frozen),
    /// A worker was forked.
    Forked {
        /// Its process id.
        pid: u32,
    },
    /// The step has ended, well or not.
    Ran(std::result::Result<(), StepFailure>),
    /// A worker was reaped.
    Reaped(Ending),
    /// The command could not be carried out.
    Failed(Error),
}

/// The sibling frozen at the fork. Ranges are (first page, one past the last).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Frozen {
    /// Its process id.
    pub pid: u32,
    /// The memory that the runtime can name, as it is at the fork. Disjoint, in any order.
    pub regions: Vec<Region>,
    /// Pages of the zygote that exist only for it.
    pub instrument: Vec<(u64, u64)>,
    /// Areas whose writes are tracked, in the zygote and in every worker.
    pub tracked: Vec<(u64, u64)>,
    /// Whether breaks are witnessed by the agent.
    pub watched: Watching,
}

/// What became of the agent in the zygote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Watching {
    /// None was preloaded.
    NotAsked,
    /// It is not in the process, although it was to be preloaded.
    NotPreloaded,
    /// It watches, or lists the objects where no more was asked of it.
    Since {
        /// It was asked to watch, and something forbade it: what, it says itself.
        refused: bool,
        /// Whether frames and objects of the runtime can be read, and the address of `_PyRuntime`:
        /// `None` where it is no `CPython`, or why not.
        python: Option<std::result::Result<Option<u64>, String>>,
    },
}

/// Page ranges as they travel.
pub fn pairs(ranges: &PageRanges) -> Vec<(u64, u64)> {
    ranges.iter().map(|range| (range.start.0, range.end.0)).collect()
}

/// Page ranges as they arrive.
pub fn ranges(pairs: &[(u64, u64)]) -> PageRanges {
    pairs.iter().map(|&(first, end)| Vpn(first)..Vpn(end)).collect()
}

/// What a loaded workload says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Loaded {
    /// Name of the runtime.
    pub runtime: String,
    /// Version of the runtime.
    pub version: String,
    /// Docstring or header comment.
    pub description: String,
    /// Names of the steps, in order.
    pub steps: Vec<String>,
    /// Indexes of the steps that run in the zygote, and not in the workers.
    pub zygote_steps: Vec<usize>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// Version of the `CPython` inside.
    pub python: Option<(u8, u8)>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// By itself, with a status.
    Exited(i32),
    /// By a signal of this number.
    Killed(i32),
    /// Somebody else reaped it.
    Unknown,
}

/// The supervisor's commands to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run one step.
    Run {
        /// Its index.
        step: usize,
    },
    /// End.
    Exit,
}

/// A worker's answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// Forked and standing still. Sent once, unasked.
    Ready {
        /// Why its writes cannot be tracked, when that was asked for.
        untracked: Option<String>,
    },
    /// The step ended well.
    Done {
        /// How long it took by the worker's clock.
        nanoseconds: u64,
    },
    /// The step raised.
    Failed(StepFailure),
}

/// Why nothing was received.
#[derive(Debug)]
pub enum Silence {
    /// The peer has closed the socket: it ended.
    Closed,
    /// It did not answer in time.
    Deadline,
    /// The user interrupted us.
    Interrupted,
    /// It said something we do not understand.
    Garbage(String),
}

/// Exit status of a zygote or worker whose socket was closed by the program it runs.
pub const LOST: i32 = 97;

/// One end of a socket on which messages travel.
///
/// A program may close descriptors that it did not open (`os.closerange`), and then open others under
/// their numbers: what is no longer the socket is neither written to nor closed.
#[derive(Debug)]
pub struct Channel {
    /// Always there, but while it is dropped.
    stream: Option<UnixStream>,
    file: Option<(u64, u64)>,
}

impl Channel {
    /// Speaks over a connected socket.
    pub fn new(stream: UnixStream) -> Self {
        Self { file: identity(&stream), stream: Some(stream) }
    }

    /// Whether the descriptor still is the socket.
    pub fn is_open(&self) -> bool {
        self.file.is_some() && self.stream.as_ref().and_then(identity) == self.file
    }

    fn stream(&self) -> io::Result<&UnixStream> {
        let lost = || io::Error::new(io::ErrorKind::NotConnected, "the program has closed our socket");
        self.stream.as_ref().filter(|_| self.is_open()).ok_or_else(lost)
    }

    /// The number of the socket, for a child that inherits it.
    pub fn fd(&self) -> RawFd {
        self.stream.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Closes our end for both directions of this process only.
    pub fn close(&mut self) {
        if let Ok((closed, _)) = UnixStream::pair() {
            drop(std::mem::replace(self, Self::new(closed)));
        }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).ok().filter(|&length| length <= MAX_MESSAGE);
        let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message too long"))?;
        let mut stream = self.stream()?;
        stream.write_all(&length.to_le_bytes())?;
        stream.write_all(&body)
    }

    /// Receives one message, however long it takes.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T, Silence> {
        let mut stream = self.stream().map_err(|_| Silence::Closed)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(|_| Silence::Closed)?;
        let length = u32::from_le_bytes(length);
        if length > MAX_MESSAGE {
            return Err(Silence::Garbage(format!("a message of {length} bytes")));
        }
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).map_err(|_| Silence::Closed)?;
        serde_json::from_slice(&body).map_err(|error| Silence::Garbage(error.to_string()))
    }

    /// Receives one message before a deadline, looking at [`interrupt`] while it waits.
    pub fn receive_by<T: DeserializeOwned>(&mut self, deadline: Instant) -> Result<T, Silence> {
        while !self.readable()? {
            if Instant::now() >= deadline {
                return Err(Silence::Deadline);
            }
        }
        self.receive()
    }

    /// Whether a message or the peer's end is there; waits for one [`interrupt::POLL`] at most.
    fn readable(&self) -> Result<bool, Silence> {
        interrupt::check().map_err(|_| Silence::Interrupted)?;
        let timeout = PollTimeout::try_from(interrupt::POLL).unwrap_or(PollTimeout::ZERO);
        let stream = self.stream().map_err(|_| Silence::Closed)?;
        match poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(Silence::Garbage(errno.to_string())),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if !self.is_open() {
            let _not_ours_to_close = self.stream.take().map(IntoRawFd::into_raw_fd);
        }
    }
}

/// Device and inode of an open file.
fn identity(file: &UnixStream) -> Option<(u64, u64)> {
    fstat(file).ok().map(|found| (found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::spawn::adopt_fd;
    use std::time::Duration;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (Channel::new(a), Channel::new(b));
        a.send(&ToWorker::Run { step: 3 }).unwrap();
        a.send(&ToWorker::Exit).unwrap();
        assert!(matches!(b.receive(), Ok(ToWorker::Run { step: 3 })));
        assert!(matches!(b.receive(), Ok(ToWorker::Exit)));
    }

    #[test]
    fn what_was_opened_under_the_number_of_a_socket_is_left_alone() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(a);
        let mut file = tempfile::tempfile().unwrap();
        let mut number = adopt_fd(channel.fd());
        nix::unistd::dup2(&file, &mut number).unwrap();
        assert!(!channel.is_open());
        assert!(channel.send(&ToWorker::Exit).is_err());
        assert!(matches!(channel.receive::<ToWorker>(), Err(Silence::Closed)));
        drop(channel);
        assert!(fstat(&number).is_ok());
        assert_eq!(file.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn silence_has_a_reason() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (Channel::new(a), Channel::new(b));
        assert!(matches!(b.receive_by::<ToWorker>(Instant::now()), Err(Silence::Deadline)));
        a.send(&"nonsense").unwrap();
        assert!(matches!(b.receive::<ToWorker>(), Err(Silence::Garbage(_))));
        drop(a);
        assert!(matches!(
            b.receive_by::<ToWorker>(Instant::now() + Duration::from_secs(5)),
            Err(Silence::Closed)
        ));
    }
}
