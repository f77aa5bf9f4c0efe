//! Where objects that do not move are put, order by order.
//!
//! Addresses are bytes from the start of the heap. Up to the first collection they follow from the
//! sizes alone; after one, from the room that the dead leave.

mod bump;
mod scattered;
mod size_class;

use crate::runtimes::toy::AllocOrder;
use bump::Bump;
use scattered::Scattered;
use size_class::SizeClass;

/// Bytes of which every address is a multiple.
pub(super) const GRANULE: u64 = 16;
/// Bytes of heap for which one page of a bitmap stands: one bit for 16 bytes.
pub(super) const BITMAP_PAGE: u64 = 4096 * 8 * GRANULE;

/// An order of objects in memory.
pub(super) trait Places {
    /// Where the next object of so many bytes goes.
    fn place(&mut self, bytes: u64) -> u64;

    /// The object of so many bytes at this address is no more.
    fn free(&mut self, address: u64, bytes: u64);

    /// These objects, and no others, stay: (address, bytes), ascending.
    fn sweep(&mut self, live: &[(u64, u64)]);

    /// The end of what was ever used.
    fn used(&self) -> u64;
}

/// The order of this name.
pub(super) fn new(order: AllocOrder) -> Box<dyn Places> {
    match order {
        AllocOrder::Bump => Box::new(Bump::default()),
        AllocOrder::SizeClass => Box::new(SizeClass::default()),
        AllocOrder::Scattered => Box::new(Scattered::default()),
    }
}
