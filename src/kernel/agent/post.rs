//! Where processes in record mode report: a listening socket, and one connection for each report.

use crate::agent::wire::{Answer, MOST_RINGS, Message, RECORD};
use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    getsockopt, listen, recvmsg, send, socket,
};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// A listening abstract socket: it needs no folder that every user of the recorded program may enter.
#[derive(Debug)]
pub struct Post {
    listener: OwnedFd,
    name: String,
}

impl Post {
    /// Begins to listen, under a name of its own.
    pub fn open() -> Result<Self> {
        const WHAT: &str = "cannot listen for the agent";
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("forkprint-{}-{}", std::process::id(), now.as_nanos());
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).doing(WHAT)?;
        let address = UnixAddr::new_abstract(name.as_bytes()).doing(WHAT)?;
        bind(listener.as_raw_fd(), &address).doing(WHAT)?;
        listen(&listener, Backlog::MAXCONN).doing(WHAT)?;
        Ok(Self { listener, name })
    }

    /// Has a command, and all that it starts, preload the library and report here.
    pub fn preload(&self, command: &mut Command, library: &Path) {
        let mut all = library.as_os_str().to_owned();
        if let Some(before) = std::env::var_os("LD_PRELOAD").filter(|before| !before.is_empty()) {
            all.push(":");
            all.push(before);
        }
        command.env("LD_PRELOAD", all).env(RECORD, &self.name);
    }

    /// Processes that have begun to report, without waiting.
    pub fn callers(&self) -> Vec<Caller> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        std::iter::from_fn(|| accept4(self.listener.as_raw_fd(), flags).ok())
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            .map(|socket| unsafe { OwnedFd::from_raw_fd(socket) })
            .filter_map(|socket| {
                let credentials = getsockopt(&socket, PeerCredentials).ok()?;
                Some(Caller { pid: u32::try_from(credentials.pid()).ok()?, socket })
            })
            .collect()
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A process that reports.
#[derive(Debug)]
pub struct Caller {
    socket: OwnedFd,
    pid: u32,
}

/// What came over a socket of the agent.
#[derive(Debug)]
pub enum Heard {
    /// Nothing more for now.
    Nothing,
    /// Nothing more at all: it has hung up.
    End,
    /// One message.
    Letter(Letter),
}

impl Caller {
    /// The process that connected.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The next message, without waiting.
    pub fn hear(&self) -> Result<Heard> {
        Letter::receive(self.socket.as_fd())
    }

    /// Lets the process go on. One that is gone does not care.
    pub fn answer(&self, word: u8, family: u8) {
        let bytes: [u8; Answer::BYTES] = [word, family];
        let _gone = send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    }
}

impl AsFd for Caller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A message and the descriptors beside it.
#[derive(Debug)]
pub struct Letter {
    /// The message.
    pub message: Message,
    /// As the kernel handed them over.
    pub descriptors: Vec<OwnedFd>,
}

impl Letter {
    /// Takes one message from a socket, without waiting.
    pub(super) fn receive(socket: BorrowedFd<'_>) -> Result<Heard> {
        let mut bytes = [0; Message::BYTES];
        let mut control = nix::cmsg_space!([RawFd; MOST_RINGS + 1]);
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = match recvmsg::<()>(socket.as_raw_fd(), &mut vectors, Some(&mut control), flags) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Heard::Nothing),
            Err(Errno::ECONNRESET) => return Ok(Heard::End),
            Err(errno) => return Err(Error::new("cannot hear the agent").why(errno)),
        };
        let length = received.bytes;
        let descriptors: Vec<OwnedFd> = received
            .cmsgs()
            .map_err(|errno| Error::new("cannot take descriptors of the agent").why(errno))?
            .filter_map(|message| match message {
                ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            // SAFETY: the kernel has just made these descriptors for us; nobody else knows them.
            .map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
            .collect();
        if length == 0 {
            return Ok(Heard::End);
        }
        let message = parse(&bytes[..length]).ok_or_else(|| Error::new("the agent sent half a message"))?;
        Ok(Heard::Letter(Self { message, descriptors }))
    }
}

fn parse(bytes: &[u8]) -> Option<Message> {
    let word = |index: usize| {
        let word = bytes.get(4 * index..4 * index + 4)?;
        word.try_into().ok().map(u32::from_ne_bytes)
    };
    Some(Message { kind: word(0)?, pid: word(1)?, errno: word(2)?.cast_signed(), stage: word(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn half_a_message_is_an_error_and_a_closed_socket_is_an_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(matches!(Letter::receive(ours.as_fd()), Ok(Heard::Nothing)));
        send(theirs.as_raw_fd(), &[1, 2, 3], MsgFlags::empty()).unwrap();
        assert!(Letter::receive(ours.as_fd()).is_err());
        drop(theirs);
        assert!(matches!(Letter::receive(ours.as_fd()), Ok(Heard::End)));
    }
}
