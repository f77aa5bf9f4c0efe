//! What the kernel takes to make a process, by every call there is, in a process of a given size.
//!
//! [`measure`] fills its own memory: run it in a process that is thrown away.

use super::spawn::exit_now;
use crate::error::{Context, Error, Result};
use crate::units::PAGE_SIZE;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs;
use std::num::NonZeroUsize;
use std::ptr::{NonNull, null_mut};
use std::time::Instant;

/// Bytes of a huge page.
pub const HUGE_PAGE: u64 = 2 << 20;
/// Pages written for the cost of one copy.
const COPIES: u64 = 512;
const STACK: usize = 16 * 4096;

/// What one throw-away process measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Bytes of memory to fill.
    pub bytes: u64,
    /// Ask for huge pages.
    pub huge: bool,
    /// Times that every call is made.
    pub rounds: u32,
    /// Program that the calls start.
    pub program: String,
}

/// Nanoseconds of each round, and page tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// `fork`, until it returns in the parent; the child leaves at once.
    pub fork_call: Vec<u64>,
    /// The same until the child is reaped.
    pub fork_exit: Vec<u64>,
    /// `fork` and `execve` of the program, until that is reaped.
    pub fork_exec: Vec<u64>,
    /// `vfork` and `execve`, until the program is reaped.
    pub vfork_exec: Vec<u64>,
    /// `clone(CLONE_VM | CLONE_VFORK)` and `execve`, until the program is reaped.
    pub clone_exec: Vec<u64>,
    /// `posix_spawn`, until the program is reaped.
    pub posix_spawn: Vec<u64>,
    /// A write to a shared page, a page on average: the fault and its copy.
    pub copy_fault: Vec<u64>,
    /// Bytes of the page tables of a forked child.
    pub page_table_bytes: u64,
    /// Bytes of the filled memory that huge pages hold.
    pub huge_bytes: u64,
}

impl Samples {
    /// Adds those of another process of the same size. Of the rest the last measurement counts.
    pub fn extend(&mut self, more: Self) {
        self.fork_call.extend(more.fork_call);
        self.fork_exit.extend(more.fork_exit);
        self.fork_exec.extend(more.fork_exec);
        self.vfork_exec.extend(more.vfork_exec);
        self.clone_exec.extend(more.clone_exec);
        self.posix_spawn.extend(more.posix_spawn);
        self.copy_fault.extend(more.copy_fault);
        self.page_table_bytes = more.page_table_bytes;
        self.huge_bytes = more.huge_bytes;
    }
}

/// Fills memory and makes every call in turn, round by round.
pub fn measure(spec: &Spec) -> Result<Samples> {
    let memory = Memory::fill(spec)?;
    let program = CString::new(spec.program.as_str()).doing("cannot name the program")?;
    let mut samples = Samples { huge_bytes: huge_bytes(), ..Samples::default() };
    samples.page_table_bytes = page_tables_of_a_child()?;
    // The first of each warms caches up.
    for round in 0..=spec.rounds {
        let (call, exit) = fork_and_exit()?;
        let fork_exec = timed(|| fork_and_exec(&program))?;
        let vfork_exec = timed(|| vfork_and_exec(&program))?;
        let clone_exec = timed(|| clone_and_exec(&program))?;
        let posix_spawn = timed(|| spawn(&program))?;
        let copy = memory.copy_fault(spec.huge)?;
        if round > 0 {
            samples.fork_call.push(call);
            samples.fork_exit.push(exit);
            samples.fork_exec.push(fork_exec);
            samples.vfork_exec.push(vfork_exec);
            samples.clone_exec.push(clone_exec);
            samples.posix_spawn.push(posix_spawn);
            samples.copy_fault.push(copy);
        }
    }
    Ok(samples)
}

struct Memory {
    start: NonNull<c_void>,
    bytes: u64,
}

