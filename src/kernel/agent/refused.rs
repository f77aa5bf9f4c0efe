//! What a process could not be given by its kernel or its limits, and the least thing that would do.

use crate::agent::wire::{MOST_RINGS, Message};
use crate::kernel::perf::refusal::{Refusal, Request, Surroundings};
use nix::errno::Errno;
use std::fmt;

/// What was refused in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The process.
    pub pid: u32,
    /// One of the stages of [`Message`].
    pub stage: u32,
    /// Why.
    pub errno: Errno,
}

impl Refused {
    /// The least thing that would allow it, where something is known to.
    pub fn raise(&self) -> Option<String> {
        let told = match (self.stage, self.errno) {
            (Message::STAGE_PROCESSORS, _) => return None,
            (_, Errno::EMFILE) => "raise its limit of descriptors (ulimit -n)",
            (_, Errno::EFBIG) => "lift its limit of file sizes (ulimit -f)",
            (Message::STAGE_AREA | Message::STAGE_CENSUS, Errno::ENOMEM) => {
                "lift the limit of its address space (ulimit -v), or set it to 32 GiB or more"
            }
            (Message::STAGE_EVENT, errno) => return self.by_the_kernel(Request::OpenSigtrap, errno),
            (Message::STAGE_RING, errno) => return self.by_the_kernel(Request::Map, errno),
            _ => return None,
        };
        Some(told.into())
    }

    fn by_the_kernel(self, request: Request, errno: Errno) -> Option<String> {
        Refusal::of(request, errno, Surroundings::of_process(self.pid)).raise().map(str::to_owned)
    }

    /// What, and why.
    pub fn why(&self) -> String {
        let what = match self.stage {
            Message::STAGE_AREA => "shared memory for its log",
            Message::STAGE_EVENT => "perf_event_open",
            Message::STAGE_RING => "the ring of a perf event",
            Message::STAGE_HANDLER => "a handler for SIGTRAP",
            Message::STAGE_CENSUS => "the census of its objects",
            Message::STAGE_SIBLING => "a frozen sibling",
            Message::STAGE_PROCESSORS => return format!("there are more than {MOST_RINGS} processors"),
            _ => "the agent",
        };
        format!("{what}: {}", self.errno)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}: {}", self.pid, self.why())?;
        self.raise().map_or(Ok(()), |raise| write!(f, "; to allow it: {raise}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_remedy() {
        let told = |stage, errno| Refused { pid: 7, stage, errno }.to_string();
        assert_eq!(
            told(Message::STAGE_AREA, Errno::EMFILE),
            "process 7: shared memory for its log: EMFILE: Too many open files; to allow it: raise its limit of \
             descriptors (ulimit -n)"
        );
        assert!(told(Message::STAGE_AREA, Errno::ENOMEM).contains("ulimit -v"));
        assert!(told(Message::STAGE_CENSUS, Errno::EFBIG).contains("ulimit -f"));
        assert!(told(Message::STAGE_RING, Errno::EPERM).contains("ulimit -l"));
        assert!(told(Message::STAGE_EVENT, Errno::EMFILE).contains("ulimit -n"));
        assert!(!told(Message::STAGE_PROCESSORS, Errno::EPERM).contains("EPERM"));
    }
}
