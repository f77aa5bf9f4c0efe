//! Mark-compact: marks beside the heap, one bit for every 16 bytes of a live object; a collection writes
//! to no object before the first gap, and to all pages from there to the new end.

use super::{HEAP, MARKS, Memory, NOWHERE};
use crate::lab::model::pages::{PageSet, Written};
use crate::lab::model::places::{BITMAP_PAGE, GRANULE};
use crate::runtimes::toy::{AtFork, Collection, Link, ObjectProfile, Ordinals, Profile};

#[derive(Default)]
pub(super) struct Compacting {
    /// Address and bytes of every object; the order of addresses is that of the ordinals.
    at: Vec<(u64, u64)>,
    top: u64,
    /// Ordinals below are left alone, and so is everything before `base`.
    frozen: usize,
    base: u64,
    marked: PageSet,
    written: Written,
}

impl Compacting {
    /// Everything behind the first gap moves. What stays is older than that, so of its slots those are
    /// written that lead to something younger which moves.
    fn slide(&mut self, live: &Ordinals, links: &[Link]) {
        let mut marks = PageSet::default();
        // Marks behind the last object are left from the collection before, until objects are made there.
        let cleared = self.marked.take_before(self.top.div_ceil(GRANULE * 8));
        let mut moved = Ordinals::default();
        self.top = self.base;
        for ordinal in self.frozen..self.at.len() {
            let (address, bytes) = self.at[ordinal];
            if address == NOWHERE || !live.contains(ordinal) {
                self.at[ordinal].0 = NOWHERE;
                continue;
            }
            let bytes = bytes.next_multiple_of(GRANULE);
            marks.insert(address / GRANULE / 8, (bytes / GRANULE).div_ceil(8));
            if address != self.top {
                self.written.write(HEAP, self.top, bytes);
                self.at[ordinal].0 = self.top;
                moved.insert(ordinal);
            }
            self.top += bytes;
        }
        for link in links.iter().filter(|link| moved.contains(link.target as usize)) {
            if let Some((region, address)) = self.place_of(link.holder as usize) {
                self.written.write(region, address + u64::from(link.word) * 8, 8);
            }
        }
        self.written.write_pages(MARKS, &cleared);
        self.written.write_pages(MARKS, &marks);
        self.marked.extend(&marks);
    }
}

impl Memory for Compacting {
    fn make(&mut self, _ordinal: usize, object: ObjectProfile) {
        self.at.push((self.top, object.bytes));
        self.written.write(HEAP, self.top, object.written);
        self.top += object.bytes.next_multiple_of(GRANULE);
    }

    fn pass_over(&mut self, object: ObjectProfile) {
        self.at.push((NOWHERE, object.bytes));
    }

    fn collect(&mut self, collection: &Collection) {
        self.slide(&collection.live, &collection.links);
    }

    fn fork(&mut self, profile: &Profile, at_fork: AtFork) {
        if at_fork.compacts() {
            self.slide(&profile.alive, &[]);
        }
        if at_fork.freezes() {
            self.frozen = self.at.len();
            self.base = self.top.next_multiple_of(BITMAP_PAGE);
            self.top = self.base;
            self.marked = PageSet::default();
        }
    }

    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)> {
        let address = self.at.get(ordinal)?.0;
        (address != NOWHERE).then_some((HEAP, address))
    }

    fn written(&mut self) -> &mut Written {
        &mut self.written
    }
}
