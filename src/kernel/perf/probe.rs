//! Whether the witnesses of page faults work here: each is tried on a fault of our own.

use super::abi::{self, flag};
use super::attach::{Attached, online_processors};
use super::event::{Records, page_faults};
use super::refusal::{Refusal, Request, SIGTRAP_KERNEL, Surroundings};
use super::ring::{Access, Ring};
use crate::kernel::spawn::exit_now;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

/// What a probe saw, or why it was refused.
pub type Outcome = std::result::Result<String, Refusal>;

/// Tries the witness `ring` on the calling thread: a fault must arrive in a ring.
pub fn ring() -> Outcome {
    let attached = Attached::to_threads(&[0], 1)?;
    let refused = |errno| Refusal::of(Request::Open, errno, Surroundings::here());
    attached.enable().map_err(refused)?;
    let page = touch_new_page().map_err(refused)?;
    let mut records = Records::default();
    for ring in &attached.rings {
        ring.read(&mut records);
    }
    if !records.faults.iter().any(|fault| fault.address() == page) {
        return Err(Refusal::because("a page fault of our own did not arrive in a perf ring", None));
    }
    Ok(if attached.kernel_included {
        "page faults arrive in a perf ring, those of the kernel too".into()
    } else {
        "page faults arrive in a perf ring, but not those of the kernel".into()
    })
}

/// Tries the witness `sigtrap` in a throw-away child: a fault must send it the signal.
pub fn sigtrap() -> Outcome {
    let processors = online_processors();
    let refused = |request, errno| Refusal::of(request, errno, Surroundings::here());
    // SAFETY: the child makes system calls and ends; it takes no lock and allocates nothing.
    let child = match unsafe { fork() } {
        Ok(ForkResult::Child) => exit_now(fault_under_sigtrap(&processors)),
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => return Err(Refusal::because(format!("fork: {errno}"), None)),
    };
    let ended = loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            ended => break ended,
        }
    };
    outcome(ended, refused)
}

/// What the end of the child means. `refused` explains an error number.
fn outcome(
    ended: std::result::Result<WaitStatus, Errno>,
    refused: impl Fn(Request, Errno) -> Refusal,
) -> Outcome {
    match ended {
        Ok(WaitStatus::Exited(_, DELIVERED)) => Ok("a page fault sends its thread a signal".into()),
        Ok(WaitStatus::Exited(_, SILENT)) => {
            Err(Refusal::because("a page fault sent no signal", Some(SIGTRAP_KERNEL)))
        }
        Ok(WaitStatus::Exited(_, code)) if code >= MAP_REFUSED => {
            Err(refused(Request::Map, Errno::from_raw(code - MAP_REFUSED)))
        }
        Ok(WaitStatus::Exited(_, code)) => Err(refused(Request::OpenSigtrap, Errno::from_raw(code))),
        other => Err(Refusal::because(format!("the child that tried it ended oddly: {other:?}"), None)),
    }
}

/// The child's exit codes. Less is the error number of `perf_event_open` (at most 133), more that of
/// the mapping.
const SILENT: c_int = 140;
const DELIVERED: c_int = 141;
const MAP_REFUSED: c_int = 142;

/// Arms the calling process as a worker does, and faults. Returns when no signal came.
fn fault_under_sigtrap(processors: &[u32]) -> c_int {
    let attr = page_faults(
        flag::DISABLED
            | flag::EXCLUDE_KERNEL
            | flag::INHERIT
            | flag::INHERIT_THREAD
            | flag::REMOVE_ON_EXEC
            | flag::SIGTRAP,
    );
    let told = SigAction::new(SigHandler::Handler(delivered), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only ends the process.
    if let Err(errno) = unsafe { sigaction(Signal::SIGTRAP, &told) } {
        return errno as c_int;
    }
    let mut only = SigSet::empty();
    only.add(Signal::SIGTRAP);
    let _cannot_fail = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None);
    for &processor in processors {
        let ring = match abi::open(&attr, 0, processor) {
            Ok(event) => Ring::map(event, 1, Access::Consume),
            Err(errno) => return errno as c_int,
        };
        match ring.map(std::mem::ManuallyDrop::new) {
            Ok(ring) => drop(abi::enable(ring.as_fd())),
            Err(errno) => return MAP_REFUSED + errno as c_int,
        }
    }
    let _mapped = touch_new_page();
    SILENT
}

extern "C" fn delivered(_signal: c_int) {
    exit_now(DELIVERED)
}

/// Faults on one page, and tells its address.
fn touch_new_page() -> std::result::Result<u64, Errno> {
    // SAFETY: a new private mapping, which nobody else knows of and which is unmapped by its owner only.
    unsafe {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let page = mmap_anonymous(None, NonZeroUsize::MIN, access, MapFlags::MAP_PRIVATE)?;
        page.cast::<u8>().write_volatile(1);
        let address = page.as_ptr() as u64;
        nix::sys::mman::munmap(page, 1)?;
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Pid;

    fn told(code: c_int) -> Outcome {
        let strict = Surroundings { paranoid: Some(3), seccomp: false };
        let ended = WaitStatus::Exited(Pid::from_raw(1), code);
        outcome(Ok(ended), |request, errno| Refusal::of(request, errno, strict))
    }

    #[test]
    fn every_end_of_the_child_has_its_meaning() {
        assert!(told(DELIVERED).is_ok());
        assert!(told(SILENT).unwrap_err().why().contains("no signal"));
        let forbidden = told(Errno::EACCES as c_int).unwrap_err();
        assert!(forbidden.raise().unwrap().starts_with("sysctl kernel.perf_event_paranoid=2"));
        let old = told(Errno::EINVAL as c_int).unwrap_err();
        assert!(old.raise().unwrap().contains("5.13"), "{old}");
        let locked = told(MAP_REFUSED + Errno::EPERM as c_int).unwrap_err();
        assert!(locked.raise().unwrap().contains("mlock"), "{locked}");
        let killed = WaitStatus::Signaled(Pid::from_raw(1), Signal::SIGTRAP, false);
        let killed = outcome(Ok(killed), |request, errno| Refusal::of(request, errno, Surroundings::here()));
        assert!(killed.unwrap_err().why().contains("SIGTRAP"));
    }

    /// Signals come only where rings do, and both say the same when the kernel forbids them.
    #[test]
    fn probes_of_this_machine_agree() {
        match (ring(), sigtrap()) {
            (Ok(_), _) => {}
            (Err(ring), Err(sigtrap)) => assert_eq!(ring.raise(), sigtrap.raise()),
            (Err(ring), Ok(_)) => panic!("signals, but no ring: {ring}"),
        }
    }
}
