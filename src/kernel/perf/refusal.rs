//! Why the kernel lets nobody watch page faults here, and the least thing that would.

use crate::error::Error;
use nix::errno::Errno;
use std::fmt;
use std::fs;

/// What the kernel was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Events on another process or thread, or on the calling one.
    Open,
    /// Events that send signals.
    OpenSigtrap,
    /// The ring of an event.
    Map,
}

/// What of this machine decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// `/proc/sys/kernel/perf_event_paranoid`; `None` where the kernel has no perf events.
    pub paranoid: Option<i32>,
    /// System calls of this process pass a seccomp filter, as in containers.
    pub seccomp: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        Self::of("self")
    }

    /// Those of another process; one that has ended has no filter.
    pub fn of_process(pid: u32) -> Self {
        Self::of(&pid.to_string())
    }

    fn of(process: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = read(&format!("/proc/{process}/status"));
        let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Self {
            paranoid: read("/proc/sys/kernel/perf_event_paranoid").trim().parse().ok(),
            seccomp: filters.is_some_and(|mode| mode.trim() == "2"),
        }
    }
}

/// A refusal: what the kernel said, and the least thing that would change its mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    why: String,
    raise: Option<String>,
}

impl Refusal {
    /// Explains an error number.
    pub fn of(request: Request, errno: Errno, here: Surroundings) -> Self {
        let setting = here.paranoid.map_or_else(
            || "there is no kernel.perf_event_paranoid".into(),
            |value| format!("kernel.perf_event_paranoid is {value}"),
        );
        let why = match request {
            Request::Map => format!("the ring of a perf event cannot be mapped: {errno}"),
            Request::Open | Request::OpenSigtrap => format!("perf_event_open: {errno} ({setting})"),
        };
        Self { why, raise: raise(request, errno, here) }
    }

    /// Something that was tried and did not do what it should.
    pub(super) fn because(why: impl Into<String>, raise: Option<&str>) -> Self {
        Self { why: why.into(), raise: raise.map(str::to_owned) }
    }

    /// What the kernel said.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The least thing that would allow it, where something is known to.
    pub fn raise(&self) -> Option<&str> {
        self.raise.as_deref()
    }

    /// As the error of watching a process.
    pub(super) fn error(self, pid: u32) -> Error {
        let error = Error::new("cannot watch the page faults of a process").pid(pid).why(self.why);
        match self.raise {
            Some(fix) => error.fix(fix),
            None => error,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Debian and Ubuntu patch levels above 2 into `perf_event_paranoid`, which forbid everything without
/// `CAP_PERFMON` (`EACCES`). Seccomp filters of containers answer `EPERM` or `ENOSYS`.
fn raise(request: Request, errno: Errno, here: Surroundings) -> Option<String> {
    let told = match (request, errno) {
        (Request::Map, Errno::EPERM | Errno::ENOMEM) => {
            "raise kernel.perf_event_mlock_kb or `ulimit -l`, or give CAP_IPC_LOCK"
        }
        (Request::Map, _) => return None,
        (_, Errno::EPERM | Errno::ENOSYS) if here.seccomp => {
            "a seccomp profile that permits perf_event_open (a container: --security-opt seccomp=PROFILE, or --cap-add PERFMON)"
        }
        (_, Errno::EACCES | Errno::EPERM) => match here.paranoid {
            Some(value) if value > 2 => {
                return Some(format!(
                    "sysctl kernel.perf_event_paranoid=2 (it is {value} now), or CAP_PERFMON"
                ));
            }
            _ => "CAP_PERFMON, or run as root",
        },
        (_, Errno::ENOSYS) => "a kernel with CONFIG_PERF_EVENTS",
        (Request::OpenSigtrap, Errno::EINVAL | Errno::E2BIG) => SIGTRAP_KERNEL,
        (_, Errno::EMFILE) => "raise `ulimit -n`: every thread takes a descriptor for each processor",
        _ => return None,
    };
    Some(told.into())
}

/// Since when page faults send signals, and since when none of these is lost.
pub(super) const SIGTRAP_KERNEL: &str = "Linux 5.13 or later; 6.1 or later loses no signal";

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(request: Request, errno: Errno, paranoid: Option<i32>, seccomp: bool) -> String {
        let refusal = Refusal::of(request, errno, Surroundings { paranoid, seccomp });
        refusal.raise().unwrap_or("nothing").to_owned()
    }

    #[test]
    fn a_strict_distribution_is_told_from_a_container_and_from_an_old_kernel() {
        let debian = raised(Request::Open, Errno::EACCES, Some(3), false);
        assert!(debian.starts_with("sysctl kernel.perf_event_paranoid=2 (it is 3 now)"), "{debian}");
        let docker = raised(Request::OpenSigtrap, Errno::EPERM, Some(2), true);
        assert!(docker.contains("seccomp profile"), "{docker}");
        let docker = raised(Request::Open, Errno::ENOSYS, Some(2), true);
        assert!(docker.contains("seccomp profile"), "{docker}");
        let docker = raised(Request::Open, Errno::EPERM, Some(3), true);
        assert!(docker.contains("seccomp profile"), "{docker}");
        let both = raised(Request::Open, Errno::EACCES, Some(4), true);
        assert!(both.contains("it is 4 now"), "{both}");
        assert!(raised(Request::Open, Errno::ENOSYS, None, false).contains("CONFIG_PERF_EVENTS"));
        assert!(raised(Request::OpenSigtrap, Errno::E2BIG, Some(2), false).contains("5.13"));
        assert!(raised(Request::Map, Errno::EPERM, Some(2), true).contains("mlock_kb"));
        assert_eq!(raised(Request::Open, Errno::EINVAL, Some(2), false), "nothing");
    }

    #[test]
    fn a_refusal_says_what_the_kernel_said_and_how_it_is_set() {
        let here = Surroundings { paranoid: Some(3), seccomp: false };
        let refusal = Refusal::of(Request::Open, Errno::EACCES, here);
        assert_eq!(
            refusal.why(),
            "perf_event_open: EACCES: Permission denied (kernel.perf_event_paranoid is 3)"
        );
    }
}
