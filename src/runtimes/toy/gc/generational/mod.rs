//! Two generations: a nursery where objects are made, and an old space where survivors go.
//!
//! A minor collection copies what lives in the nursery to the end of the old space, after one age. It
//! finds references from old to young objects by the card table. A major collection marks everything
//! beside the heap, slides the old space together and moves the nursery's survivors behind it.
//!
//! A card is that of the object written to, wherever the slot stands in it. Arrays have cards of their
//! own, so a marked one is looked into as a whole, without asking its list or map how many items count.
//!
//! The old space stands at the start of the heap and the nursery behind it, so one comparison tells
//! young from old.

pub(super) mod cards;
mod old;

use super::barrier::Barrier;
use super::bits::BITMAP_WORD;
use super::object::{BODY, Header, Kind};
use super::plan::{Plan, Reason};
use super::roots::Roots;
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::memory::words::Words;
use cards::{CARD_PAGE, CardAddresses};
use old::OldSpace;
use std::ops::Range;

/// Most bytes of the nursery; a small heap has less.
const NURSERY_BYTES: u64 = 4 << 20;
/// The old space grows by as much as was alive, and at least this, between two major collections.
const QUIET_WORDS: usize = (32 << 20) / 8;

const BODY_WORDS: usize = (BODY / 8) as usize;

/// A copying nursery before a mark-compact old space.
pub(super) struct Generational {
    old: OldSpace,
    nursery: Range<usize>,
    /// First free word of the nursery.
    top: usize,
    /// Words of the old space at which a major collection is due.
    due: usize,
    /// Whether the old space had no room for an object.
    is_full: bool,
}

impl Generational {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        let whole = BITMAP_WORD as u64 * 8;
        let nursery = NURSERY_BYTES.min(heap_bytes / 4).next_multiple_of(whole);
        let to_words = |bytes: u64| usize::try_from(bytes / 8).unwrap_or(usize::MAX / 8);
        let limit = to_words(heap_bytes);
        let start = (limit + CARD_PAGE).next_multiple_of(CARD_PAGE);
        let nursery = start..start + to_words(nursery);
        Ok(Self {
            old: OldSpace::new(limit, nursery.clone())?,
            top: nursery.start,
            nursery,
            due: QUIET_WORDS,
            is_full: false,
        })
    }

    /// Larger objects are made in the old space.
    fn largest_young(&self) -> usize {
        self.nursery.len() / 8
    }

    fn young(&self) -> Range<usize> {
        self.nursery.start..self.top
    }

    /// Leaves the nursery empty, unless the old space has no room for its survivors.
    fn major(&mut self, objects: &mut Words, roots: &mut Roots<'_>) {
        self.top = self.old.collect(objects, roots, self.young());
        self.due = self.old.used() + self.old.used().max(QUIET_WORDS);
        self.is_full = false;
    }
}

impl Plan for Generational {
    fn allocate(&mut self, objects: &mut Words, header: Header) -> Option<usize> {
        let words = header.words();
        let word = if words > self.largest_young() {
            let room = self.old.allocate(words);
            self.is_full |= room.is_none();
            room?
        } else if words <= self.nursery.end - self.top {
            self.top += words;
            self.top - words
        } else {
            return None;
        };
        objects.set(word, header.0);
        objects.set(word + 1, 0);
        if header.kind() == Kind::Array {
            // The array of a marked card is looked into up to its end.
            (word + BODY_WORDS..word + words).for_each(|word| objects.set(word, 0));
        }
        Some(word)
    }

    fn collect(&mut self, objects: &mut Words, roots: &mut Roots<'_>, reason: Reason) -> u64 {
        let is_due = self.is_full || self.old.used() >= self.due;
        if reason == Reason::Asked || is_due || !self.old.has_room(self.young().len()) {
            self.major(objects, roots);
        } else {
            self.old.promote(objects, roots, self.young());
            self.top = self.nursery.start;
        }
        #[cfg(test)]
        assert!(self.old.starts_are_right(objects), "after a collection that was {reason:?}");
        (self.old.used() + self.young().len()) as u64 * 8
    }

    fn address_space(&self) -> u64 {
        self.nursery.end as u64 * 8
    }

    fn barrier(&self) -> Barrier {
        Barrier::Cards
    }

    fn cards(&self, objects: &Words) -> Option<CardAddresses> {
        Some(self.old.cards.addresses(objects.start(), self.nursery.start))
    }

    fn mark_card(&mut self, object: usize, target: usize) {
        if object < self.nursery.start && target >= self.nursery.start {
            self.old.cards.mark(object);
        }
    }

    /// A major collection leaves no gaps. What is behind the last object is given back.
    fn compact(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.major(objects, roots);
        objects.discard(self.old.free());
        objects.discard(self.top..self.nursery.end);
        Ok(())
    }

    /// Everything young becomes old first. Pages without frozen objects are given back, so that new
    /// objects break none.
    fn freeze(&mut self, objects: &mut Words, roots: &mut Roots<'_>) -> Result<()> {
        self.collect(objects, roots, Reason::Full);
        objects.discard(self.old.free());
        objects.discard(self.top..self.nursery.end);
        self.old.freeze();
        Ok(())
    }

    fn regions(&self, objects: &Words) -> Vec<Region> {
        let mut regions = vec![
            objects.part(0..self.nursery.start, "old space"),
            objects.part(self.nursery.clone(), "nursery"),
        ];
        regions.extend(self.old.regions());
        regions
    }
}
