//! The supervisor's side of the agent: preloads it, takes what it hands over, and reads its logs.
//!
//! [`Agent`] holds the library's file and the socket on which watched processes report. A process that
//! is watched becomes a [`Watched`]; a census becomes a [`CensusMemory`].

mod area;
mod inside;
mod memory;
mod post;
mod refused;
mod watched;

pub use inside::Inside;
pub use memory::{CensusMemory, Plain};
pub use post::{Caller, Heard, Letter, Post};
pub use refused::Refused;
pub use watched::{Stack, Watched};

use crate::agent::wire::{Message, RESTORE};
use crate::agent::{FILE_NAME, LIBRARY};
use crate::error::{Context, Error, Result};
use crate::kernel::files::MoreFiles;
use crate::variant::{PRELOAD, preloads_of};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The agent of one family.
#[derive(Debug)]
pub struct Agent {
    _files: MoreFiles,
    _folder: TempDir,
    library: PathBuf,
    ours: OwnedFd,
    theirs: Option<OwnedFd>,
    /// Reports that were read elsewhere, or not yet handed out.
    kept: Vec<Report>,
}

/// What a watched process said.
#[derive(Debug)]
pub enum Report {
    /// It is watched from now on.
    Armed(Box<Watched>),
    /// It could not be watched.
    Refused(Refused),
    /// It is watched in vain: what it sent is of no use.
    Unusable(Error),
    /// A child of it lists its objects.
    Census {
        /// That child.
        pid: u32,
        /// What it writes.
        memory: CensusMemory,
    },
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
        Ok(Self {
            _files: MoreFiles::allow(),
            _folder: folder,
            library,
            ours,
            theirs: Some(theirs),
            kept: Vec::new(),
        })
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
        let mut reports = std::mem::take(&mut self.kept);
        while let Some(report) = self.next_report()? {
            reports.push(report);
        }
        Ok(reports)
    }

    /// Takes the refusal of a process out of the reports.
    pub fn take_refusal(&mut self, pid: u32) -> Result<Option<Refused>> {
        self.kept = self.reports()?;
        let of_process = |report: &Report| matches!(report, Report::Refused(refused) if refused.pid == pid && refused.stage != Message::STAGE_CENSUS);
        let found = self.kept.iter().position(of_process).map(|index| self.kept.remove(index));
        Ok(found.and_then(|report| if let Report::Refused(refused) = report { Some(refused) } else { None }))
    }

    /// Takes in what a process reported elsewhere, as in record mode.
    pub fn deliver(&mut self, letter: Letter) {
        self.kept.push(understand(letter).unwrap_or_else(Report::Unusable));
    }

    fn next_report(&self) -> Result<Option<Report>> {
        match Letter::receive(self.ours.as_fd())? {
            Heard::Letter(letter) => Ok(Some(understand(letter).unwrap_or_else(Report::Unusable))),
            Heard::Nothing | Heard::End => Ok(None),
        }
    }
}

/// Has a command preload the library before all else. Its constructor takes the variables away again,
/// so that the program sees its environment as it would have been.
pub fn preload(command: &mut Command, library: &Path) {
    let before = preloads_of(command);
    let mut all = library.as_os_str().to_owned();
    if !before.is_empty() {
        all.push(":");
        all.push(&before);
    }
    command.env(PRELOAD, all).env(RESTORE, before);
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
