//! Two generations: new objects in a nursery of 4 MiB, survivors behind each other in an old space.
//!
//! A full nursery is emptied: survivors are copied to the end of the old space, which writes there and in
//! the collector's word of each original, and the nursery is used from its start again. A collection that
//! the program asks for slides the old space together as mark-compact does.

use super::{COLLECTOR_WORD, MARKS, Memory, NOWHERE, STARTS};
use crate::lab::model::pages::{PageSet, Written};
use crate::lab::model::places::{BITMAP_PAGE, GRANULE};
use crate::runtimes::toy::{AtFork, Collection, ObjectProfile, Ordinals, Profile};

const OLD: &str = "old space";
const NURSERY: &str = "nursery";
const NURSERY_BYTES: u64 = 4 << 20;
/// Larger objects are made in the old space.
const LARGEST_YOUNG: u64 = NURSERY_BYTES / 8;
/// The old space may grow by so much, or double, before it is slid together.
const QUIET: u64 = 32 << 20;
/// Bytes for which one byte of the card table stands.
const CARD: u64 = 512;
/// Keeps the nursery's marks apart from those of the old space, as its place behind it does.
const NURSERY_MARKS: u64 = 1 << 40;

#[derive(Clone, Copy)]
struct Place {
    is_young: bool,
    address: u64,
    bytes: u64,
}

pub(super) struct Generational {
    at: Vec<Place>,
    /// Objects made since the nursery was empty begin here.
    young: usize,
    /// First free byte of the nursery and of the old space.
    nursery: u64,
    old: u64,
    due: u64,
    frozen: usize,
    base: u64,
    /// Objects that live at the next moment at which that is known, by the ordinals it holds for.
    moments: Vec<(usize, Ordinals)>,
    marked: PageSet,
    written: Written,
}

impl Generational {
    pub(super) fn new(profile: &Profile) -> Self {
        let asked =
            profile.collections.iter().filter(|one| one.is_asked).map(|one| (one.at, one.live.clone()));
        let steps = profile.steps.iter().map(|step| (step.made.end, step.alive.clone()));
        let mut moments: Vec<_> =
            asked.chain([(profile.older, profile.alive.clone())]).chain(steps).collect();
        moments.sort_by_key(|(at, _)| *at);
        Self {
            at: Vec::with_capacity(profile.objects.len()),
            young: 0,
            nursery: 0,
            old: 0,
            due: QUIET,
            frozen: 0,
            base: 0,
            moments,
            marked: PageSet::default(),
            written: Written::default(),
        }
    }

    /// Whether the object outlives the next moment at which the living are known.
    fn survives(&self, ordinal: usize) -> bool {
        let now = self.at.len();
        let next = self.moments.iter().find(|(at, _)| *at >= now);
        next.is_some_and(|(_, alive)| alive.contains(ordinal))
    }

    /// Empties the nursery. What lives of it goes to the old space, in this order.
    fn promote(&mut self, living: &[usize], forwards: bool) {
        for &ordinal in living {
            let Place { is_young, address, bytes } = self.at[ordinal];
            if !is_young || address == NOWHERE {
                continue;
            }
            if forwards {
                self.written.write(NURSERY, address + COLLECTOR_WORD, 8);
            }
            let bytes = bytes.next_multiple_of(GRANULE);
            self.written.write(OLD, self.old, bytes);
            self.written.write(STARTS, self.old / GRANULE / 8, 1);
            self.at[ordinal] = Place { is_young: false, address: self.old, bytes };
            self.old += bytes;
        }
        let dead = self.at[self.young..].iter_mut().filter(|place| place.is_young);
        dead.for_each(|place| place.address = NOWHERE);
        self.young = self.at.len();
        self.nursery = 0;
    }

    /// Slides the old space together and moves what lives in the nursery behind it.
    fn major(&mut self, live: &Ordinals) {
        let mut marks = PageSet::default();
        let (old_end, mut moves) = (self.old, false);
        self.old = self.base;
        for ordinal in self.frozen..self.at.len() {
            let Place { is_young, address, bytes } = self.at[ordinal];
            if address == NOWHERE || !live.contains(ordinal) {
                self.at[ordinal].address = NOWHERE;
                continue;
            }
            let granules = bytes.div_ceil(GRANULE).div_ceil(8);
            let first = if is_young { NURSERY_MARKS } else { 0 };
            marks.insert(first + address / GRANULE / 8, granules);
            if is_young {
                moves = true;
                continue;
            }
            let bytes = bytes.next_multiple_of(GRANULE);
            if address != self.old {
                moves = true;
                self.written.write(OLD, self.old, bytes);
                self.at[ordinal].address = self.old;
            }
            self.old += bytes;
        }
        self.written.write_pages(MARKS, &self.marked);
        self.written.write_pages(MARKS, &marks);
        self.marked = marks;
        let living: Vec<usize> = live.iter().collect();
        self.promote(&living, false);
        if moves {
            let end = old_end.max(self.old);
            self.written.write(STARTS, self.base / GRANULE / 8, (end - self.base) / GRANULE / 8);
        }
        self.due = self.old + self.old.max(QUIET);
    }
}

impl Memory for Generational {
    fn make(&mut self, ordinal: usize, object: ObjectProfile) {
        let bytes = object.bytes.next_multiple_of(GRANULE);
        if bytes > LARGEST_YOUNG {
            self.at.push(Place { is_young: false, address: self.old, bytes: object.bytes });
            self.written.write(OLD, self.old, object.written);
            self.written.write(STARTS, self.old / GRANULE / 8, 1);
            self.old += bytes;
            return;
        }
        if self.nursery + bytes > NURSERY_BYTES {
            if self.old >= self.due {
                let live = (0..self.at.len()).filter(|&older| self.survives(older)).collect();
                self.major(&live);
            } else {
                let living: Vec<usize> =
                    (self.young..self.at.len()).filter(|&young| self.survives(young)).collect();
                self.promote(&living, true);
            }
        }
        debug_assert_eq!(ordinal, self.at.len());
        self.at.push(Place { is_young: true, address: self.nursery, bytes: object.bytes });
        self.written.write(NURSERY, self.nursery, object.written);
        self.nursery += bytes;
    }

    fn pass_over(&mut self, object: ObjectProfile) {
        self.at.push(Place { is_young: true, address: NOWHERE, bytes: object.bytes });
    }

    /// What is due by the bytes allocated never is: the nursery is full sooner.
    fn collect(&mut self, collection: &Collection) {
        if collection.is_asked {
            self.major(&collection.live);
        }
    }

    fn fork(&mut self, profile: &Profile, at_fork: AtFork) {
        if at_fork.compacts() {
            self.major(&profile.alive);
        }
        if at_fork.freezes() {
            self.promote(&profile.packing, true);
            self.frozen = self.at.len();
            self.base = self.old.next_multiple_of(BITMAP_PAGE);
            self.old = self.base;
            self.marked = PageSet::default();
        }
    }

    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)> {
        let place = self.at.get(ordinal).filter(|place| place.address != NOWHERE)?;
        Some((if place.is_young { NURSERY } else { OLD }, place.address))
    }

    /// One byte of the card table for each.
    fn link(&mut self, linked: &Ordinals) {
        for ordinal in linked.iter() {
            if let Some((OLD, address)) = self.place_of(ordinal) {
                self.written.write("card table", address / CARD, 1);
            }
        }
    }

    fn written(&mut self) -> &mut Written {
        &mut self.written
    }
}
