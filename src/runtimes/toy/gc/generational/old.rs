//! The old space: objects without gaps up to its top, and the tables beside it.

use super::cards::{CARD_PAGE, Cards, words_of_card};
use crate::error::Result;
use crate::runtimes::Region;
use crate::runtimes::toy::gc::bits::{BITMAP_WORD, Bits, bit_of, set_words};
use crate::runtimes::toy::gc::cheney::Cheney;
use crate::runtimes::toy::gc::roots::Roots;
use crate::runtimes::toy::gc::slide::{Covered, Slide};
use crate::runtimes::toy::gc::trace::{Frozen, in_a_row, trace, visit_slots, word_of};
use crate::runtimes::toy::memory::words::Words;
use std::ops::Range;

/// Objects from the start of the heap, or of what is not frozen, up to `top`.
pub(super) struct OldSpace {
    pub(super) cards: Cards,
    /// Where objects begin, to find those of a marked card.
    starts: Bits,
    marks: Covered,
    /// Words that old objects may take.
    limit: usize,
    /// First word after the frozen objects.
    frozen: usize,
    /// First word that is not left alone: a multiple of [`CARD_PAGE`], so that neither cards nor bits share
    /// a page with those of frozen objects.
    base: usize,
    top: usize,
    /// First word after the old space, where the young objects begin.
    end: usize,
}

impl OldSpace {
    /// Room for objects of so many words, before the nursery.
    pub(super) fn new(limit: usize, nursery: Range<usize>) -> Result<Self> {
        let end = nursery.start;
        Ok(Self {
            cards: Cards::new(end)?,
            starts: Bits::new(end as u64 * 8, "allocation bitmap")?,
            marks: Covered::new(nursery.end as u64 * 8)?,
            limit,
            frozen: 0,
            base: 0,
            top: 0,
            end,
        })
    }

    /// Words of old objects, frozen ones included.
    pub(super) fn used(&self) -> usize {
        self.frozen + self.top - self.base
    }

    pub(super) fn has_room(&self, words: usize) -> bool {
        words <= self.limit.saturating_sub(self.used())
    }

    pub(super) fn allocate(&mut self, words: usize) -> Option<usize> {
        if !self.has_room(words) {
            return None;
        }
        let word = self.top;
        self.top += words;
        self.starts.set(word);
        Some(word)
    }

    /// Copies what lives among the young objects to the top.
    pub(super) fn promote(&mut self, objects: &mut Words, roots: &mut Roots<'_>, young: Range<usize>) {
        let mut copies = Cheney::new(young, self.top);
        copies.roots(objects, roots);
        let mut from = 0;
        while let Some(card) = self.cards.next_marked(from, self.top) {
            let words = words_of_card(card);
            from = words.end;
            for word in objects_in(&self.starts, words) {
                copies.visit_whole(objects, word);
            }
        }
        self.cards.clear(self.top);
        let old_top = std::mem::replace(&mut self.top, copies.finish(objects));
        self.note_starts(objects, old_top, old_top);
    }

    /// Frees what is dead, and moves what lives among the young objects to the top if it has room
    /// there. Answers the first free word of the nursery.
    pub(super) fn collect(
        &mut self,
        objects: &mut Words,
        roots: &mut Roots<'_>,
        young: Range<usize>,
    ) -> usize {
        let old = self.base..self.top;
        self.marks.0.clear(old.clone());
        self.marks.0.clear(young.clone());
        let frozen = Frozen { below: self.base, next: in_a_row(0..self.frozen) };
        trace(objects, &mut self.marks, roots, frozen);

        let mut slide = Slide::new(&self.marks);
        let top = slide.send(old, self.base);
        let survivors = self.marks.live_words(young.clone());
        let fit = self.frozen + (top - self.base) + survivors <= self.limit;
        let young_end = slide.send(young.clone(), if fit { top } else { young.start });
        let old_top = std::mem::replace(&mut self.top, if fit { young_end } else { top });
        let young_top = if fit { young.start } else { young_end };
        if slide.moves() {
            slide.slide(objects);
            update_slots(
                objects,
                roots,
                &slide,
                [0..self.frozen, self.base..self.top, young.start..young_top],
            );
        }
        if slide.moves() || self.top < old_top {
            self.note_starts(objects, self.base, old_top);
        }
        self.cards.clear(old_top);
        if young_top > young.start {
            self.mark_cards_again(objects);
        }
        young_top
    }

