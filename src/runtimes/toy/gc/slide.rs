//! Slides live objects together in address order, without a word in any object.
//!
//! A mark bitmap has a bit for every 16 bytes of every live object. The new place of an object follows
//! from the number of bits before its own; a table with the new place of every 64th granule keeps the
//! counting short. After H. Kermany and E. Petrank, "The Compressor" (2006), without its concurrency.

use super::bits::{BITMAP_WORD, Bits, bit_of};
use super::object::Header;
use super::trace::{Marks, word_of};
use crate::error::Result;
use crate::runtimes::toy::memory::words::Words;
use std::ops::Range;

/// Marks that cover objects from their first to their last word.
pub(super) struct Covered(pub(super) Bits);

impl Covered {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        Ok(Self(Bits::new(heap_bytes, "mark bitmap")?))
    }

    /// Words that live objects of the range take.
    pub(super) fn live_words(&self, range: Range<usize>) -> usize {
        bitmap_words(range).map(|index| count(self.0.words.get(index))).sum()
    }
}

impl Marks for Covered {
    fn mark(&mut self, objects: &mut Words, word: usize) -> bool {
        if self.0.is_set(word) {
            return false;
        }
        let (bits, end) = (&mut self.0.words, word / 2 + Header(objects.get(word)).words() / 2);
        let mut granule = word / 2;
        while granule < end {
            let (index, first) = (granule / 64, granule % 64);
            let here = (64 - first).min(end - granule);
            bits.set(index, bits.get(index) | u64::MAX >> (64 - here) << first);
            granule += here;
        }
        true
    }
}

/// New places of the marked objects of some ranges of the heap.
///
/// Every range begins at a multiple of [`BITMAP_WORD`].
pub(super) struct Slide<'a> {
    marks: &'a Covered,
    /// Of every range, the new place of what every word of its bitmap stands for.
    ranges: Vec<(Range<usize>, Vec<usize>)>,
    /// Whether any object has a new place.
    moves: bool,
}

impl<'a> Slide<'a> {
    pub(super) fn new(marks: &'a Covered) -> Self {
        Self { marks, ranges: Vec::new(), moves: false }
    }

    /// Sends the marked objects of a range to the words from `to` on. Answers where they will end.
    ///
    /// Ranges are moved in the order in which they are sent. None may go where a later one still
    /// stands.
    pub(super) fn send(&mut self, range: Range<usize>, to: usize) -> usize {
        let mut next = to;
        let places = bitmap_words(range.clone()).map(|index| {
            let bits = self.marks.0.words.get(index);
            self.moves |= bits != 0 && (next != index * BITMAP_WORD || bits & bits.wrapping_add(1) != 0);
            let place = next;
            next += count(bits);
            place
        });
        let places = places.collect();
        self.ranges.push((range, places));
        next
    }

    /// Whether any object has a new place.
    pub(super) fn moves(&self) -> bool {
        self.moves
    }

    /// Moves the objects, writing only those with a new place. Their slots stay as they are.
    pub(super) fn slide(&self, objects: &mut Words) {
        for (range, places) in &self.ranges {
            for (index, place) in bitmap_words(range.clone()).zip(places) {
                slide_one(objects, (index, self.marks.0.words.get(index)), *place);
            }
        }
    }

    /// What a value has to be replaced by after the slide.
    pub(super) fn moved(&self, value: u64, start: u64) -> u64 {
        let Some(word) = word_of(value, start) else { return value };
        let Some((range, places)) = self.ranges.iter().find(|(range, _)| range.contains(&word)) else {
            return value;
        };
        let (index, bit) = bit_of(word);
        let before = count(self.marks.0.words.get(index) & (bit - 1));
        start + (places[index - range.start / BITMAP_WORD] + before) as u64 * 8
    }
}

/// Moves what one word of the bitmap stands for, one run of marked granules after the other.
fn slide_one(objects: &mut Words, (index, bits): (usize, u64), place: usize) {
    let (mut bits, mut granule, mut to) = (bits, index * 64, place);
    while bits != 0 {
        let gap = bits.trailing_zeros();
        bits >>= gap;
        granule += gap as usize;
        let run = bits.trailing_ones();
        let words = run as usize * 2;
        if to != granule * 2 {
            objects.copy_within(granule * 2, (to, 0), words * 8);
        }
        bits = bits.checked_shr(run).unwrap_or(0);
        granule += run as usize;
        to += words;
    }
}

fn bitmap_words(range: Range<usize>) -> Range<usize> {
    range.start / BITMAP_WORD..range.end.div_ceil(BITMAP_WORD)
}

/// Words of the granules that the set bits stand for.
fn count(bits: u64) -> usize {
    bits.count_ones() as usize * 2
}
