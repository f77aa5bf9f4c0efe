//! Counts beside the heap: taking a reference to an object writes to a table only.

use super::barrier::Barrier;
use super::bits::GRANULE;
use super::counting::{Counting, Counts};
use super::room::Room;
use crate::error::Result;
use crate::runtimes::toy::memory::words::Words;

/// Bytes of one count. There is one for every [`GRANULE`], the first of an object being the object's.
const COUNT_BYTES: u64 = 4;

/// A table of 32-bit counts, one for 16 bytes of heap: one page of it stands for four pages of heap.
pub(super) struct Beside {
    table: Words,
}

impl Counts for Beside {
    const IMMORTAL: u64 = 1 << 31;
    const BARRIER: Barrier = Barrier::CountBeside;

    fn get(&self, _objects: &Words, word: usize) -> u64 {
        let (index, shift) = place(word);
        self.table.get(index) >> shift & u64::from(u32::MAX)
    }

    /// Freed cells have the count zero, so that a new object seldom writes its count.
    fn set(&mut self, _objects: &mut Words, word: usize, count: u64) {
        let (index, shift) = place(word);
        let others = self.table.get(index) & !(u64::from(u32::MAX) << shift);
        self.table.update(index, others | count << shift);
    }

    fn table(&self) -> Option<&Words> {
        Some(&self.table)
    }
}

/// The table's word that holds an object's count, and by how much the count is shifted in it. The
/// count of the lower granule stands at the lower address.
fn place(word: usize) -> (usize, u32) {
    let granule = word / 2;
    let is_first = granule.is_multiple_of(2) == cfg!(target_endian = "little");
    (granule / 2, if is_first { 0 } else { 32 })
}

/// The policy, with objects in the given room.
pub(super) fn new(room: Room) -> Result<Counting<Beside>> {
    let table = Words::map(room.address_space() / GRANULE * COUNT_BYTES, "count table")?;
    Ok(Counting::new(room, Beside { table }))
}
