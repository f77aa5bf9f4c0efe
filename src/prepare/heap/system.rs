//! What the walk asks of the C library and the processor.

use core::ffi::{CStr, c_char, c_int, c_uchar, c_void};

const PROT_READ_WRITE: c_int = 3;
/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE` of Linux.
const MAP_OWN: c_int = 0x2 | 0x20 | 0x4000;
const MADV_NOHUGEPAGE: c_int = 15;
const RTLD_DEFAULT: *mut c_void = core::ptr::null_mut();
pub const PAGE: usize = 4096;
/// Pages of which the kernel is asked at once.
const AT_ONCE: usize = 1024;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn mmap(at: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
    fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int;
    fn mincore(at: *mut c_void, len: usize, present: *mut c_uchar) -> c_int;
}

/// The address of a function or variable of any library of this process; 0 when there is none.
pub fn symbol(name: &CStr) -> u64 {
    // SAFETY: `name` ends in NUL.
    unsafe { dlsym(RTLD_DEFAULT, name.as_ptr()) as u64 }
}

/// New memory, all zero, of which only what is touched takes room: a huge page would take more.
pub fn map(bytes: usize) -> Option<*mut u8> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { mmap(core::ptr::null_mut(), bytes, PROT_READ_WRITE, MAP_OWN, -1, 0) };
    if at as isize == -1 {
        return None;
    }
    // SAFETY: the mapping just made. A kernel without huge pages refuses, which is as well.
    unsafe { madvise(at, bytes, MADV_NOHUGEPAGE) };
    Some(at.cast())
}

/// Gives memory back.
///
/// # Safety
///
/// It must come from [`map`], whole, and nobody may use it any more.
pub unsafe fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: promised by the caller.
    unsafe { munmap(at.cast(), bytes) };
}

/// Pages of a mapping that are present.
pub fn present(at: *mut u8, bytes: usize) -> usize {
    let mut answers = [0; AT_ONCE];
    let mut count = 0;
    for offset in (0..bytes).step_by(AT_ONCE * PAGE) {
        let len = (bytes - offset).min(AT_ONCE * PAGE);
        // SAFETY: within a mapping; one byte for each of its pages.
        if unsafe { mincore(at.add(offset).cast(), len, answers.as_mut_ptr()) } == 0 {
            count += answers.iter().take(len.div_ceil(PAGE)).filter(|&&answer| answer & 1 != 0).count();
        }
    }
    count
}

/// Asks the processor for a line of memory that is needed soon. Any address will do.
#[cfg(target_arch = "x86_64")]
pub fn prefetch(address: u64) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) };
}

/// Elsewhere the processor finds out by itself.
#[cfg(not(target_arch = "x86_64"))]
pub const fn prefetch(_address: u64) {}
