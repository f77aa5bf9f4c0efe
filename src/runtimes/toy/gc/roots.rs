//! Where a trace begins: global variables, constants, and the registers of all running calls.

use crate::runtimes::toy::memory::words::Words;
use std::ops::Range;

/// The words that may hold references and stand outside of the heap.
///
/// Every one of them is a value that was alive at the last collection or made since, so that a policy
/// may move what they refer to and write the new address into them.
pub(crate) struct Roots<'a> {
    pub(crate) stack: &'a mut Words,
    pub(crate) registers: Range<usize>,
    pub(crate) globals: &'a mut Words,
}

impl Roots<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let registers = self.registers.clone().map(|index| self.stack.get(index));
        registers.chain((0..self.globals.len()).map(|index| self.globals.get(index)))
    }

    /// Replaces every root by what the function makes of it, writing only where that differs.
    pub(super) fn update(&mut self, mut moved: impl FnMut(u64) -> u64) {
        for index in self.registers.clone() {
            self.stack.update(index, moved(self.stack.get(index)));
        }
        for index in 0..self.globals.len() {
            self.globals.update(index, moved(self.globals.get(index)));
        }
    }
}
