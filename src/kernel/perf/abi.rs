//! The raw calls: `perf_event_open` and what is done with its descriptors.
//!
//! Layouts and numbers: `include/uapi/linux/perf_event.h`.

use crate::error::{Error, Result};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `PERF_TYPE_SOFTWARE`.
pub const TYPE_SOFTWARE: u32 = 1;
/// `PERF_COUNT_SW_PAGE_FAULTS`: minor and major faults.
pub const SW_PAGE_FAULTS: u64 = 2;

/// Bits of `sample_type`: what a sample holds, in the order in which it holds it.
pub mod sample {
    /// `PERF_SAMPLE_IP`.
    pub const IP: u64 = 1 << 0;
    /// `PERF_SAMPLE_TID`.
    pub const TID: u64 = 1 << 1;
    /// `PERF_SAMPLE_TIME`.
    pub const TIME: u64 = 1 << 2;
    /// `PERF_SAMPLE_ADDR`.
    pub const ADDR: u64 = 1 << 3;
}

/// The bit field of [`Attr`], as little-endian machines lay it out.
pub mod flag {
    /// Counts nothing until it is enabled.
    pub const DISABLED: u64 = 1 << 0;
    /// Children and threads that are made later have the event too.
    pub const INHERIT: u64 = 1 << 1;
    /// Not while the processor runs kernel code.
    pub const EXCLUDE_KERNEL: u64 = 1 << 5;
    /// Not while it runs a hypervisor.
    pub const EXCLUDE_HV: u64 = 1 << 6;
    /// `wakeup_watermark` counts bytes.
    pub const WATERMARK: u64 = 1 << 14;
    /// Times are of `clockid`.
    pub const USE_CLOCKID: u64 = 1 << 25;
    /// Only threads inherit, not processes (Linux 5.13).
    pub const INHERIT_THREAD: u64 = 1 << 35;
    /// A program that is executed is not watched (Linux 5.13).
    pub const REMOVE_ON_EXEC: u64 = 1 << 36;
    /// The thread gets a synchronous SIGTRAP at every event (Linux 5.13).
    pub const SIGTRAP: u64 = 1 << 37;
}

/// `struct perf_event_attr` up to `sig_data` (`PERF_ATTR_SIZE_VER7`, Linux 5.13). Older kernels take
/// it as well as long as what they do not know is zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attr {
    /// `PERF_TYPE_*`.
    pub kind: u32,
    /// Bytes of this structure.
    pub size: u32,
    /// Which event of the type.
    pub config: u64,
    /// A sample every so many events.
    pub sample_period: u64,
    /// Bits of [`sample`].
    pub sample_type: u64,
    /// What `read(2)` tells beside the count.
    pub read_format: u64,
    /// Bits of [`flag`].
    pub flags: u64,
    /// Bytes in the ring that make its descriptor readable.
    pub wakeup_watermark: u32,
    pub(super) unused: [u32; 10],
    /// `CLOCK_*` of the times in samples.
    pub clockid: i32,
    pub(super) unused_too: [u64; 3],
    /// `si_perf_data` of the signals.
    pub sig_data: u64,
}

/// `PERF_ATTR_SIZE_VER7`.
const _: () = assert!(size_of::<Attr>() == 128);

/// The raw calls.
mod raw {
    nix::ioctl_none!(enable, b'$', 0);
    nix::ioctl_none!(disable, b'$', 1);
    nix::ioctl_write_int_bad!(set_output, nix::request_code_none!(b'$', 5));
}

/// Opens an event on a thread (0: the calling one), for as long as it runs on one processor.
pub fn open(attr: &Attr, thread: u32, cpu: u32) -> Result<OwnedFd, Errno> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
    let no_group: libc::c_int = -1;
    let number = |n: u32| libc::c_int::try_from(n).map_err(|_| Errno::EINVAL);
    // SAFETY: `attr` has the layout of struct perf_event_attr, says its true size, and outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attr),
            number(thread)?,
            number(cpu)?,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    owned(fd)
}

/// Starts counting.
pub fn enable(event: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: a call without pointers, on an open descriptor.
    unsafe { raw::enable(event.as_raw_fd()) }.map(drop)
}

/// Stops counting.
pub fn disable(event: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: a call without pointers, on an open descriptor.
    unsafe { raw::disable(event.as_raw_fd()) }.map(drop)
}

/// Sends the samples of an event to the ring of another one of the same processor.
pub fn set_output(event: BorrowedFd<'_>, ring: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: a call without pointers, on two open descriptors.
    unsafe { raw::set_output(event.as_raw_fd(), ring.as_raw_fd()) }.map(drop)
}

/// How often an event happened, in all threads and processes that inherited it.
///
/// The kernel counts an event also when its ring has no room for the sample.
pub fn read_counter(event: impl AsFd) -> Result<u64> {
    let mut count = [0; 8];
    match nix::unistd::read(event, &mut count) {
        Ok(8) => Ok(u64::from_ne_bytes(count)),
        Ok(_) => Err(Error::new("cannot read a perf counter").why("it is shorter than 8 bytes")),
        Err(errno) => Err(Error::new("cannot read a perf counter").why(errno)),
    }
}

/// A copy of a descriptor of another process (Linux 5.6, `PTRACE_MODE_ATTACH`).
pub fn pidfd_getfd(pid: u32, fd: RawFd) -> Result<OwnedFd> {
    let refused = |why: &dyn std::fmt::Display| {
        Error::new(format!("cannot copy descriptor {fd} of another process")).pid(pid).why(why)
    };
    let process = crate::kernel::spawn::pidfd_open(pid)?.ok_or_else(|| refused(&Errno::ESRCH))?;
    // SAFETY: a system call on numbers.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) };
    owned(copy).map_err(|errno| refused(&errno))
}

/// Takes over the descriptor that a system call returned.
fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the descriptor was just returned to us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
