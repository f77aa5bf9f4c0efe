//! Two semispaces: a collection copies everything alive into the other one.
//!
//! The half that was left is kept as it is, with the address of each copy in the collector's word of
//! the original. So a worker's first collection breaks every page where an inherited live object
//! begins, for that word, and writes as many pages as the copies take.

use super::cheney::Cheney;
use super::object::Header;
use super::plan::{Plan, Reason};
use super::roots::Roots;
use super::trace::in_a_row;
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::{PAGE_WORDS, Words};
use std::ops::Range;

/// A semispace collector after Cheney.
pub(super) struct Copying {
    /// Words of one half.
    half: usize,
    /// Where objects are made: the semispace in use, then the other one. Both lack what is frozen.
    spaces: [Range<usize>; 2],
    /// First free word of the semispace in use.
    top: usize,
    frozen: Range<usize>,
}

impl Copying {
    pub(super) fn new(heap_bytes: u64) -> Self {
        let half = usize::try_from(heap_bytes / 8).unwrap_or(usize::MAX / 2);
        Self { half, spaces: [0..half, half..2 * half], top: 0, frozen: 0..0 }
    }

    /// First word after the last one that an object may take, so that the other semispace holds as
    /// much as this one, and both as much as the heap may.
    fn limit(&self) -> usize {
        self.spaces[0].start + self.spaces[0].len().min(self.spaces[1].len())
    }
}

impl Plan for Copying {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.top;
        let top = word + header.words();
        if top > self.limit() {
            return None;
        }
        self.top = top;
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        let [from, to] = self.spaces.clone();
        let mut copies = Cheney::new(from.start..self.top, to.start);
        copies.roots(objects, roots);
        let mut frozen = in_a_row(self.frozen.clone());
        while let Some(word) = frozen(objects) {
            copies.visit(objects, word);
        }
        self.top = copies.finish(objects);
        self.spaces.swap(0, 1);
        (self.top - self.spaces[0].start) as u64 * 8
    }

    fn address_space(&self) -> u64 {
        2 * self.half as u64 * 8
    }

    /// Copying leaves no gaps. What was left is given back.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.collect(objects, roots, Reason::Asked);
        objects.discard(self.spaces[1].clone());
        Ok(())
    }

    /// Pages without frozen objects are given back, so that new objects break none.
    fn freeze(&mut self, objects: &mut Words, _roots: &mut Roots<'_>) -> Result<()> {
        objects.discard(self.top..self.spaces[0].end);
        objects.discard(self.spaces[1].clone());
        let space = &mut self.spaces[0];
        self.frozen = space.start..self.top;
        space.start = self.top.next_multiple_of(PAGE_WORDS).min(space.end);
        self.top = space.start;
        Ok(())
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        vec![objects.part(0..self.half, "space A"), objects.part(self.half..2 * self.half, "space B")]
    }
}