    /// Notes where the objects from this word on begin, and that none begins between the top and where
    /// it was before. Writes only where that differs.
    fn note_starts(&mut self, objects: &Words, from: usize, old_top: usize) {
        let (mut index, first) = bit_of(from);
        let mut bits = self.starts.words.get(index) & (first - 1);
        let mut next = in_a_row(from..self.top);
        while let Some(word) = next(objects) {
            let (own, bit) = bit_of(word);
            while index < own {
                self.starts.words.update(index, bits);
                (index, bits) = (index + 1, 0);
            }
            bits |= bit;
        }
        self.starts.words.update(index, bits);
        let rest = (index + 1) * BITMAP_WORD;
        self.starts.clear(rest..old_top.max(self.top).max(rest));
    }

    /// Marks the cards of all old objects that refer to young ones.
    fn mark_cards_again(&mut self, objects: &mut Words) {
        let (start, end) = (objects.start(), self.end);
        for row in [0..self.frozen, self.base..self.top] {
            let mut next = in_a_row(row);
            while let Some(word) = next(objects) {
                let mut leads_to_young = false;
                visit_slots(objects, word, &mut |objects, slot| {
                    leads_to_young |= word_of(objects.get(slot), start).is_some_and(|target| target >= end);
                });
                if leads_to_young {
                    self.cards.mark(word);
                }
            }
        }
    }

    /// Leaves everything there is alone from now on.
    pub(super) fn freeze(&mut self) {
        self.frozen = self.top;
        self.base = self.top.next_multiple_of(CARD_PAGE);
        self.top = self.base;
        self.cards.discard_from(self.base);
        self.starts.discard_from(self.base);
        self.marks.0.discard_from(self.base);
    }

    /// Whether the allocation bitmap has the beginnings of all objects and no others.
    #[cfg(test)]
    pub(super) fn starts_are_right(&self, objects: &Words) -> bool {
        let objects_of = |row| {
            std::iter::from_fn({
                let mut next = in_a_row(row);
                move || next(objects)
            })
        };
        let expected = objects_of(0..self.frozen).chain(objects_of(self.base..self.top));
        self.starts.iter(self.end).eq(expected)
    }

    /// What no object takes.
    pub(super) fn free(&self) -> Range<usize> {
        self.top..self.end
    }

    pub(super) fn regions(&self) -> [Region; 3] {
        [
            self.cards.region(),
            self.starts.words.region("allocation bitmap"),
            self.marks.0.words.region("mark bitmap"),
        ]
    }
}

fn update_slots(objects: &mut Words, roots: &mut Roots<'_>, slide: &Slide<'_>, rows: [Range<usize>; 3]) {
    let start = objects.start();
    roots.update(|value| slide.moved(value, start));
    for row in rows {
        let mut next = in_a_row(row);
        while let Some(word) = next(objects) {
            visit_slots(objects, word, &mut |objects, slot| {
                objects.update(slot, slide.moved(objects.get(slot), start));
            });
        }
    }
}

/// First words of the objects that begin among these words, fewer than a word of the bitmap stands
/// for.
fn objects_in(starts: &Bits, words: Range<usize>) -> impl Iterator<Item = usize> + use<> {
    let index = words.start / BITMAP_WORD;
    set_words(index, starts.words.get(index)).filter(move |word| words.contains(word))
}
