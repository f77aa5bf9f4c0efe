//! Mark-compact: live objects slide together, in the order in which they were made.
//!
//! Marks and new places stand beside the heap, so an object that is already in its place is not
//! written, and a collection that finds no garbage writes the mark bitmap only.

use super::bits::BITMAP_PAGE;
use super::object::Header;
use super::plan::{Plan, Reason};
use super::roots::Roots;
use super::slide::{Covered, Slide};
use super::trace::{Frozen, in_a_row, trace, visit_slots};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;

/// Objects one after the other, from the start of the heap, or of what is not frozen, up to `top`.
pub(super) struct Compacting {
    marks: Covered,
    /// Words that objects may take.
    limit: usize,
    /// First word after the frozen objects.
    frozen: usize,
    /// First word that is not left alone: a multiple of [`BITMAP_PAGE`], so that no mark shares a page
    /// with those of frozen objects.
    base: usize,
    top: usize,
}

impl Compacting {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        let limit = usize::try_from(heap_bytes / 8).unwrap_or(usize::MAX / 4);
        Ok(Self { marks: Covered::new(mapped_bytes(limit))?, limit, frozen: 0, base: 0, top: 0 })
    }
}

/// The limit, and the gap between frozen objects and others.
fn mapped_bytes(limit: usize) -> u64 {
    (limit + BITMAP_PAGE) as u64 * 8
}

impl Plan for Compacting {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.top;
        let top = word + header.words();
        if self.frozen + top - self.base > self.limit {
            return None;
        }
        self.top = top;
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        self.marks.0.clear(self.base..self.top);
        let frozen = Frozen { below: self.base, next: in_a_row(0..self.frozen) };
        trace(objects, &mut self.marks, roots, frozen);
        let mut slide = Slide::new(&self.marks);
        self.top = slide.send(self.base..self.top, self.base);
        if slide.moves() {
            slide.slide(objects);
            let start = objects.start();
            roots.update(|value| slide.moved(value, start));
            for row in [0..self.frozen, self.base..self.top] {
                let mut next = in_a_row(row);
                while let Some(word) = next(objects) {
                    visit_slots(objects, word, &mut |objects, slot| {
                        objects.update(slot, slide.moved(objects.get(slot), start));
                    });
                }
            }
        }
        (self.top - self.base) as u64 * 8
    }

    fn address_space(&self) -> u64 {
        mapped_bytes(self.limit)
    }

    /// Sliding leaves no gaps. What is behind the last object is given back.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.collect(objects, roots, Reason::Asked);
        objects.discard(self.top..objects.len());
        Ok(())
    }

    /// Pages behind the last object are given back, so that new objects break none.
    fn freeze(&mut self, objects: &mut Words, _roots: &mut Roots<'_>) -> Result<()> {
        objects.discard(self.top..objects.len());
        self.frozen = self.top;
        self.base = self.top.next_multiple_of(BITMAP_PAGE);
        self.top = self.base;
        self.marks.0.discard_from(self.base);
        Ok(())
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        vec![objects.region("object heap"), self.marks.0.words.region("mark bitmap")]
    }
}
