//! Copies what is alive out of a range of the heap, breadth-first, with no memory besides the copies.
//!
//! After C. J. Cheney, "A nonrecursive list compacting algorithm" (1970). The collector's word of an
//! object that was copied holds the address of its copy; that of every other object is zero.

use super::object::{BODY, COLLECTOR_WORD, Header, Kind};
use super::roots::Roots;
use super::trace::{visit_slots, word_of};
use crate::runtimes::toy::memory::words::Words;
use std::ops::Range;

const FORWARD: usize = (COLLECTOR_WORD / 8) as usize;
const BODY_WORDS: usize = (BODY / 8) as usize;

/// One collection of a range: copies go one after the other to the words from `top` on.
pub(super) struct Cheney {
    from: Range<usize>,
    /// First copy whose slots still lead into the range.
    scan: usize,
    top: usize,
}

impl Cheney {
    pub(super) fn new(from: Range<usize>, to: usize) -> Self {
        Self { from, scan: to, top: to }
    }

    pub(super) fn roots(&mut self, objects: &mut Words, roots: &mut Roots<'_>) {
        roots.update(|value| self.moved(objects, value));
    }

    /// Copies what one object outside of the range refers to.
    pub(super) fn visit(&mut self, objects: &mut Words, word: usize) {
        visit_slots(objects, word, &mut |objects, slot| {
            let new = self.moved(objects, objects.get(slot));
            objects.update(slot, new);
        });
    }

    /// The same, of an array too: every word of it must be zero or a value.
    pub(super) fn visit_whole(&mut self, objects: &mut Words, word: usize) {
        let header = Header(objects.get(word));
        if header.kind() != Kind::Array {
            return self.visit(objects, word);
        }
        for slot in word + BODY_WORDS..word + header.words() {
            let new = self.moved(objects, objects.get(slot));
            objects.update(slot, new);
        }
    }

    /// Copies everything that copies refer to. Answers the first word after the last copy.
    pub(super) fn finish(mut self, objects: &mut Words) -> usize {
        while self.scan < self.top {
            let word = self.scan;
            self.scan += Header(objects.get(word)).words();
            self.visit(objects, word);
        }
        self.top
    }

    /// What a value has to be replaced by: the address of the copy if it leads into the range.
    fn moved(&mut self, objects: &mut Words, value: u64) -> u64 {
        let start = objects.start();
        let Some(word) = word_of(value, start).filter(|word| self.from.contains(word)) else { return value };
        let forward = objects.get(word + FORWARD);
        if forward != 0 {
            return forward;
        }
        let (to, words) = (self.top, Header(objects.get(word)).words());
        objects.copy_within(word, (to, 0), words * 8);
        self.top += words;
        let copy = start + to as u64 * 8;
        objects.set(word + FORWARD, copy);
        copy
    }
}