impl Memory {
    fn fill(spec: &Spec) -> Result<Self> {
        const WHAT: &str = "cannot map memory to fork";
        let size = usize::try_from(spec.bytes + HUGE_PAGE).doing(WHAT)?;
        let size = NonZeroUsize::new(size).ok_or_else(|| Error::new(WHAT))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new private mapping, which lives as long as the process.
        let mapped = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE) }.doing(WHAT)?;
        let skip = (HUGE_PAGE - mapped.as_ptr() as u64 % HUGE_PAGE) % HUGE_PAGE;
        // SAFETY: the mapping is longer than `bytes` by a huge page, which is more than what is skipped.
        let start = unsafe { mapped.byte_add(usize::try_from(skip).unwrap_or(0)) };
        let advice = if spec.huge { MmapAdvise::MADV_HUGEPAGE } else { MmapAdvise::MADV_NOHUGEPAGE };
        let len = usize::try_from(spec.bytes).doing(WHAT)?;
        // SAFETY: the range is inside of the mapping; the advice changes no bytes.
        unsafe { madvise(start, len, advice) }.doing("cannot choose the size of pages")?;
        let memory = Self { start, bytes: spec.bytes };
        (0..spec.bytes / PAGE_SIZE).for_each(|page| memory.write(page * PAGE_SIZE));
        Ok(memory)
    }

    fn write(&self, offset: u64) {
        debug_assert!(offset < self.bytes);
        // SAFETY: the offset is inside of the mapping, which nobody else uses.
        unsafe {
            self.start.as_ptr().cast::<u8>().add(usize::try_from(offset).unwrap_or(0)).write_volatile(1);
        }
    }

    /// Nanoseconds to write to a page that a child shares.
    fn copy_fault(&self, huge: bool) -> Result<u64> {
        let step = if huge { HUGE_PAGE } else { PAGE_SIZE };
        let count = (self.bytes / step).clamp(1, COPIES);
        let child = still_child()?;
        let began = Instant::now();
        (0..count).for_each(|index| self.write(index * step));
        let each = nanoseconds(began) / count;
        end(child);
        // What was split into small pages would be small in the next round, too.
        if huge {
            self.renew(count * step)?;
        }
        Ok(each)
    }

    /// Gives memory up and fills it again.
    fn renew(&self, bytes: u64) -> Result<()> {
        let len = usize::try_from(bytes).unwrap_or(0);
        // SAFETY: the range is inside of the mapping, and nobody needs its bytes.
        unsafe { madvise(self.start, len, MmapAdvise::MADV_DONTNEED) }.doing("cannot give memory up")?;
        (0..bytes / PAGE_SIZE).for_each(|page| self.write(page * PAGE_SIZE));
        Ok(())
    }
}

fn nanoseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Time from the call until the process that it made is reaped.
fn timed(make: impl FnOnce() -> Result<Pid>) -> Result<u64> {
    let began = Instant::now();
    let child = make()?;
    let status = waitpid(child, None).doing("cannot reap a process")?;
    let took = nanoseconds(began);
    match status {
        nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(took),
        other => Err(Error::new("the program that measures exec failed").why(format!("{other:?}"))),
    }
}

const FORK: &str = "cannot fork";

fn fork_and_exit() -> Result<(u64, u64)> {
    let began = Instant::now();
    // SAFETY: the child leaves at once.
    match unsafe { fork() }.doing(FORK)? {
        ForkResult::Child => exit_now(0),
        ForkResult::Parent { child } => {
            let call = nanoseconds(began);
            waitpid(child, None).doing("cannot reap a process")?;
            Ok((call, nanoseconds(began)))
        }
    }
}

/// The program's arguments and an empty environment.
fn arguments(program: &CString) -> [*const c_char; 2] {
    [program.as_ptr(), std::ptr::null()]
}

fn fork_and_exec(program: &CString) -> Result<Pid> {
    let words = arguments(program);
    // SAFETY: the child makes system calls on memory that it has a copy of.
    match unsafe { fork() }.doing(FORK)? {
        ForkResult::Child => {
            // SAFETY: a path and lists that end with a null.
            unsafe { libc::execve(words[0], words.as_ptr(), words[1..].as_ptr()) };
            exit_now(127)
        }
        ForkResult::Parent { child } => Ok(child),
    }
}

