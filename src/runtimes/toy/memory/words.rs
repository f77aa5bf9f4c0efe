//! Private anonymous memory as an array of 64-bit words, with checked access.
#![allow(unsafe_code, reason = "reads and writes mapped memory")]

use super::mapping::{Access, Mapping, Sharing};
use crate::error::Result;
use crate::runtimes::Region;
use crate::units::PAGE_SIZE;
use std::ops::Range;
use std::ptr::NonNull;

/// Words of one page.
pub(crate) const PAGE_WORDS: usize = 512;
const _: () = assert!(PAGE_WORDS as u64 * 8 == PAGE_SIZE);

/// A mapping read and written word by word.
///
/// Reading and writing a word is always inlined, and a plain load or store, so that the code that writes
/// is the caller's in every build: who writes to a page is told by its symbol.
pub(crate) struct Words {
    mapping: Mapping,
    len: usize,
}

#[expect(clippy::inline_always, reason = "see above")]
impl Words {
    /// Maps room for so many bytes, rounded up to whole pages.
    pub(crate) fn map(bytes: u64, what: &str) -> Result<Self> {
        let mapping = Mapping::new(bytes, Access::Write, Sharing::Private, what)?;
        let len = mapping.size() / 8;
        Ok(Self { mapping, len })
    }

    fn word(&self, index: usize) -> NonNull<u64> {
        assert!(index <= self.len, "word {index} of {}", self.len);
        // SAFETY: the index is inside the mapping or one past its end.
        unsafe { self.mapping.pointer().cast::<u64>().add(index) }
    }

    /// The first of so many words, all of which exist. They stay where they are as long as self lives.
    pub(crate) fn range(&self, index: usize, count: usize) -> NonNull<u64> {
        assert!(count <= self.len && index <= self.len - count, "{count} words from {index} of {}", self.len);
        self.word(index)
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> u64 {
        assert!(index < self.len, "word {index} of {}", self.len);
        // SAFETY: the index is inside the mapping, which is readable and lives as long as self.
        unsafe { *self.mapping.pointer().cast::<u64>().as_ptr().add(index) }
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, index: usize, value: u64) {
        assert!(index < self.len, "word {index} of {}", self.len);
        // SAFETY: the index is inside the mapping, which is writable, and self is borrowed uniquely.
        unsafe { *self.mapping.pointer().cast::<u64>().as_ptr().add(index) = value }
    }

    /// Writes only if the word differs, so that a page of equal words stays shared after a fork.
    #[inline(always)]
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
        unsafe { std::slice::from_raw_parts(self.word(index).as_ptr().cast(), count) }
    }

    /// Copies bytes from another place of the same mapping. The two must not overlap.
    pub(crate) fn copy_within(&mut self, from: usize, to: (usize, usize), count: usize) {
        let (word, offset) = to;
        self.check_bytes(from, count);
        self.check_bytes(word, offset.saturating_add(count));
        // SAFETY: both ranges are inside the mapping and self is borrowed uniquely; `copy` allows
        // overlap, so even a caller's mistake stays defined.
        unsafe {
            let target = self.word(word).as_ptr().cast::<u8>().add(offset);
            std::ptr::copy(self.word(from).as_ptr().cast::<u8>(), target, count);
        }
    }

    pub(crate) fn write_bytes(&mut self, index: usize, bytes: &[u8]) {
        self.check_bytes(index, bytes.len());
        // SAFETY: the target is inside the mapping, which no slice elsewhere can overlap while self
        // is borrowed uniquely.
        unsafe {
            let target = self.word(index).as_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    /// Gives the whole pages among these words back to the kernel; they read as zero again.
    pub(crate) fn discard(&mut self, words: Range<usize>) {
        let start = words.start.next_multiple_of(PAGE_WORDS);
        let end = words.end.min(self.len) / PAGE_WORDS * PAGE_WORDS;
        self.mapping.discard((start * 8, end * 8));
    }

    /// A part of it as a named region.
    pub(crate) fn part(&self, words: Range<usize>, name: &str) -> Region {
        let address = |word: usize| self.start() + word as u64 * 8;
        Region { start: address(words.start), end: address(words.end), name: name.to_owned() }
    }

    fn check_bytes(&self, index: usize, count: usize) {
        assert!(index <= self.len && count <= (self.len - index) * 8, "{count} bytes from word {index}");
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> u64 {
        self.mapping.start()
    }

    /// One past the last address.
    pub(crate) fn end(&self) -> u64 {
        self.mapping.end()
    }

    /// The whole of it as a named region.
    pub(crate) fn region(&self, name: &str) -> Region {
        Region { start: self.start(), end: self.end(), name: name.to_owned() }
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.len
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
}
