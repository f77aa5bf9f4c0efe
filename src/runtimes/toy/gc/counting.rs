//! Reference counting, wherever the counts stand.
//!
//! Every reference counts: those in registers and in global variables too. So loading an object into
//! a register writes its count, as in `CPython`. An object whose count falls to zero is freed at once.
//! A backup trace frees what only refers to itself.

use super::barrier::Barrier;
use super::bits::Bits;
use super::evacuate::Move;
use super::object::Header;
use super::plan::{Plan, Reason};
use super::room::Room;
use super::roots::Roots;
use super::trace::{Marks, trace, visit_slots, word_of};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use std::collections::{BTreeMap, HashMap};

/// Where the counts of objects stand.
///
/// The highest bit of a count says that the object is immortal, as in PEP 683: it is never counted
/// again. A count that overflows sets the bit by itself, and so is never too low.
pub(super) trait Counts {
    /// The highest bit of a count.
    const IMMORTAL: u64;
    /// What compiled code has to do.
    const BARRIER: Barrier;

    fn get(&self, objects: &Words, word: usize) -> u64;

    fn set(&mut self, objects: &mut Words, word: usize, count: u64);

    /// The table that holds the counts, if they do not stand in objects.
    fn table(&self) -> Option<&Words>;
}

/// Reference counting with a backup trace for cycles.
pub(super) struct Counting<C> {
    room: Room,
    counts: C,
    /// Objects whose count is zero and whose references are not given up yet.
    dying: Vec<usize>,
}

/// Marks of one backup trace. They are made for it and go with it, so that no inherited page is
/// written.
struct TraceMarks(Bits);

impl Marks for TraceMarks {
    fn mark(&mut self, _objects: &mut Words, word: usize) -> bool {
        self.0.set(word)
    }
}

impl<C: Counts> Counting<C> {
    pub(super) fn new(room: Room, counts: C) -> Self {
        Self { room, counts, dying: Vec::new() }
    }

    /// What the roots and all frozen objects lead to.
    fn mark(&self, objects: &mut Words, roots: &Roots<'_>) -> Option<TraceMarks> {
        let mut marks = TraceMarks(Bits::new(objects.len() as u64 * 8, "marks of a trace").ok()?);
        trace(objects, &mut marks, roots, self.room.frozen());
        Some(marks)
    }

    /// Gives up what the dead refer to among the living.
    fn give_up(&mut self, objects: &mut Words, marks: &Bits) {
        let start = objects.start();
        let room = &self.room;
        let is_dead = |word: &usize| !marks.is_set(*word) && !room.is_frozen(*word);
        for word in room.objects().filter(is_dead) {
            visit_slots(objects, word, &mut |objects, slot| {
                if let Some(child) = word_of(objects.get(slot), start).filter(|child| marks.is_set(*child)) {
                    drop_one(&mut self.counts, objects, child);
                }
            });
        }
    }
}

/// Counts one reference less; true when that was the last one.
fn drop_one<C: Counts>(counts: &mut C, objects: &mut Words, word: usize) -> bool {
    let count = counts.get(objects, word);
    if count & C::IMMORTAL != 0 {
        return false;
    }
    debug_assert_ne!(count, 0, "a reference to the object at word {word} was not counted");
    counts.set(objects, word, count.saturating_sub(1));
    count <= 1
}

impl<C: Counts> Plan for Counting<C> {
    /// A new object has the count zero: the first write of a reference to it makes it one.
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let word = self.room.allocate(header.size())?;
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        self.counts.set(objects, word, 0);
        Some(word)
    }

    /// Nothing is freed when there is no memory for marks.
    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, _reason: Reason) -> u64 {
        let Some(TraceMarks(marks)) = self.mark(objects, roots) else { return 0 };
        self.give_up(objects, &marks);
        self.room.sweep(objects, &|word| marks.is_set(word))
    }

    fn barrier(&self) -> Barrier {
        C::BARRIER
    }

    fn retain(&mut self, objects: &mut Words, word: usize) {
        let count = self.counts.get(objects, word);
        if count & C::IMMORTAL == 0 {
            self.counts.set(objects, word, count + 1);
        }
    }

    fn drop_reference(&mut self, objects: &mut Words, word: usize) -> bool {
        drop_one(&mut self.counts, objects, word)
    }

    fn free(&mut self, objects: &mut Words, word: usize, freed: &mut dyn FnMut(usize)) -> u64 {
        let start = objects.start();
        let Self { room, counts, dying } = self;
        let mut freed_bytes = 0;
        dying.push(word);
        while let Some(word) = dying.pop() {
            visit_slots(objects, word, &mut |objects, slot| {
                if let Some(child) = word_of(objects.get(slot), start)
                    && drop_one(counts, objects, child)
                {
                    dying.push(child);
                }
            });
            let size = Header(objects.get(word)).size();
            room.free(word, size);
            freed(word);
            freed_bytes += size;
        }
        freed_bytes
    }

    fn count_table(&self) -> Option<&Words> {
        self.counts.table()
    }

    fn counts(&self, objects: &Words) -> BTreeMap<usize, Option<u64>> {
        let mortal = |word| Some(self.counts.get(objects, word)).filter(|count| count & C::IMMORTAL == 0);
        self.room.objects().map(|word| (word, mortal(word))).collect()
    }

    fn address_space(&self) -> u64 {
        self.room.address_space()
    }

    /// Garbage goes first, so that nothing that is left behind is counted.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.collect(objects, roots, Reason::Asked);
        let kept: HashMap<usize, u64> =
            self.room.objects().map(|word| (word, self.counts.get(objects, word))).collect();
        if self.counts.table().is_some() {
            for word in kept.keys() {
                self.counts.set(objects, *word, 0);
            }
        }
        for Move { from, to } in self.room.compact(objects, roots)? {
            self.counts.set(objects, to, kept.get(&from).copied().unwrap_or_default());
        }
        Ok(())
    }

    fn freeze(&mut self, objects: &mut Words, _roots: &mut Roots<'_>) -> Result<()> {
        self.room.freeze()?;
        for word in self.room.objects() {
            let count = self.counts.get(objects, word);
            self.counts.set(objects, word, count | C::IMMORTAL);
        }
        Ok(())
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        let mut regions = vec![objects.region("object heap")];
        regions.extend(self.room.regions());
        regions.extend(self.counts.table().map(|table| table.region("count table")));
        regions
    }
}
