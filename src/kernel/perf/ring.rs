//! The ring that an event writes its samples into: one page of positions, then the data.

use super::event::{Fault, Records};
use crate::error::{Error, Result};
use crate::kernel::event::BreakEvent;
use crate::units::PAGE_SIZE;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where `struct perf_event_mmap_page` has `data_head` and `data_tail`, in bytes.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

#[expect(clippy::cast_possible_truncation, reason = "a page has 4096 bytes")]
pub(super) const PAGE: usize = PAGE_SIZE as usize;

/// Whether the mapping may move the tail of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may: records that were read make room for others.
    Consume,
    /// Only looking: whoever opened the event does not notice.
    Look,
}

/// A mapped ring, and the descriptor of its event.
#[derive(Debug)]
pub struct Ring {
    event: OwnedFd,
    base: NonNull<c_void>,
    data_size: usize,
}

// SAFETY: the mapping belongs to this value alone, and what it shares with the kernel is read and
// written through atomics or copied from where the kernel does not write.
unsafe impl Send for Ring {}
// SAFETY: as above; moving the tail twice to the same place is harmless.
unsafe impl Sync for Ring {}

impl Ring {
    /// Maps the ring of an event, with `pages` pages (a power of two) of data.
    ///
    /// Whoever maps first makes the ring; later mappings of the same event must have its size.
    /// Refused with `EPERM` when the user's rings would take more than `perf_event_mlock_kb`, and
    /// with `EINVAL` for any other size.
    pub fn map(event: OwnedFd, pages: usize, access: Access) -> Result<Self, Errno> {
        let protection = match access {
            Access::Consume => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            Access::Look => ProtFlags::PROT_READ,
        };
        let data_size = pages.saturating_mul(PAGE);
        let size = NonZeroUsize::new(data_size.saturating_add(PAGE)).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, &event, 0) }?;
        Ok(Self { event, base, data_size })
    }

    /// Bytes of data that it holds.
    pub fn data_size(&self) -> usize {
        self.data_size
    }

    /// Appends the records between tail and head. Returns the head: what stands before it was read.
    pub fn read(&self, records: &mut Records) -> u64 {
        let head = self.position(DATA_HEAD).load(Ordering::Acquire);
        let tail = self.position(DATA_TAIL).load(Ordering::Relaxed);
        records.read(&self.copy(tail, head));
        head
    }

    /// Makes the room before `position` free again. The ring must be mapped for [`Access::Consume`].
    pub(super) fn consume(&self, position: u64) {
        self.position(DATA_TAIL).store(position, Ordering::Release);
    }

    /// The bytes from one position to another. Positions only grow; the ring has their remainders.
    fn copy(&self, from: u64, to: u64) -> Vec<u8> {
        let length = usize::try_from(to.wrapping_sub(from)).unwrap_or(usize::MAX).min(self.data_size);
        let start = usize::try_from(from % self.data_size.max(1) as u64).unwrap_or(0);
        let first = length.min(self.data_size - start);
        [self.piece(start, first), self.piece(0, length - first)].concat()
    }

    fn piece(&self, start: usize, length: usize) -> &[u8] {
        // SAFETY: the callers ask for bytes inside the data of the mapping, and for such between tail
        // and head, where the kernel does not write.
        unsafe { std::slice::from_raw_parts(self.base.cast::<u8>().add(PAGE + start).as_ptr(), length) }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the first page of the mapping has an aligned u64 there, and lives as long as `self`.
        unsafe { self.base.byte_add(offset).cast::<AtomicU64>().as_ref() }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nobody can refer to it any more.
        let _cannot_fail = unsafe { munmap(self.base, self.data_size + PAGE) };
    }
}

/// A look at the ring of an event that another process opened, mapped and fills.
///
/// It never consumes: what the process itself does with its ring is not disturbed.
#[derive(Debug)]
pub struct RingView {
    ring: Ring,
}

impl RingView {
    /// Maps the ring of an event, whose descriptor [`super::pidfd_getfd`] gives, with as many pages of
    /// data as its owner did.
    pub fn map(event: OwnedFd, pages: usize) -> Result<Self> {
        Ring::map(event, pages, Access::Look).map(|ring| Self { ring }).map_err(|errno| {
            Error::new("cannot map the ring of a perf event").location(format!("{pages} pages")).why(errno)
        })
    }

    /// The page faults in the ring that nobody consumed, oldest first.
    ///
    /// The owner may go on filling it meanwhile, but must not consume.
    pub fn pending(&self) -> Vec<BreakEvent> {
        let mut records = Records::default();
        self.ring.read(&mut records);
        records.faults.into_iter().map(Fault::into).collect()
    }
}

impl AsFd for RingView {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
