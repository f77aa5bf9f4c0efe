//! Counts in headers: whoever takes a reference to an object writes to the object's page.

use super::barrier::Barrier;
use super::counting::{Counting, Counts};
use super::object::COLLECTOR_WORD;
use super::room::Room;
use crate::runtimes::toy::memory::words::Words;

/// Counts in the collector's word of each object.
pub(super) struct InHeader;

const COUNT: usize = (COLLECTOR_WORD / 8) as usize;

impl Counts for InHeader {
    const IMMORTAL: u64 = 1 << 63;
    const BARRIER: Barrier = Barrier::CountInHeader;

    fn get(&self, objects: &Words, word: usize) -> u64 {
        objects.get(word + COUNT)
    }

    fn set(&mut self, objects: &mut Words, word: usize, count: u64) {
        objects.set(word + COUNT, count);
    }

    fn table(&self) -> Option<&Words> {
        None
    }
}

/// The policy, with objects in the given room.
pub(super) fn new(room: Room) -> Counting<InHeader> {
    Counting::new(room, InHeader)
}
