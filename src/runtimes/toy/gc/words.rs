//! Private anonymous memory as an array of 64-bit words, with checked access.
#![allow(unsafe_code, reason = "the one place that maps memory for the heap, its bitmaps and the stack")]

use crate::error::{Error, Result};
use crate::units::PAGE_SIZE;
use std::ptr::NonNull;

/// A mapping of 4 KiB pages, zero until written, in which pages appear when they are first used.
pub(crate) struct Words {
    start: NonNull<u64>,
    len: usize,
}

impl Words {
    /// Maps room for so many bytes, rounded up to whole pages.
    pub(crate) fn map(bytes: u64, what: &str) -> Result<Self> {
        let failed = |why: std::io::Error| {
            Error::new(format!("cannot map {bytes} bytes for the toy runtime's {what}"))
                .why(why)
                .fix("choose a smaller heap limit")
        };
        let size = usize::try_from(bytes.next_multiple_of(PAGE_SIZE))
            .map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches no
        // memory that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let Some(start) = NonNull::new(start.cast::<u64>()) else {
            return Err(failed(std::io::ErrorKind::OutOfMemory.into()));
        };
        // SAFETY: the range is the mapping just made; the advice only keeps its pages small. A
        // kernel without huge pages refuses, which is as good.
        unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_NOHUGEPAGE) };
        Ok(Self { start, len: size / 8 })
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        assert!(index < self.len, "word {index} of {}", self.len);
        // SAFETY: the index is inside the mapping, which is readable and lives as long as self.
        unsafe { self.start.add(index).read() }
    }

    pub(crate) fn set(&mut self, index: usize, value: u64) {
        assert!(index < self.len, "word {index} of {}", self.len);
        // SAFETY: the index is inside the mapping, which is writable, and self is borrowed uniquely.
        unsafe { self.start.add(index).write(value) }
    }

    /// Writes only if the word differs, so that a page of equal words stays shared after a fork.
    pub(crate) fn update(&mut self, index: usize, value: u64) {
        if self.get(index) != value {
            self.set(index, value);
        }
    }

    /// Bytes from the first byte of a word on.
    pub(crate) fn bytes(&self, index: usize, count: usize) -> &[u8] {
        self.check_bytes(index, count);
        // SAFETY: the range is inside the mapping, every byte of it is initialised (zero at first),
        // and all writes go through a unique borrow of self.
        unsafe { std::slice::from_raw_parts(self.start.add(index).as_ptr().cast(), count) }
    }

    /// Copies bytes from another place of the same mapping. The two must not overlap.
    pub(crate) fn copy_within(&mut self, from: usize, to: (usize, usize), count: usize) {
        let (word, offset) = to;
        self.check_bytes(from, count);
        self.check_bytes(word, offset.saturating_add(count));
        // SAFETY: both ranges are inside the mapping and self is borrowed uniquely; `copy` allows
        // overlap, so even a caller's mistake stays defined.
        unsafe {
            let target = self.start.add(word).as_ptr().cast::<u8>().add(offset);
            std::ptr::copy(self.start.add(from).as_ptr().cast::<u8>(), target, count);
        }
    }

    pub(crate) fn write_bytes(&mut self, index: usize, bytes: &[u8]) {
        self.check_bytes(index, bytes.len());
        // SAFETY: the target is inside the mapping, which no slice elsewhere can overlap while self
        // is borrowed uniquely.
        unsafe {
            let target = self.start.add(index).as_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    fn check_bytes(&self, index: usize, count: usize) {
        assert!(index <= self.len && count <= (self.len - index) * 8, "{count} bytes from word {index}");
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// One past the last address.
    pub(crate) fn end(&self) -> u64 {
        self.start() + self.len as u64 * 8
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping made in `map`, unmapped once, and nothing refers to it
        // when its only owner is dropped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len * 8) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_read_back() {
        let mut words = Words::map(5000, "test").unwrap();
        assert_eq!(words.end() - words.start(), 8192);
        words.set(1023, 7);
        words.write_bytes(3, b"hello world");
        words.copy_within(3, (10, 2), 5);
        assert_eq!((words.get(1023), words.get(0)), (7, 0));
        assert_eq!(words.bytes(10, 7), b"\0\0hello");
    }

    #[test]
    #[should_panic(expected = "word 1024 of 1024")]
    fn words_outside_are_refused() {
        Words::map(8192, "test").unwrap().get(1024);
    }

    #[test]
    fn a_mapping_larger_than_the_address_space_is_an_error() {
        assert!(Words::map(1 << 60, "test").is_err());
    }
}
