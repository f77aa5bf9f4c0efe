//! Never gives memory back: what a program writes when no collector writes.

use super::object::Header;
use super::plan::{Plan, Reason};
use super::room::Room;
use super::roots::Roots;
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;

/// Allocates until the heap is full.
pub(super) struct Never {
    room: Room,
    allocated_bytes: u64,
}

impl Never {
    pub(super) fn new(room: Room) -> Self {
        Self { room, allocated_bytes: 0 }
    }
}

impl Plan for Never {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.room.allocate(header.size())?;
        self.allocated_bytes += header.size();
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        Some(word)
    }

    fn collect(&mut self, _objects: &mut Words, _roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        self.allocated_bytes
    }

    fn address_space(&self) -> u64 {
        self.room.address_space()
    }

    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.room.compact(objects, roots).map(drop)
    }

    fn freeze(&mut self, _objects: &mut Words, _roots: &mut Roots<'_>) -> Result<()> {
        self.room.freeze()
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        let mut regions = vec![objects.region("object heap")];
        regions.extend(self.room.regions());
        regions
    }
}
