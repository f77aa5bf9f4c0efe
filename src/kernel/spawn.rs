//! Process creation: children that die with us, and the sibling frozen at the fork.

use super::files;
use crate::error::{Error, Result};
use crate::family::PageRanges;
use crate::units::{PAGE_SIZE, Vpn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::unistd::Pid;
use std::ffi::{c_int, c_void};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A child in a process group of its own, killed with its whole group when dropped.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    exit: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Starts a command in a new process group; the kernel kills it when the calling thread ends.
    ///
    /// `keep` are descriptors that the child inherits under the same numbers.
    pub fn spawn(mut command: Command, keep: Vec<RawFd>) -> Result<Self> {
        let parent = std::process::id();
        let files = files::limit_of_children();
        command.process_group(0);
        // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls; it
        // reads `keep` and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                files.into_iter().for_each(files::set_soft_limit);
                prepare_child(parent, &keep)
            })
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| {
            let failed = Error::new("cannot start a process").path(program).why(&error);
            match error.kind() {
                io::ErrorKind::NotFound => failed.fix("check its name, or give its path"),
                io::ErrorKind::PermissionDenied => failed.fix("make it executable, or name its interpreter"),
                _ => failed,
            }
        })?;
        Ok(Self { child, exit: None })
    }

    /// Process id of the child, which is also the id of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Access to the child's pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the child to end, up to a deadline. `None` when it still runs.
    pub fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
        }
        if self.exit.is_none() && wait_for_exit(self.pid(), deadline) {
            self.exit = self.child.try_wait().ok().flatten();
        }
        self.exit
    }

    /// Asks the whole group to end, then kills it. Returns when the child is reaped.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        if self.wait_until(Instant::now()).is_none() {
            self.signal(Signal::SIGTERM);
            self.wait_until(Instant::now() + grace);
        }
        self.signal(Signal::SIGKILL);
        self.wait_until(Instant::now() + Duration::from_secs(5))
    }

    /// Sends a signal to every process of the group; none left is fine.
    pub fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.pid()) {
            let _gone_already = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_until(Instant::now() + Duration::from_secs(5));
    }
}

/// Tells how a process ended, as people say it: `exit status 3`, `SIGSEGV`.
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => signal_name(signal),
        (None, None) => "an unknown end".into(),
    }
}

/// The name of a signal number, `SIGSEGV` for 11.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

