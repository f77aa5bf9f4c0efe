//! Marks in headers: a collection writes to the page of every live object.

use super::object::{COLLECTOR_WORD, Header};
use super::plan::{Plan, Reason};
use super::room::Room;
use super::roots::Roots;
use super::trace::{Marks, trace};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;

/// Mark and sweep, the mark being the collector's word of each object.
pub(super) struct MarkHeader {
    room: Room,
    live: Live,
}

/// What the collector's word of a marked object is. It flips with every trace, so that nothing is
/// cleared and every trace writes every live header once.
#[derive(Clone, Copy)]
struct Live(u64);

const MARK: usize = (COLLECTOR_WORD / 8) as usize;

impl MarkHeader {
    pub(super) fn new(room: Room) -> Self {
        Self { room, live: Live(0) }
    }
}

impl Marks for Live {
    fn mark(&mut self, objects: &mut Words, word: usize) -> bool {
        let unmarked = objects.get(word + MARK) != self.0;
        if unmarked {
            objects.set(word + MARK, self.0);
        }
        unmarked
    }
}

impl Plan for MarkHeader {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.room.allocate(header.size())?;
        objects.set(word, header.0);
        objects.set(word + MARK, self.live.0);
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        self.live.0 ^= 1;
        trace(objects, &mut self.live, roots, self.room.frozen());
        let live = self.live.0;
        self.room.sweep(objects, &|word| objects.get(word + MARK) == live)
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
