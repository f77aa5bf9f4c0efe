//! Bitmaps beside the heap: one bit for 16 bytes.

use crate::error::Result;
use crate::runtimes::toy::memory::words::{PAGE_WORDS, Words};
use std::ops::Range;

/// Bytes for which one bit stands. Every object starts at a multiple.
pub(crate) const GRANULE: u64 = 16;
/// Heap words for which one 64-bit word of a bitmap stands.
pub(super) const BITMAP_WORD: usize = 64 * 2;
const _: () = assert!(BITMAP_WORD as u64 * 8 == 64 * GRANULE);
/// Heap words for which one page of a bitmap stands: 512 KiB.
pub(super) const BITMAP_PAGE: usize = BITMAP_WORD * PAGE_WORDS;

/// One bit for every granule of a heap.
pub(super) struct Bits {
    pub(super) words: Words,
}

impl Bits {
    pub(super) fn new(heap_bytes: u64, what: &str) -> Result<Self> {
        Ok(Self { words: Words::map(heap_bytes / GRANULE / 8, what)? })
    }

    /// Clears the bits of a range of heap words, writing only where one is set. The range begins at a
    /// multiple of [`BITMAP_WORD`].
    pub(super) fn clear(&mut self, words: Range<usize>) {
        for index in words.start / BITMAP_WORD..words.end.div_ceil(BITMAP_WORD) {
            self.words.update(index, 0);
        }
    }

    /// Clears the bits of everything from this heap word on, and gives their pages back. The word is a
    /// multiple of [`BITMAP_PAGE`].
    pub(super) fn discard_from(&mut self, word: usize) {
        self.words.discard(word / BITMAP_WORD..self.words.len());
    }

    /// Sets the bit of an object's first word; false when it was set already.
    pub(super) fn set(&mut self, word: usize) -> bool {
        let (index, bit) = bit_of(word);
        let bits = self.words.get(index);
        if bits & bit != 0 {
            return false;
        }
        self.words.set(index, bits | bit);
        true
    }

    pub(super) fn unset(&mut self, word: usize) {
        let (index, bit) = bit_of(word);
        self.words.update(index, self.words.get(index) & !bit);
    }

    pub(super) fn is_set(&self, word: usize) -> bool {
        let (index, bit) = bit_of(word);
        self.words.get(index) & bit != 0
    }

    /// The heap words below `used` whose bits are set, in address order.
    pub(super) fn iter(&self, used: usize) -> impl Iterator<Item = usize> + '_ {
        (0..used.div_ceil(BITMAP_WORD)).flat_map(|index| set_words(index, self.words.get(index)))
    }
}

/// The bitmap word and the bit in it of an object's first word.
pub(super) fn bit_of(word: usize) -> (usize, u64) {
    let granule = word / 2;
    (granule / 64, 1 << (granule % 64))
}

/// The heap words that the set bits of one bitmap word stand for.
pub(super) fn set_words(index: usize, bits: u64) -> impl Iterator<Item = usize> {
    let mut rest = bits;
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let bit = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        Some((index * 64 + bit) * 2)
    })
}
