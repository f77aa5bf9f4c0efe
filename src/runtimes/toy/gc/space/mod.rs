//! Where objects that never move are put: the order in memory, and which cells are free.

mod size_class;

use crate::error::{Error, Result};
use crate::runtimes::Region;
use crate::runtimes::toy::options::AllocOrder;
use size_class::SizeClass;

/// Room for objects, and which of it is taken. A bit of the allocation bitmap is set where an object
/// begins.
pub(super) trait Space {
    /// Takes room for an object of so many bytes; answers its first word, or nothing when the heap is
    /// full.
    fn allocate(&mut self, bytes: u64) -> Option<usize>;

    /// Gives the room of one object of so many bytes back.
    fn free(&mut self, word: usize, bytes: u64);

    /// Frees every taken cell that is not marked. Answers how many bytes stay taken.
    fn sweep(&mut self, is_marked: &dyn Fn(usize) -> bool) -> u64;

    /// First words of all objects, live or not yet swept, in address order.
    fn objects(&self) -> Box<dyn Iterator<Item = usize> + '_>;

    /// Words from the start of the heap up to the end of the last one ever used.
    fn used_words(&self) -> usize;

    /// The allocation bitmap and whatever else stands beside the heap.
    fn regions(&self) -> Vec<Region>;
}

/// Room in the order that was asked for.
pub(super) fn new(order: AllocOrder, heap_bytes: u64) -> Result<Box<dyn Space>> {
    Ok(match order {
        AllocOrder::SizeClass => Box::new(SizeClass::new(heap_bytes)?),
        other => return Err(Error::new(format!("the allocation order {other} is not there yet"))),
    })
}