fn prepare_child(parent: u32, keep: &[RawFd]) -> io::Result<()> {
    die_with_parent()?;
    // SAFETY: plain system calls on numbers.
    unsafe {
        if libc::getppid().cast_unsigned() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for &fd in keep {
            if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Asks the kernel to kill the calling process when its parent ends.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: a system call on numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until a process ends, whoever's child it is. False at the deadline.
pub fn wait_for_exit(pid: u32, deadline: Instant) -> bool {
    let Ok(Some(pidfd)) = pidfd_open(pid) else { return true };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) if Instant::now() < deadline => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

/// A descriptor that becomes readable when the process ends; `None` when it has ended already.
pub fn pidfd_open(pid: u32) -> Result<Option<OwnedFd>> {
    // SAFETY: a system call on numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    match Errno::result(fd) {
        // SAFETY: the descriptor was just returned to us and nobody else owns it.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })),
        Err(Errno::ESRCH) => Ok(None),
        Err(errno) => Err(Error::new("cannot watch a process").pid(pid).why(errno)),
    }
}

/// How a process ended that somebody else has reaped, as `waitpid` gave it. Linux 6.15 and later remember.
pub fn exit_status(pidfd: &OwnedFd) -> Option<i32> {
    /// `struct pidfd_info` of `include/uapi/linux/pidfd.h`, as it began.
    #[derive(Default)]
    #[repr(C)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the kernel fills the struct, whose size is part of the request.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// Makes orphans among our descendants children of ours, so that none escapes us.
pub fn adopt_orphans() -> Result<()> {
    // SAFETY: a system call on numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    Errno::result(result).map(drop).map_err(|errno| Error::new("cannot adopt orphans").why(errno))
}

/// Kills a process by number; one that is gone is fine.
pub fn kill(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _gone_already = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Leaves at once: no exit handlers, no flushing, nothing of the program runs any more.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Takes over a descriptor that was inherited under a known number.
///
/// The number must come from the process that started us, and be adopted once.
pub fn adopt_fd(fd: RawFd) -> OwnedFd {
    // SAFETY: the parent passed the descriptor for our use and says its number; nobody else in this
    // process knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A copy of the calling process, frozen at this moment: it holds every frame and its bytes.
#[derive(Debug)]
pub struct FrozenSibling {
    /// Its process id.
    pub pid: u32,
    /// Pages that exist only for it, in the caller too: no part of the program measured.
    pub instrument: PageRanges,
}

/// Bytes of the sibling's own stack, the only memory it ever writes.
const SIBLING_STACK: usize = 4 * 4096;

/// Clones the caller into a sibling that runs a few system calls on a stack of its own and then
/// sleeps until it is killed, or its parent ends.
///
/// It runs no code of the program, not even the fork hooks, and writes no inherited page.
pub fn freeze_sibling() -> Result<FrozenSibling> {
    let size = NonZeroUsize::new(SIBLING_STACK).ok_or_else(|| Error::new("no stack size"))?;
    // SAFETY: a new private mapping; it is never unmapped, because the sibling lives on it.
    let stack = unsafe {
        mmap_anonymous(
            None,
            size,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK,
        )
    }
    .map_err(|errno| Error::new("cannot map a stack for the frozen sibling").why(errno))?;
    let before = block_signals()?;
    // SAFETY: the stack is SIBLING_STACK bytes, its end is 16-byte aligned, and `sleep_for_ever`
    // never returns. No memory is shared with the child (no CLONE_VM).
    let pid = unsafe {
        libc::clone(
            sleep_for_ever,
            stack.as_ptr().cast::<u8>().add(SIBLING_STACK).cast(),
            libc::SIGCHLD,
            std::ptr::null_mut(),
        )
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)
        .map_err(|errno| Error::new("cannot restore the signal mask").why(errno))?;
    let pid = Errno::result(pid).map_err(|errno| Error::new("cannot clone a frozen sibling").why(errno))?;
    let first = Vpn::of_address(stack.as_ptr() as u64);
    let instrument = vec![first..Vpn(first.0 + SIBLING_STACK as u64 / PAGE_SIZE)];
    Ok(FrozenSibling { pid: pid.cast_unsigned(), instrument })
}

/// The sibling inherits a mask that lets no handler of the program run in it.
fn block_signals() -> Result<SigSet> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(|errno| Error::new("cannot block signals").why(errno))?;
    Ok(before)
}

extern "C" fn sleep_for_ever(_: *mut c_void) -> c_int {
    // SAFETY: system calls on numbers only. Descriptors are closed so that no pipe of the zygote is
    // held open by a process that will never read it.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        loop {
            libc::pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::remote::SharedMemory;

    #[test]
    fn a_frozen_sibling_keeps_the_old_bytes_and_dies_when_told() {
        let mut memory = vec![7_u8; 3 * 4096];
        let sibling = freeze_sibling().unwrap();
        memory[5000] = 8;
        let mut seen = [0];
        SharedMemory::open(sibling.pid)
            .unwrap()
            .read_bytes(memory.as_ptr() as u64 + 5000, &mut seen)
            .unwrap();
        assert_eq!((seen[0], std::hint::black_box(&memory)[5000]), (7, 8));
        kill(sibling.pid);
        assert!(wait_for_exit(sibling.pid, Instant::now() + Duration::from_secs(5)));
        nix::sys::wait::waitpid(Pid::from_raw(sibling.pid.cast_signed()), None).unwrap();
    }

    #[test]
    fn a_dropped_group_takes_its_grandchildren_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        let mut group = ProcessGroup::spawn(command, Vec::new()).unwrap();
        let mut line = String::new();
        let stdout = group.child().stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line).unwrap();
        drop(group);
        let grandchild: u32 = line.trim().parse().unwrap();
        assert!(wait_for_exit(grandchild, Instant::now() + Duration::from_secs(5)));
    }

    #[test]
    fn the_kernel_remembers_how_a_reaped_process_ended() {
        let mut child = Command::new("sh")
            .args(["-c", "read line; exit 7"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pidfd = pidfd_open(child.id()).unwrap().unwrap();
        assert_eq!(exit_status(&pidfd), None);
        drop(child.stdin.take());
        child.wait().unwrap();
        // Before Linux 6.15 it does not.
        assert!(matches!(exit_status(&pidfd), Some(0x700) | None));
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let error = ProcessGroup::spawn(Command::new("/no/such/program"), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("/no/such/program"));
    }
}
