//! The supervisor's side of the agent: preloads it, takes what it hands over, and reads its logs.
//!
//! [`Agent`] holds the library's file and the socket on which watched processes report. A process that
//! is watched becomes a [`Watched`]; a census becomes a [`CensusMemory`].

mod area;
mod inside;
mod memory;
mod post;
mod watched;

pub use inside::Inside;
pub use memory::{CensusMemory, Plain};
pub use post::{Caller, Heard, Letter, Post};
pub use watched::{Stack, Watched};

use crate::agent::wire::{Message, RESTORE};
use crate::agent::{FILE_NAME, LIBRARY};
use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The agent of one family.
#[derive(Debug)]
pub struct Agent {
    _folder: TempDir,
    library: PathBuf,
    ours: OwnedFd,
    theirs: Option<OwnedFd>,
    /// Reports that did not come over our socket.
    delivered: Vec<Report>,
}

/// What a watched process said.
#[derive(Debug)]
pub enum Report {
    /// It is watched from now on.
    Armed(Box<Watched>),
    /// It could not be watched.
    Refused(Refused),
    /// A child of it lists its objects.
    Census {
        /// That child.
        pid: u32,
        /// What it writes.
        memory: CensusMemory,
    },
}

/// What the kernel refused in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The process.
    pub pid: u32,
    /// One of the stages of [`Message`].
    pub stage: u32,
    /// Why.
    pub errno: Errno,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.stage {
            Message::STAGE_AREA => "shared memory for its log",
            Message::STAGE_EVENT => "perf_event_open",
            Message::STAGE_RING => "the ring of a perf event",
            Message::STAGE_HANDLER => "a handler for SIGTRAP",
            Message::STAGE_CENSUS => "the census of its objects",
            Message::STAGE_SIBLING => "a frozen sibling",
            _ => "the agent",
        };
        write!(f, "process {}: {what}: {}", self.pid, self.errno)
    }
}

impl Agent {
    /// Whether this build has an agent.
    pub const fn exists() -> bool {
        !LIBRARY.is_empty()
    }

    /// Writes the library to a folder of its own, and makes the socket.
    pub fn prepare() -> Result<Self> {
        if !Self::exists() {
            return Err(Error::new("there is no agent for this architecture").fix("use x86-64"));
        }
        let folder = TempDir::with_prefix("forkprint-agent-").doing("cannot create a temporary folder")?;
        let library = folder.path().join(FILE_NAME);
        std::fs::write(&library, LIBRARY).at("cannot write the agent library", &library)?;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .doing("cannot make a socket pair")?;
        Ok(Self { _folder: folder, library, ours, theirs: Some(theirs), delivered: Vec::new() })
    }

    /// The agent, if `LD_PRELOAD` can name it: a list, separated by colons and spaces.
    pub fn that_can_be_named(self) -> Result<Self> {
        if self.library.to_string_lossy().contains([':', ' ']) {
            return Err(Error::new("the agent's path cannot be named in LD_PRELOAD")
                .path(&self.library)
                .why("it holds a colon or a space")
                .fix("TMPDIR=/tmp"));
        }
        Ok(self)
    }

    /// The library, to be named in `LD_PRELOAD`.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The socket that the zygote inherits under this number.
    pub fn socket(&self) -> Option<RawFd> {
        self.theirs.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Closes our copy of the zygote's socket, once the zygote has been started.
    pub fn started(&mut self) {
        self.theirs = None;
    }

    /// Everything that was reported so far, without waiting.
    pub fn reports(&mut self) -> Result<Vec<Report>> {
        let mut reports = std::mem::take(&mut self.delivered);
        while let Some(report) = self.next_report()? {
            reports.push(report);
        }
        Ok(reports)
    }

    /// Takes in what a process reported elsewhere, as in record mode.
    pub fn deliver(&mut self, letter: Letter) -> Result<()> {
        understand(letter).map(|report| self.delivered.push(report))
    }

    fn next_report(&self) -> Result<Option<Report>> {
        match Letter::receive(self.ours.as_fd())? {
            Heard::Letter(letter) => understand(letter).map(Some),
            Heard::Nothing | Heard::End => Ok(None),
        }
    }
}

/// Has a command preload the library before all else. Its constructor takes the variables away again,
/// so that the program sees its environment as it would have been.
pub fn preload(command: &mut Command, library: &Path) {
    let before = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    let mut all = library.as_os_str().to_owned();
    if !before.is_empty() {
        all.push(":");
        all.push(&before);
    }
    command.env("LD_PRELOAD", all).env(RESTORE, before);
}

/// Reads one message.
fn understand(letter: Letter) -> Result<Report> {
    let Message { kind, pid, errno, stage } = letter.message;
    let mut descriptors = letter.descriptors.into_iter();
    let mut first = || descriptors.next().ok_or_else(|| Error::new("the agent sent no memory").pid(pid));
    match kind {
        Message::ARMED => {
            let area = first()?;
            Watched::new(pid, &area, descriptors.collect()).map(|watched| Report::Armed(Box::new(watched)))
        }
        Message::CENSUS => Ok(Report::Census { pid, memory: CensusMemory::map(&first()?)? }),
        Message::REFUSED => Ok(Report::Refused(Refused { pid, stage, errno: Errno::from_raw(errno) })),
        kind => Err(Error::new("cannot understand the agent").pid(pid).why(format!("message {kind}"))),
    }
}
