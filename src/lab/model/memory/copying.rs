//! Two semispaces: a collection writes as many pages of the other one as the live objects take, and the
//! collector's word of every original.

use super::{COLLECTOR_WORD, Memory, NOWHERE};
use crate::lab::model::pages::Written;
use crate::lab::model::places::GRANULE;
use crate::runtimes::toy::{AtFork, Collection, ObjectProfile, Ordinals};
use crate::units::PAGE_SIZE;

const SPACES: [&str; 2] = ["space A", "space B"];

#[derive(Default)]
pub(super) struct Copying {
    /// Address in the semispace in use, and bytes, of every object.
    at: Vec<(u64, u64)>,
    /// The semispace in use, and where it ends.
    space: usize,
    top: u64,
    /// Ordinals below stand in semispace A for ever.
    frozen: usize,
    /// Where semispace A begins, past what is frozen.
    start: u64,
    written: Written,
}

impl Copying {
    fn first(&self) -> u64 {
        if self.space == 0 { self.start } else { 0 }
    }

    /// Copies what lives, in this order.
    fn copy(&mut self, live: &Ordinals, order: impl Iterator<Item = usize>) {
        let from = SPACES[self.space];
        self.space = 1 - self.space;
        let to = SPACES[self.space];
        self.top = self.first();
        for dead in (self.frozen..self.at.len()).filter(|ordinal| !live.contains(*ordinal)) {
            self.at[dead].0 = NOWHERE;
        }
        for ordinal in order {
            let (address, bytes) = self.at[ordinal];
            if address == NOWHERE {
                continue;
            }
            self.written.write(from, address + COLLECTOR_WORD, 8);
            self.written.write(to, self.top, bytes);
            self.at[ordinal].0 = self.top;
            self.top += bytes.next_multiple_of(GRANULE);
        }
    }
}

impl Memory for Copying {
    fn make(&mut self, _ordinal: usize, object: ObjectProfile) {
        self.at.push((self.top, object.bytes));
        self.written.write(SPACES[self.space], self.top, object.written);
        self.top += object.bytes.next_multiple_of(GRANULE);
    }

    fn collect(&mut self, collection: &Collection) {
        self.copy(&collection.live, self.frozen..self.at.len());
    }

    fn fork(&mut self, alive: &Ordinals, order: &[u32], at_fork: AtFork) {
        if at_fork.compacts() {
            self.copy(alive, order.iter().map(|ordinal| *ordinal as usize));
        }
        if at_fork.freezes() {
            self.frozen = self.at.len();
            self.top = self.top.next_multiple_of(PAGE_SIZE);
            // The space with the frozen objects is the one that begins later from now on.
            self.start = self.top;
        }
    }

    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)> {
        let address = self.at.get(ordinal)?.0;
        (address != NOWHERE).then_some((SPACES[self.space], address))
    }

    fn written(&mut self) -> &mut Written {
        &mut self.written
    }
}
