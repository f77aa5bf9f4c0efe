//! Memory that a watched process shares with us, read only: of what it writes we believe nothing.

use crate::error::{Context, Error, Result};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A read-only mapping of a memfd of a known size.
#[derive(Debug)]
pub(super) struct SharedMapping {
    at: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: the mapping is only read, and atomically or by copy.
unsafe impl Send for SharedMapping {}
// SAFETY: as above.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    /// Maps `bytes` of a memfd, which must be that long.
    ///
    /// From then on nobody can make it smaller, which would end us on the next read (SIGBUS).
    pub fn map(memfd: &OwnedFd, bytes: usize) -> Result<Self> {
        fcntl(memfd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))
            .doing("cannot seal memory of the agent")?;
        let length = nix::sys::stat::fstat(memfd).doing("cannot look at memory of the agent")?.st_size;
        if usize::try_from(length) != Ok(bytes) {
            return Err(Error::new("the agent's memory has another size")
                .why(format!("{length} bytes, not {bytes}"))
                .fix("let one version of forkprint watch the family"));
        }
        let size = NonZeroUsize::new(bytes).ok_or_else(|| Error::new("no memory"))?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mmap(None, size, ProtFlags::PROT_READ, flags, memfd, 0) }
            .doing("cannot map memory of the agent")?;
        Ok(Self { at, bytes })
    }

    /// Copies a value; `None` beyond the end. Every bit pattern of `T` must be valid.
    pub fn copy<T: Plain>(&self, offset: usize) -> Option<T> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.bytes {
            return None;
        }
        // SAFETY: within the mapping; `Plain` types hold numbers only. The other side may write at the
        // same time: then the copy is a mixture, which the caller must expect.
        Some(unsafe { self.at.cast::<u8>().add(offset).cast::<T>().as_ptr().read_unaligned() })
    }

    /// Reads a word that the other side publishes; 0 beyond the end.
    pub fn word32(&self, offset: usize) -> u32 {
        if offset + 4 > self.bytes || !offset.is_multiple_of(4) {
            return 0;
        }
        // SAFETY: an aligned word within the mapping, only loaded.
        unsafe { AtomicU32::from_ptr(self.at.cast::<u8>().add(offset).cast().as_ptr()) }
            .load(Ordering::Acquire)
    }

    /// Reads a counter of the other side; 0 beyond the end.
    pub fn word64(&self, offset: usize) -> u64 {
        if offset + 8 > self.bytes || !offset.is_multiple_of(8) {
            return 0;
        }
        // SAFETY: an aligned word within the mapping, only loaded.
        unsafe { AtomicU64::from_ptr(self.at.cast::<u8>().add(offset).cast().as_ptr()) }
            .load(Ordering::Acquire)
    }

    /// Maps the pages of a range of offsets.
    pub fn make_present(&self, range: std::ops::Range<usize>) {
        for offset in range.step_by(4096) {
            self.word32(offset);
        }
    }

    /// Copies bytes; `None` beyond the end.
    pub fn bytes(&self, offset: usize, count: usize) -> Option<Vec<u8>> {
        let end = offset.checked_add(count)?;
        if end > self.bytes {
            return None;
        }
        let mut copy = vec![0; count];
        // SAFETY: within the mapping and within the copy.
        unsafe {
            self.at.cast::<u8>().add(offset).as_ptr().copy_to_nonoverlapping(copy.as_mut_ptr(), count);
        };
        Some(copy)
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping; no reference into it is given out.
        let _gone = unsafe { munmap(self.at, self.bytes) };
    }
}

/// Structs of numbers, for which every bit pattern is valid.
pub trait Plain: Copy {}

/// A census under way, or done.
#[derive(Debug)]
pub struct CensusMemory(SharedMapping);

impl CensusMemory {
    /// Maps a census that a process hands over.
    pub fn map(memfd: &OwnedFd) -> Result<Self> {
        SharedMapping::map(memfd, crate::agent::wire::CENSUS_BYTES).map(Self)
    }

    /// Copies a value; `None` beyond the end.
    pub fn copy<T: Plain>(&self, offset: usize) -> Option<T> {
        self.0.copy(offset)
    }

    /// Copies text; `None` beyond the end.
    pub fn bytes(&self, offset: usize, count: usize) -> Option<Vec<u8>> {
        self.0.bytes(offset, count)
    }
}

mod plain {
    use super::Plain;
    use crate::agent::wire;

    impl Plain for wire::Header {}
    impl Plain for wire::Fault {}
    impl Plain for wire::Trap {}
    impl Plain for wire::StackSlot {}
    impl Plain for wire::FrameWord {}
    impl Plain for wire::CensusHeader {}
    impl Plain for wire::CensusObject {}
    impl Plain for wire::CensusType {}
    impl Plain for wire::CensusName {}
    impl Plain for wire::CensusNode {}
}
