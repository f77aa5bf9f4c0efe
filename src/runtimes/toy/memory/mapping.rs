//! Private anonymous memory of small pages: what the heap, its tables, the stack and the code live in.
#![allow(unsafe_code, reason = "the one place that maps memory and changes its protection")]

use crate::error::{Error, Result};
use crate::units::PAGE_SIZE;
use std::io;
use std::ptr::NonNull;

/// Who may do what with mapped pages. No page is ever writable and executable at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing at all.
    Closed,
    Write,
    Execute,
}

impl Access {
    const fn flags(self) -> i32 {
        match self {
            Self::Closed => libc::PROT_NONE,
            Self::Write => libc::PROT_READ | libc::PROT_WRITE,
            Self::Execute => libc::PROT_READ | libc::PROT_EXEC,
        }
    }
}

/// Who sees what is written after a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Only the writer: the kernel copies the page.
    Private,
    /// Every process of the family: the page is never copied.
    Shared,
}

/// One mapping of 4 KiB pages, zero until written, in which pages appear when they are first used.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

impl Mapping {
    /// Maps room for so many bytes, rounded up to whole pages. `what` names it in the error.
    pub(crate) fn new(bytes: u64, access: Access, sharing: Sharing, what: &str) -> Result<Self> {
        let failed = |why: io::Error| {
            Error::new(format!("cannot map {bytes} bytes for the toy runtime's {what}"))
                .why(why)
                .fix("choose a smaller heap limit")
        };
        let size = usize::try_from(bytes.next_multiple_of(PAGE_SIZE))
            .map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        let visibility = match sharing {
            Sharing::Private => libc::MAP_PRIVATE,
            Sharing::Shared => libc::MAP_SHARED,
        };
        let flags = visibility | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that
        // exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), size, access.flags(), flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(failed(io::Error::last_os_error()));
        }
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(failed(io::ErrorKind::OutOfMemory.into()));
        };
        // SAFETY: the range is the mapping just made; the advice only keeps its pages small. A
        // kernel without huge pages refuses, which is as good.
        unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_NOHUGEPAGE) };
        Ok(Self { start, size })
    }

    /// Changes who may do what with a range of whole pages, both ends in bytes from the start. False
    /// where the kernel refuses, for want of memory to split the mapping.
    pub(crate) fn protect(&self, (from, to): (usize, usize), access: Access) -> bool {
        if from > to || to > self.size {
            return false;
        }
        // SAFETY: the range lies inside the mapping, whose owner answers for nothing running in it
        // or borrowing from it.
        unsafe { libc::mprotect(self.start.as_ptr().add(from).cast(), to - from, access.flags()) == 0 }
    }

    /// Gives a range of whole pages back to the kernel; they read as zero again. Both ends in bytes.
    pub(crate) fn discard(&mut self, (from, to): (usize, usize)) {
        if from >= to || to > self.size {
            return;
        }
        // SAFETY: the range lies inside the mapping, and self is borrowed uniquely.
        unsafe { libc::madvise(self.start.as_ptr().add(from).cast(), to - from, libc::MADV_DONTNEED) };
    }

    pub(crate) const fn pointer(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes of the mapping.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// One past the last address.
    pub(crate) fn end(&self) -> u64 {
        self.start() + self.size as u64
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping made in `new`, unmapped once, and nothing refers to it
        // when its only owner is dropped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_outside_of_the_mapping_are_not_touched() {
        let mapping = Mapping::new(5000, Access::Write, Sharing::Private, "test").unwrap();
        assert_eq!((mapping.size(), mapping.end() - mapping.start()), (8192, 8192));
        assert!(mapping.protect((4096, 8192), Access::Closed));
        assert!(!mapping.protect((4096, 12288), Access::Closed));
    }

    #[test]
    fn a_mapping_larger_than_the_address_space_is_an_error() {
        assert!(Mapping::new(1 << 60, Access::Write, Sharing::Private, "test").is_err());
    }
}
