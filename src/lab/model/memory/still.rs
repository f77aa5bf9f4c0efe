//! Policies that never move objects: counts and marks, in headers or beside the heap, or neither.

use super::{COLLECTOR_WORD, HEAP, MARKS, Memory, NOWHERE, STARTS};
use crate::lab::model::pages::{PageSet, Written};
use crate::lab::model::places::{self, BITMAP_PAGE, GRANULE, Places};
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{AllocOrder, AtFork, Collection, GcPolicy, ObjectProfile, Ordinals, Profile};

const COUNTS: &str = "count table";
/// Bytes of the count of one granule.
const COUNT: u64 = 4;
/// Keeps the bitmap of the space that is opened at the fork apart from that of the older one.
const SECOND_BITMAP: u64 = 1 << 40;

pub(super) struct Still {
    gc: GcPolicy,
    order: AllocOrder,
    places: Box<dyn Places>,
    /// Address and bytes of every object, by ordinal.
    at: Vec<(u64, u64)>,
    /// Ordinals below are left alone.
    frozen: usize,
    /// Ordinals below are packed, below `base`.
    packed: usize,
    /// Where the space in use begins.
    base: u64,
    /// Pages of the mark bitmap with a mark.
    marked: PageSet,
    written: Written,
}

impl Still {
    pub(super) fn new(objects: usize, spec: PolicySpec) -> Self {
        Self {
            gc: spec.gc,
            order: spec.alloc,
            places: places::new(spec.alloc),
            at: Vec::with_capacity(objects),
            frozen: 0,
            packed: 0,
            base: 0,
            marked: PageSet::default(),
            written: Written::default(),
        }
    }

    /// The byte of the allocation bitmap that an object's bit is in.
    fn start_bit(&self, address: u64) -> u64 {
        match address.checked_sub(self.base) {
            Some(inside) if self.base > 0 => SECOND_BITMAP + bitmap_byte(inside),
            _ => bitmap_byte(address),
        }
    }

    /// Objects with room, whose collector may write to them.
    fn thawed(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let all = self.at.iter().enumerate().skip(self.frozen);
        all.filter(|(_, (address, _))| *address != NOWHERE).map(|(ordinal, (address, _))| (ordinal, *address))
    }

    /// One collector's word for each live object.
    fn mark_headers(&mut self, live: &Ordinals) {
        let marked: Vec<u64> = self
            .thawed()
            .filter(|(ordinal, _)| live.contains(*ordinal))
            .map(|(_, address)| address)
            .collect();
        for address in marked {
            self.written.write(HEAP, address + COLLECTOR_WORD, 8);
        }
    }

    /// One bit for each live object, after the bits of the collection before were cleared.
    fn mark_bits(&mut self, live: &Ordinals) {
        let mut marks = PageSet::default();
        for (ordinal, address) in self.thawed() {
            if live.contains(ordinal) {
                marks.insert(bitmap_byte(address), 1);
            }
        }
        self.written.write_pages(MARKS, &self.marked);
        self.written.write_pages(MARKS, &marks);
        self.marked = marks;
    }

    /// Takes the bit of a dead object out of the allocation bitmap.
    fn bury(&mut self, ordinal: usize) {
        let bit = self.start_bit(self.at[ordinal].0);
        self.written.write(STARTS, bit, 1);
        self.at[ordinal].0 = NOWHERE;
    }

    /// Takes the bits of dead objects out of the allocation bitmap.
    fn sweep(&mut self, live: &Ordinals) {
        let dead: Vec<usize> =
            self.thawed().map(|(ordinal, _)| ordinal).filter(|ordinal| !live.contains(*ordinal)).collect();
        if dead.is_empty() {
            return;
        }
        for ordinal in dead {
            self.bury(ordinal);
        }
        let mut rest: Vec<(u64, u64)> = self.at[self.packed..]
            .iter()
            .filter(|(address, _)| *address != NOWHERE && *address >= self.base)
            .map(|(address, bytes)| (address - self.base, *bytes))
            .collect();
        rest.sort_unstable();
        self.places.sweep(&rest);
    }

    /// Opens a new space above what there is, on a page of every bitmap of its own.
    fn open_space(&mut self, used: u64) {
        self.base = used.next_multiple_of(BITMAP_PAGE);
        self.packed = self.at.len();
        self.places = places::new(self.order);
    }
}

/// One bit for 16 bytes.
const fn bitmap_byte(address: u64) -> u64 {
    address / GRANULE / 8
}

impl Memory for Still {
    fn make(&mut self, _ordinal: usize, object: ObjectProfile) {
        let address = self.base + self.places.place(object.bytes);
        self.at.push((address, object.bytes));
        self.written.write(HEAP, address, object.written);
        let bit = self.start_bit(address);
        self.written.write(STARTS, bit, 1);
        if self.gc == GcPolicy::RefcountSide {
            self.written.write(COUNTS, address / GRANULE * COUNT, COUNT);
        }
    }

    fn pass_over(&mut self, object: ObjectProfile) {
        self.at.push((NOWHERE, object.bytes));
    }

    fn die(&mut self, ordinal: usize) {
        let (address, bytes) = self.at[ordinal];
        if ordinal < self.frozen || address == NOWHERE {
            return;
        }
        self.bury(ordinal);
        if address >= self.base {
            self.places.free(address - self.base, bytes);
        }
    }

    fn collect(&mut self, collection: &Collection) {
        match self.gc {
            GcPolicy::MarkHeader => self.mark_headers(&collection.live),
            GcPolicy::MarkBitmap => self.mark_bits(&collection.live),
            // The backup trace of counting marks in memory of its own.
            GcPolicy::Refcount | GcPolicy::RefcountSide => {}
            _ => return,
        }
        self.sweep(&collection.live);
    }

    fn fork(&mut self, profile: &Profile, at_fork: AtFork) {
        if at_fork.compacts() {
            let mut end = 0;
            self.at.iter_mut().for_each(|(address, _)| *address = NOWHERE);
            for &ordinal in &profile.packing {
                let (address, bytes) = &mut self.at[ordinal];
                *address = end;
                end += bytes.next_multiple_of(GRANULE);
            }
            self.marked = PageSet::default();
            self.open_space(end);
        }
        if at_fork.freezes() {
            self.frozen = self.at.len();
            self.marked = PageSet::default();
            if !at_fork.compacts() {
                let used = self.places.used();
                self.open_space(used);
            }
        }
    }

    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)> {
        let address = self.at.get(ordinal)?.0;
        (address != NOWHERE).then_some((HEAP, address))
    }

    /// Every visit adds to a count and takes from it again.
    fn visit(&mut self, visited: &Ordinals) {
        if !matches!(self.gc, GcPolicy::Refcount | GcPolicy::RefcountSide) {
            return;
        }
        for ordinal in visited.iter().filter(|ordinal| *ordinal >= self.frozen) {
            let Some((_, address)) = self.place_of(ordinal) else { continue };
            match self.gc {
                GcPolicy::Refcount => self.written.write(HEAP, address + COLLECTOR_WORD, 8),
                _ => self.written.write(COUNTS, address / GRANULE * COUNT, COUNT),
            }
        }
    }

    fn written(&mut self) -> &mut Written {
        &mut self.written
    }
}
