//! The page-fault events of the calling process: one for each processor, with a ring and a signal.
//!
//! `include/uapi/linux/perf_event.h`. An event for one processor may be inherited by later threads and
//! still have a ring; an event for all of them may not.

use crate::state::Rings;
use crate::sys;
use crate::wire::SIGNAL_DATA;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_PAGE_FAULTS: u64 = 2;
const PERF_SAMPLE_IP: u64 = 1;
const PERF_SAMPLE_TID: u64 = 1 << 1;
const PERF_SAMPLE_TIME: u64 = 1 << 2;
const PERF_SAMPLE_ADDR: u64 = 1 << 3;
const PERF_FLAG_FD_CLOEXEC: u64 = 1 << 3;
const PERF_EVENT_IOC_ENABLE: u64 = 0x2400;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Offset of `data_head` in `struct perf_event_mmap_page`; `data_tail` follows.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
const PAGE: usize = 4096;

/// Bits of the flag word of `struct perf_event_attr`.
const DISABLED: u64 = 1;
const INHERIT: u64 = 1 << 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HV: u64 = 1 << 6;
const USE_CLOCKID: u64 = 1 << 25;
const INHERIT_THREAD: u64 = 1 << 35;
const REMOVE_ON_EXEC: u64 = 1 << 36;
const SIGTRAP: u64 = 1 << 37;

/// `struct perf_event_attr` of size `PERF_ATTR_SIZE_VER7`.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved2: u16,
    aux_sample_size: u32,
    reserved3: u32,
    sig_data: u64,
}

/// Opens the event of one processor, switched off. Gives `-errno` when refused.
pub fn open(processor: c_int, with_kernel: bool) -> c_int {
    let exclude = if with_kernel { 0 } else { EXCLUDE_KERNEL };
    let attributes = Attributes {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: PERF_COUNT_SW_PAGE_FAULTS,
        sample_period: 1,
        sample_type: PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR,
        read_format: 0,
        flags: DISABLED
            | INHERIT
            | exclude
            | EXCLUDE_HV
            | USE_CLOCKID
            | INHERIT_THREAD
            | REMOVE_ON_EXEC
            | SIGTRAP,
        wakeup_events: 0,
        bp_type: 0,
        config1: 0,
        config2: 0,
        branch_sample_type: 0,
        sample_regs_user: 0,
        sample_stack_user: 0,
        clockid: sys::CLOCK_MONOTONIC,
        sample_regs_intr: 0,
        aux_watermark: 0,
        sample_max_stack: 0,
        reserved2: 0,
        aux_sample_size: 0,
        reserved3: 0,
        sig_data: SIGNAL_DATA,
    };
    sys::perf_event_open((&raw const attributes).cast::<c_void>(), processor, PERF_FLAG_FD_CLOEXEC)
}

/// Switches an event on.
pub fn enable(event: c_int) {
    // SAFETY: a request without an argument.
    unsafe { sys::ioctl(event, PERF_EVENT_IOC_ENABLE, 0_usize) };
}

/// Maps the ring of an event with so many pages of data, a power of two.
pub fn map_ring(event: c_int, pages: usize) -> Option<*mut u8> {
    sys::map_shared((pages + 1) * PAGE, event)
}

/// One record of a ring.
pub struct Record {
    pub instruction: u64,
    pub thread: u32,
    pub nanos: u64,
    pub address: u64,
}

/// Takes all records of one ring. The caller holds the ring's lock.
pub fn drain(rings: &Rings, index: usize, mut each: impl FnMut(Record)) {
    let ring = rings.at[index];
    let data_bytes = rings.pages * PAGE;
    // SAFETY: `ring` is the ring's mapping of `pages + 1` pages, whose first page holds both words.
    let (head, tail) = unsafe { (position(ring, DATA_HEAD), position(ring, DATA_TAIL)) };
    let end = head.load(Ordering::Acquire);
    let mut at = tail.load(Ordering::Relaxed);
    // Words never wrap within themselves: records are multiples of eight bytes, and so is the ring.
    let word = |at: u64| {
        let offset = PAGE + (at as usize & (data_bytes - 1));
        // SAFETY: the offset is below the end of the mapping and a multiple of eight.
        unsafe { ring.add(offset).cast::<u64>().read_volatile() }
    };
    while at < end {
        let header = word(at);
        let (kind, size) = (header as u32, header >> 48);
        if size == 0 {
            break;
        }
        if kind == PERF_RECORD_SAMPLE {
            let thread = (word(at + 16) >> 32) as u32;
            each(Record { instruction: word(at + 8), thread, nanos: word(at + 24), address: word(at + 32) });
        }
        at += size;
    }
    tail.store(end, Ordering::Release);
}

/// # Safety
///
/// `ring` must be mapped for as long as the result is used.
unsafe fn position<'a>(ring: *mut u8, offset: usize) -> &'a AtomicU64 {
    // SAFETY: an aligned word of the ring's first page, which kernel and program both access atomically.
    unsafe { AtomicU64::from_ptr(ring.add(offset).cast()) }
}
