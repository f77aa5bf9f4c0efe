//! Whether this machine lets a process witness its own page faults, asked of the kernel itself.
#![expect(unsafe_code, reason = "perf_event_open has no safe form")]

use crate::skip::skip;
use std::os::fd::{FromRawFd, OwnedFd};

/// `PERF_TYPE_SOFTWARE` and `PERF_COUNT_SW_PAGE_FAULTS` of `include/uapi/linux/perf_event.h`.
const SOFTWARE: u32 = 1;
const PAGE_FAULTS: u64 = 2;
/// `PERF_ATTR_SIZE_VER7`: the first size with room for `sig_data`.
const ATTR_SIZE: u32 = 128;
/// `disabled`, `exclude_kernel`, `exclude_hv`, `remove_on_exec` and `sigtrap`.
const BITS: u64 = 1 | 1 << 5 | 1 << 6 | 1 << 36 | 1 << 37;

/// False, and says so, where no event that signals page faults can be had.
pub fn can_be_had() -> bool {
    let mut attr = [0_u64; ATTR_SIZE as usize / 8];
    attr[0] = u64::from(SOFTWARE) | u64::from(ATTR_SIZE) << 32;
    attr[1] = PAGE_FAULTS;
    attr[2] = 1;
    attr[5] = BITS;
    // SAFETY: the attributes are as long as they say, and outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0, -1, -1, 0) };
    if fd < 0 {
        skip(format!("page faults cannot be witnessed here: {}", std::io::Error::last_os_error()));
        return false;
    }
    let fd = i32::try_from(fd).unwrap();
    // SAFETY: the call has just opened it, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    true
}
