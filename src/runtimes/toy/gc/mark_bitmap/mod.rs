//! Marks beside the heap, one bit for 16 bytes: a collection writes to no object.

use super::bits::Bits;
use super::object::Header;
use super::plan::{Plan, Reason};
use super::room::Room;
use super::roots::Roots;
use super::trace::{Marks, trace};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;

/// Mark and sweep with a mark bitmap.
pub(super) struct MarkBitmap {
    room: Room,
    marks: BitmapMarks,
}

struct BitmapMarks(Bits);

impl Marks for BitmapMarks {
    fn mark(&mut self, _objects: &mut Words, word: usize) -> bool {
        self.0.set(word)
    }
}

impl MarkBitmap {
    pub(super) fn new(room: Room) -> Result<Self> {
        let marks = BitmapMarks(Bits::new(room.address_space(), "mark bitmap")?);
        Ok(Self { room, marks })
    }
}

impl Plan for MarkBitmap {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.room.allocate(header.size())?;
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        self.marks.0.clear(self.room.used_words());
        trace(objects, &mut self.marks, roots, self.room.frozen());
        self.room.sweep_unmarked(objects, &self.marks.0)
    }

    fn address_space(&self) -> u64 {
        self.room.address_space()
    }

    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.marks.0.discard_from(0);
        self.room.compact(objects, roots).map(drop)
    }

    fn freeze(&mut self, _objects: &mut Words, _roots: &mut Roots<'_>) -> Result<()> {
        self.room.freeze()?;
        self.marks.0.discard_from(self.room.used_words().start);
        Ok(())
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        let mut regions = vec![objects.region("object heap")];
        regions.extend(self.room.regions());
        regions.push(self.marks.0.words.region("mark bitmap"));
        regions
    }
}
