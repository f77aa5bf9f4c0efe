//! Write tracking by userfaultfd `WP_ASYNC` (Linux 6.7, `include/uapi/linux/userfaultfd.h`).
//!
//! The process that is watched registers its own memory; anyone who may read its page map then asks
//! [`super::scan`] which pages were written. Writes by the kernel on its behalf are seen too, and no
//! fault ever waits for us.

use super::scan;
use crate::units::Vpn;
use nix::errno::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Handle only faults from user mode; what lets ordinary users open one.
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const UFFD_API: u64 = 0xAA;
const UFFD_FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;

#[repr(C)]
struct ApiArgs {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct RegisterArgs {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// The raw calls.
mod raw {
    nix::ioctl_readwrite!(api, 0xAA, 0x3F, super::ApiArgs);
    nix::ioctl_readwrite!(register, 0xAA, 0x00, super::RegisterArgs);
}

/// Tracks writes of the calling process for as long as it is kept.
#[derive(Debug)]
pub struct WriteTracker {
    _uffd: OwnedFd,
}

impl WriteTracker {
    /// Tracks writes to `ranges` of the calling process from now on.
    ///
    /// Meant for the first moments of a worker: it allocates nothing. `refused` is told the index of
    /// each range that the kernel does not track. Errors: the kernel has no userfaultfd, no
    /// `WP_ASYNC`, or forbids it.
    pub fn arm(ranges: &[Range<Vpn>], mut refused: impl FnMut(usize)) -> Result<Self, Errno> {
        let uffd = open()?;
        let own_pagemap = File::open("/proc/self/pagemap").map_err(|error| errno_of(&error))?;
        for (index, range) in ranges.iter().enumerate() {
            let tracked = register(&uffd, range).and_then(|()| scan::protect(own_pagemap.as_fd(), range));
            if tracked.is_err() {
                refused(index);
            }
        }
        Ok(Self { _uffd: uffd })
    }

    /// Whether this process may track its writes: tried, not guessed.
    pub fn probe() -> Result<(), Errno> {
        open().map(drop)
    }
}

fn open() -> Result<OwnedFd, Errno> {
    // SAFETY: a system call without pointers.
    let fd = unsafe {
        libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK | UFFD_USER_MODE_ONLY)
    };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the descriptor was just returned to us and nobody else owns it.
    let uffd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut args =
        ApiArgs { api: UFFD_API, features: UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED, ioctls: 0 };
    // SAFETY: `args` has the layout of struct uffdio_api and outlives the call.
    unsafe { raw::api(uffd.as_raw_fd(), &raw mut args) }?;
    Ok(uffd)
}

fn register(uffd: &OwnedFd, range: &Range<Vpn>) -> Result<(), Errno> {
    let start = range.start.address();
    let mut args =
        RegisterArgs { start, len: range.end.address() - start, mode: UFFDIO_REGISTER_MODE_WP, ioctls: 0 };
    // SAFETY: `args` has the layout of struct uffdio_register and outlives the call; registering
    // for asynchronous write protection changes no contents of the range.
    unsafe { raw::register(uffd.as_raw_fd(), &raw mut args) }.map(|_| ())
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::pagemap::Pagemap;
    use crate::kernel::scan::{Category, scan};
    use std::path::Path;

    #[test]
    fn sees_exactly_the_pages_written_after_arming() {
        let mut memory = vec![1_u8; 64 * 4096];
        let first = Vpn::of_address(memory.as_ptr() as u64 + 4095);
        let range = first..Vpn(first.0 + 32);
        let tracker = match WriteTracker::arm(std::slice::from_ref(&range), |_| panic!("refused")) {
            Ok(tracker) => tracker,
            Err(errno) => return eprintln!("skipped: userfaultfd WP_ASYNC: {errno}"),
        };
        let offset = usize::try_from(first.address() - memory.as_ptr() as u64).unwrap();
        for page in [3, 4, 20] {
            memory[offset + page * 4096] = std::hint::black_box(1);
        }
        let map = Pagemap::open(Path::new("/proc"), std::process::id()).unwrap();
        let mut written = Vec::new();
        scan(map.as_fd(), &range, Category::WRITTEN, &mut written).unwrap();
        drop(tracker);
        let page = |n: u64| Vpn(first.0 + n);
        assert_eq!(written, [page(3)..page(5), page(20)..page(21)]);
    }
}