/// `vfork` and, in the child, `execve` without touching the stack that it shares with us.
#[cfg(target_arch = "x86_64")]
fn vfork_and_exec(program: &CString) -> Result<Pid> {
    let words = arguments(program);
    let result: i64;
    // SAFETY: the parent sleeps until the child has made its call. Both returns of vfork are inside of this
    // block, which uses registers alone; the child leaves it only through execve or exit.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {execve}",
            "syscall",
            "mov edi, 127",
            "mov eax, {exit}",
            "syscall",
            "2:",
            execve = const libc::SYS_execve,
            exit = const libc::SYS_exit_group,
            inlateout("rax") libc::SYS_vfork => result,
            inlateout("rdi") words[0] => _,
            in("rsi") words.as_ptr(),
            in("rdx") words[1..].as_ptr(),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    let pid = nix::errno::Errno::result(if result < 0 { -1 } else { result }).doing("cannot vfork")?;
    Ok(Pid::from_raw(i32::try_from(pid).unwrap_or(-1)))
}

/// Where we have no such code, `clone` with the flags that `vfork` stands for.
#[cfg(not(target_arch = "x86_64"))]
fn vfork_and_exec(program: &CString) -> Result<Pid> {
    clone_and_exec(program)
}

extern "C" fn exec(words: *mut c_void) -> c_int {
    let words = words.cast_const().cast::<*const c_char>();
    // SAFETY: `clone_and_exec` gives a list of a path and a null, and waits until this call is made.
    unsafe { libc::execve(*words, words, words.add(1)) };
    127
}

fn clone_and_exec(program: &CString) -> Result<Pid> {
    let words = arguments(program);
    let mut stack = vec![0_u8; STACK];
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top as usize % 16);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs on a stack of its own, aligned to 16 bytes, and we sleep until it needs
    // neither that nor the words any more.
    let pid = unsafe { libc::clone(exec, top.cast(), flags, words.as_ptr().cast_mut().cast()) };
    nix::errno::Errno::result(pid).doing("cannot clone").map(Pid::from_raw)
}

fn spawn(program: &CString) -> Result<Pid> {
    let words = arguments(program);
    let mut pid = 0;
    // SAFETY: a path and lists that end with a null; no file actions and no attributes.
    let errno = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            words[0],
            null_mut(),
            null_mut(),
            words.as_ptr().cast::<*mut c_char>(),
            words[1..].as_ptr().cast::<*mut c_char>(),
        )
    };
    if errno != 0 {
        return Err(Error::new("cannot spawn").why(nix::errno::Errno::from_raw(errno)));
    }
    Ok(Pid::from_raw(pid))
}

/// A child that sleeps until it is ended.
fn still_child() -> Result<Pid> {
    // SAFETY: the child makes nothing but system calls.
    match unsafe { fork() }.doing(FORK)? {
        ForkResult::Child => {
            if super::spawn::die_with_parent().is_err() {
                exit_now(1);
            }
            loop {
                nix::unistd::pause();
            }
        }
        ForkResult::Parent { child } => Ok(child),
    }
}

fn end(child: Pid) {
    let _gone_already = kill(child, Signal::SIGKILL);
    let _reaped_already = waitpid(child, None);
}

fn page_tables_of_a_child() -> Result<u64> {
    let child = still_child()?;
    let path = format!("/proc/{child}/status");
    let status = fs::read_to_string(&path).at("cannot read the page tables of a child", &path);
    end(child);
    kib_after(&status?, "VmPTE:")
        .ok_or_else(|| Error::new("the kernel does not tell the size of page tables"))
}

fn huge_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    kib_after(&rollup, "AnonHugePages:").unwrap_or(0)
}

fn kib_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Bytes of memory that could be filled without swapping.
pub fn available_bytes() -> Option<u64> {
    kib_after(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_starts_the_program_and_leaves_nobody_behind() {
        let spec = Spec { bytes: 8 << 20, huge: false, rounds: 2, program: "/bin/true".into() };
        let samples = measure(&spec).unwrap();
        for times in [
            &samples.fork_call,
            &samples.fork_exit,
            &samples.fork_exec,
            &samples.vfork_exec,
            &samples.clone_exec,
            &samples.posix_spawn,
            &samples.copy_fault,
        ] {
            assert!(times.len() == 2 && times.iter().all(|&time| time > 0), "{samples:?}");
        }
        assert!(samples.page_table_bytes >= 8 * (8 << 20) / PAGE_SIZE);
        assert!(waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)).is_err(), "no child is left");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error_and_not_a_time() {
        let spec = Spec { bytes: 1 << 20, huge: false, rounds: 1, program: "/no/such/program".into() };
        assert!(measure(&spec).is_err());
    }
}
