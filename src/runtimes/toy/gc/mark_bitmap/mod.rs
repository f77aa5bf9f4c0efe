//! Marks beside the heap, one bit for 16 bytes: a collection writes to no object.

use super::bits::Bits;
use super::object::Header;
use super::plan::{Plan, Reason};
use super::roots::Roots;
use super::space::{self, Space};
use super::trace::{Marks, trace};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::options::AllocOrder;

/// Mark and sweep with a mark bitmap.
pub(super) struct MarkBitmap {
    space: Box<dyn Space>,
    marks: BitmapMarks,
}

struct BitmapMarks(Bits);

impl Marks for BitmapMarks {
    fn mark(&mut self, _objects: &mut Words, word: usize) -> bool {
        self.0.set(word)
    }
}

impl MarkBitmap {
    pub(super) fn new(order: AllocOrder, heap_bytes: u64) -> Result<Self> {
        let marks = BitmapMarks(Bits::new(heap_bytes, "mark bitmap")?);
        Ok(Self { space: space::new(order, heap_bytes)?, marks })
    }
}

impl Plan for MarkBitmap {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.space.allocate(header.size())?;
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        self.marks.0.clear(self.space.used_words());
        trace(objects, &mut self.marks, roots);
        let marks = &self.marks.0.words;
        self.space.sweep_words(&|index, _| marks.get(index))
    }

    fn compact(&mut self, _objects: &mut Words, _roots: &mut Roots<'_>) {}

    fn freeze(&mut self, _objects: &mut Words) {}

    fn regions(&self, objects: &Words) -> Vec<Region> {
        let mut regions = vec![objects.region("object heap")];
        regions.extend(self.space.regions());
        regions.push(self.marks.0.words.region("mark bitmap"));
        regions
    }
}
