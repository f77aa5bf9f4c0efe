//! The area of this process: logs that only grow, in memory shared with the supervisor.

use crate::perf::Record;
use crate::state::Rings;
use crate::sys;
use crate::wire::{
    AREA_BYTES, FAULTS, FAULTS_AT, FRAMES, FRAMES_AT, Fault, FrameWord, Header, PIECE, RINGS_AT,
    SIGNAL_STACK_AT, STACK_SLOTS, STACKS_AT, StackSlot, TRAPS, TRAPS_AT, Trap,
};
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An area takes at most one part in so many of an address space that has a limit.
const LEAST_SHARE: u64 = 16;

/// A mapped area.
#[derive(Clone, Copy)]
pub struct Area(*mut u8);

impl Area {
    /// Makes the area of the calling process. Returns it and its descriptor; None: see errno.
    pub fn create() -> Option<(Self, i32)> {
        // A limited address space is the program's, and not to be filled by us.
        if sys::limit(sys::RLIMIT_AS) / LEAST_SHARE < AREA_BYTES as u64 {
            sys::set_errno(sys::ENOMEM);
            return None;
        }
        // SAFETY: the name ends in NUL.
        let fd = unsafe { sys::memfd_create(c"forkprint".as_ptr(), sys::MFD_SEALABLE) };
        if fd < 0 {
            return None;
        }
        // SAFETY: a descriptor of ours.
        if unsafe { sys::ftruncate(fd, AREA_BYTES as i64) } == 0
            && let Some(at) = sys::map_shared(AREA_BYTES, fd)
        {
            sys::populate(at, FAULTS_AT);
            for log in [FAULTS_AT, TRAPS_AT, FRAMES_AT] {
                // SAFETY: within the mapping.
                sys::populate(unsafe { at.add(log & !4095) }, 2 * PIECE);
            }
            return Some((Self(at), fd));
        }
        // SAFETY: a descriptor of ours that nobody else knows.
        unsafe { sys::close(fd) };
        None
    }

    /// An area that was created earlier.
    pub fn of(at: *mut u8) -> Option<Self> {
        if at.is_null() { None } else { Some(Self(at)) }
    }

    /// Where it is mapped.
    pub fn address(self) -> *mut u8 {
        self.0
    }

    /// Unmaps it.
    pub fn discard(self) {
        // SAFETY: our own mapping; no reference into it is kept.
        unsafe { sys::munmap(self.0.cast(), AREA_BYTES) };
    }

    /// Its first page, to be filled before others see it.
    pub fn header(self) -> *mut Header {
        self.0.cast()
    }

    /// Where the addresses of its rings are kept.
    pub fn rings(self) -> *mut Rings {
        // SAFETY: within the mapping.
        unsafe { self.0.add(RINGS_AT).cast() }
    }

    /// The lowest byte of the stack for the handler.
    pub fn signal_stack(self) -> *mut u8 {
        // SAFETY: within the mapping.
        unsafe { self.0.add(SIGNAL_STACK_AT) }
    }

    /// Takes the lock of a ring; false when another thread holds it.
    pub fn lock_ring(self, index: usize) -> bool {
        self.ring_lock(index).compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the lock back.
    pub fn unlock_ring(self, index: usize) {
        self.ring_lock(index).store(0, Ordering::Release);
    }

    fn ring_lock(self, index: usize) -> &'static AtomicU32 {
        let offset = offset_of!(Header, ring_locks) + index * size_of::<u32>();
        // SAFETY: a word of the header, only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(self.0.add(offset).cast()) }
    }

    /// Logs a fault that a ring told.
    pub fn log_fault(self, record: &Record) {
        let index = self.next(offset_of!(Header, faults), 1) as usize;
        if index >= FAULTS {
            return;
        }
        let entry: *mut Fault = self.entry(FAULTS_AT, index);
        let fault = Fault {
            address: record.address,
            instruction: record.instruction,
            nanos: record.nanos,
            thread: record.thread,
            ready: 0,
        };
        // SAFETY: the entry is ours alone: nobody else was given this index.
        unsafe { entry.write(fault) };
        publish(entry.cast(), offset_of!(Fault, ready));
    }

    /// Logs a trap.
    pub fn log_trap(self, trap: &Trap) {
        let index = self.next(offset_of!(Header, traps), 1) as usize;
        if index >= TRAPS {
            return;
        }
        let entry: *mut Trap = self.entry(TRAPS_AT, index);
        // SAFETY: the entry is ours alone: nobody else was given this index.
        unsafe { entry.write(*trap) };
        publish(entry.cast(), offset_of!(Trap, ready));
    }

    /// Room for so many consecutive frames, or none is left.
    pub fn reserve_frames(self, count: usize) -> Option<(u32, *mut FrameWord)> {
        let first = self.next(offset_of!(Header, frames), count as u64) as usize;
        if first + count > FRAMES {
            return None;
        }
        let last: *mut FrameWord = self.entry(FRAMES_AT, first + count - 1);
        // SAFETY: within the frames, `count - 1` entries before the last.
        Some((first as u32, unsafe { last.sub(count - 1) }))
    }

    /// Counts a stack for which there was no room.
    pub fn count_dropped_stack(self) {
        self.next(offset_of!(Header, stacks_dropped), 1);
    }

    /// One slot of the table of stacks.
    pub fn stack_slot(self, index: usize) -> *mut StackSlot {
        // SAFETY: the index is taken within the table.
        unsafe { self.0.add(STACKS_AT).cast::<StackSlot>().add(index & (STACK_SLOTS - 1)) }
    }

    fn next(self, counter: usize, step: u64) -> u64 {
        // SAFETY: a word of the header, only ever accessed atomically.
        let counter = unsafe { AtomicU64::from_ptr(self.0.add(counter).cast()) };
        counter.fetch_add(step, Ordering::Relaxed)
    }

    /// The entry of a log, behind which the next piece of memory is present.
    fn entry<T>(self, log: usize, index: usize) -> *mut T {
        let offset = log + index * size_of::<T>();
        if offset / PIECE != (offset + size_of::<T>()) / PIECE {
            let ahead = (offset / PIECE + 2) * PIECE;
            if ahead + PIECE <= AREA_BYTES {
                // SAFETY: within the mapping.
                sys::populate(unsafe { self.0.add(ahead) }, PIECE);
            }
        }
        // SAFETY: the callers keep the index below the length of the log.
        unsafe { self.0.add(offset).cast() }
    }
}

/// Marks an entry as whole.
fn publish(entry: *mut u8, ready: usize) {
    // SAFETY: the last word of an entry of ours, which the supervisor reads atomically.
    unsafe { AtomicU32::from_ptr(entry.add(ready).cast()) }.store(1, Ordering::Release);
}

/// Copies 16 bytes that lie in one page, or eight at the end of one.
///
/// # Safety
///
/// Eight bytes at `from`, a multiple of eight, must be readable.
pub unsafe fn copy_old(from: u64) -> [u8; 16] {
    let mut old = [0; 16];
    let bytes = if from & 4095 > 4080 { 8 } else { 16 };
    // SAFETY: the rest of a readable page is readable.
    unsafe { ptr::copy_nonoverlapping(from as *const u8, old.as_mut_ptr(), bytes) };
    old
}
