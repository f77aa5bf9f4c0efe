//! Counts in headers: whoever takes a reference to an object writes to the object's page.

use super::barrier::Barrier;
use super::counting::{Counting, Counts};
use super::object::COLLECTOR_WORD;
use super::space;
use crate::error::Result;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::options::AllocOrder;

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

/// The policy, with room in the given order.
pub(super) fn new(order: AllocOrder, heap_bytes: u64) -> Result<Counting<InHeader>> {
    Ok(Counting::new(space::new(order, heap_bytes)?, InHeader))
}
