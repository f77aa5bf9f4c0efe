//! Where objects that never move are put: the order in memory, and which cells are free.

mod bump;
mod page;
mod runs;
mod scattered;
mod size_class;
#[cfg(test)]
mod tests;

use super::bits::{bit_of, set_words};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::options::AllocOrder;
use bump::Bump;
use scattered::Scattered;
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
    fn sweep(&mut self, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        self.sweep_words(&|index, taken| {
            let kept = set_words(index, taken).filter(|word| is_marked(*word));
            kept.fold(0, |kept, word| kept | bit_of(word).1)
        })
    }

    /// The same for 64 granules at once: the function is given the index and the bits of a word of the
    /// allocation bitmap, and answers the bits of the objects that stay. Others it may answer too.
    fn sweep_words(&mut self, kept: &dyn Fn(usize, u64) -> u64) -> u64;

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
        AllocOrder::Bump => Box::new(Bump::new(heap_bytes)?),
        AllocOrder::SizeClass => Box::new(SizeClass::new(heap_bytes)?),
        AllocOrder::Scattered => Box::new(Scattered::new(heap_bytes)?),
    })
}
