//! Two semispaces: a collection writes as many pages of the other one as the live objects take, and the
//! collector's word of every original.

use super::{COLLECTOR_WORD, Memory, NOWHERE};
use crate::lab::model::pages::Written;
use crate::lab::model::places::GRANULE;
use crate::runtimes::toy::{AtFork, Collection, ObjectProfile, Profile};
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

    /// Copies in this order what is not frozen.
    fn copy(&mut self, order: impl Iterator<Item = usize>) {
        let from = SPACES[self.space];
        self.space = 1 - self.space;
        let to = SPACES[self.space];
        self.top = self.first();
        let fresh = vec![(NOWHERE, 0); self.at.len() - self.frozen];
        let old = std::mem::take(&mut self.at);
        self.at = [&old[..self.frozen], &fresh].concat();
        for ordinal in order.filter(|ordinal| *ordinal >= self.frozen) {
            let (address, bytes) = old[ordinal];
            if address == NOWHERE {
                continue;
            }
            self.written.write(from, address + COLLECTOR_WORD, 8);
            self.written.write(to, self.top, bytes);
            self.at[ordinal] = (self.top, bytes);
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

    fn pass_over(&mut self, object: ObjectProfile) {
        self.at.push((NOWHERE, object.bytes));
    }

    fn collect(&mut self, collection: &Collection) {
        self.copy(collection.live.iter());
    }

    fn fork(&mut self, profile: &Profile, at_fork: AtFork) {
        if at_fork.compacts() {
            self.copy(profile.packing.iter().copied());
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
