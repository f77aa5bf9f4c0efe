//! Objects anywhere, as in the heap of a process that has run for long: what is made one after the
//! other lies on unrelated pages.
//!
//! Small objects go to pages of a window, of which at least three quarters are kept free: the window
//! grows with what is used. Of two pages drawn, the emptier one is taken, so that all pages are about
//! equally full. Larger objects take whole pages elsewhere. The draws are the same in every run.

use super::super::bits::{Bits, GRANULE};
use super::Space;
use super::page::{BITMAP_WORDS, GRANULES, PageUse};
use super::runs::Runs;
use crate::error::Result;
use crate::runtimes::Region;

/// Words of the heap in one granule, and in one page.
const WORDS: usize = (GRANULE / 8) as usize;
const PAGE_WORDS: usize = GRANULES * WORDS;

/// Objects of more granules take whole pages.
const SMALL: usize = GRANULES / 2;
/// The window has so many granules for each taken one.
const SPREAD: usize = 4;
/// Pages by which the window grows, at least; otherwise by half, so that what is made in a row is not
/// huddled together on its newest pages.
const GROWTH: usize = 64;

/// Pages drawn for one object.
const DRAWS: usize = 2;

/// Where the draws begin; any odd number would do.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In no object and not in the window.
    Free,
    /// In the window.
    Small(PageUse),
    /// First of so many pages of one object.
    Large { pages: u32 },
    /// Belongs to the large object before it.
    Rest,
}

/// Room on pages drawn by lot.
pub(super) struct Scattered {
    taken: Bits,
    table: Vec<State>,
    /// Pages that small objects are made on.
    window: Vec<u32>,
    /// Granules of objects in the window.
    small: usize,
    /// Whole free pages, in granules.
    pages: Runs,
    draws: Draws,
    limit: usize,
}

/// Xorshift64 (Marsaglia, 2003): as good as needed, and the same everywhere.
struct Draws(u64);

impl Draws {
    /// A number below the bound, which must not be zero.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((u128::from(self.0) * bound as u128) >> 64).unwrap_or(0)
    }
}

impl Scattered {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        let limit = usize::try_from(heap_bytes / GRANULE).unwrap_or(usize::MAX) / GRANULES;
        let mut pages = Runs::new();
        pages.give(0, limit * GRANULES);
        Ok(Self {
            taken: Bits::new(heap_bytes, "allocation bitmap")?,
            table: Vec::new(),
            window: Vec::new(),
            small: 0,
            pages,
            draws: Draws(SEED),
            limit,
        })
    }

    fn allocate_small(&mut self, count: usize) -> Option<usize> {
        let is_spread = (self.small + count) * SPREAD <= self.window.len() * GRANULES;
        if !is_spread && self.window.len() < self.limit / 2 {
            self.grow_window(GROWTH.max(self.window.len() / 2));
        }
        let drawn = self.draw_page().filter(|slot| self.has_gap(*slot, count));
        let slot = drawn.or_else(|| self.page_elsewhere(count))?;
        let from = self.draws.below(GRANULES);
        let page = self.window[slot] as usize;
        let State::Small(used) = &mut self.table[page] else { return None };
        let first = used.gap(from, count)?;
        used.take(first, count);
        self.small += count;
        Some(page * GRANULES + first)
    }

    /// The emptier of two pages of the window.
    fn draw_page(&mut self) -> Option<usize> {
        if self.window.is_empty() {
            return None;
        }
        let drawn = [0; DRAWS].map(|_| self.draws.below(self.window.len()));
        drawn.into_iter().max_by_key(|slot| self.use_of(*slot).free())
    }

    /// A page that was not drawn: a new one, or where there is none, the first that has room.
    fn page_elsewhere(&mut self, count: usize) -> Option<usize> {
        let known = self.window.len();
        self.grow_window(GROWTH);
        let new = (self.window.len() > known).then_some(known);
        new.or_else(|| (0..known).find(|slot| self.has_gap(*slot, count)))
    }

    fn has_gap(&self, slot: usize, count: usize) -> bool {
        let used = self.use_of(slot);
        used.free() >= count && used.gap(0, count).is_some()
    }

    fn use_of(&self, slot: usize) -> PageUse {
        match self.table[self.window[slot] as usize] {
            State::Small(used) => used,
            _ => PageUse::EMPTY,
        }
    }

    /// Adds so many free pages to the window, or as many as there are.
    fn grow_window(&mut self, count: usize) {
        for _ in 0..count {
            let Some(page) = self.take_pages(1) else { return };
            self.table[page] = State::Small(PageUse::EMPTY);
            self.window.extend(u32::try_from(page));
        }
    }

    /// Takes pages without objects out of the window.
    fn shrink_window(&mut self) {
        let (table, pages) = (&mut self.table, &mut self.pages);
        self.window.retain(|page| {
            let state = &mut table[*page as usize];
            let is_empty = *state == State::Small(PageUse::EMPTY);
            if is_empty {
                *state = State::Free;
                pages.give(*page as usize * GRANULES, GRANULES);
            }
            !is_empty
        });
    }

    fn allocate_large(&mut self, granules: usize) -> Option<usize> {
        let count = granules.div_ceil(GRANULES);
        let page = self.take_pages(count).or_else(|| {
            self.shrink_window();
            self.take_pages(count)
        })?;
        self.table[page] = State::Large { pages: u32::try_from(count).ok()? };
        self.table[page + 1..page + count].fill(State::Rest);
        Some(page * GRANULES)
    }

    /// The first of so many free pages in a row; the caller says what they become.
    fn take_pages(&mut self, count: usize) -> Option<usize> {
        let (first, length) = self.pages.take_first_fit(count * GRANULES)?;
        self.pages.give(first + count * GRANULES, length - count * GRANULES);
        let page = first / GRANULES;
        if self.table.len() < page + count {
            self.table.resize(page + count, State::Free);
        }
        Some(page)
    }

    fn release(&mut self, page: usize, count: usize) {
        self.table[page..page + count].fill(State::Free);
        self.pages.give(page * GRANULES, count * GRANULES);
    }

    fn sweep_page(&mut self, page: usize, kept: &dyn Fn(usize, u64) -> u64) {
        let bits: [usize; BITMAP_WORDS] = std::array::from_fn(|word| page * BITMAP_WORDS + word);
        let starts = bits.map(|index| self.taken.words.get(index));
        let stay: [u64; BITMAP_WORDS] =
            std::array::from_fn(|word| starts[word] & kept(bits[word], starts[word]));
        if stay == starts {
            return;
        }
        for (index, word) in bits.into_iter().zip(stay) {
            self.taken.words.update(index, word);
        }
        let State::Small(used) = &mut self.table[page] else { return };
        let before = used.free();
        used.retain(starts, stay);
        self.small -= used.free() - before;
    }

    fn sweep_large(&mut self, page: usize, count: usize, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        let index = page * BITMAP_WORDS;
        if kept(index, 1) & 1 != 0 {
            return (count * GRANULES) as u64 * GRANULE;
        }
        self.taken.unset(page * PAGE_WORDS);
        self.release(page, count);
        0
    }
}

impl Space for Scattered {
    fn allocate(&mut self, bytes: u64) -> Option<usize> {
        let count = usize::try_from(bytes.div_ceil(GRANULE)).ok()?;
        let first = if count <= SMALL { self.allocate_small(count) } else { self.allocate_large(count) }?;
        self.taken.set(first * WORDS);
        Some(first * WORDS)
    }

    fn free(&mut self, word: usize, bytes: u64) {
        self.taken.unset(word);
        let page = word / PAGE_WORDS;
        match &mut self.table[page] {
            State::Small(used) => {
                let count = usize::try_from(bytes.div_ceil(GRANULE)).unwrap_or(0);
                used.give(word / WORDS % GRANULES, count);
                self.small -= count;
            }
            State::Large { pages } => {
                let pages = *pages as usize;
                self.release(page, pages);
            }
            State::Free | State::Rest => {}
        }
    }

    fn sweep_words(&mut self, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        let mut live_bytes = 0;
        let mut page = 0;
        while page < self.table.len() {
            page += match self.table[page] {
                State::Free | State::Rest => 1,
                State::Small(_) => {
                    self.sweep_page(page, kept);
                    if let State::Small(used) = &self.table[page] {
                        live_bytes += (GRANULES - used.free()) as u64 * GRANULE;
                    }
                    1
                }
                State::Large { pages } => {
                    live_bytes += self.sweep_large(page, pages as usize, kept);
                    pages as usize
                }
            };
        }
        self.shrink_window();
        live_bytes
    }

    fn objects(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        Box::new(self.taken.iter(self.used_words()))
    }

    fn used_words(&self) -> usize {
        self.table.len() * PAGE_WORDS
    }

    fn regions(&self) -> Vec<Region> {
        vec![self.taken.words.region("allocation bitmap")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Pages of records of 48 bytes in the order they are made.
    fn pages_of(space: &mut Scattered, count: usize) -> Vec<usize> {
        (0..count).map(|_| space.allocate(48).unwrap() / PAGE_WORDS).collect()
    }

    #[test]
    fn neighbours_lie_on_unrelated_pages() {
        let mut space = Scattered::new(64 << 20).unwrap();
        let pages = pages_of(&mut space, 100_000);
        let together = pages.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(together < 1000, "{together} of 100,000 neighbours share a page");
    }

    #[test]
    fn pages_are_about_equally_full_and_at_most_a_quarter() {
        let mut space = Scattered::new(64 << 20).unwrap();
        let mut on_page: HashMap<usize, usize> = HashMap::new();
        for page in pages_of(&mut space, 100_000) {
            *on_page.entry(page).or_default() += 1;
        }
        // 85 of them would fill a page.
        let mean = 100_000 / on_page.len();
        assert!((13..=22).contains(&mean), "{mean} objects on a page");
        let near = on_page.values().filter(|count| (mean / 2..mean * 2).contains(*count)).count();
        assert!(near * 10 > on_page.len() * 8, "{near} of {} pages", on_page.len());
    }

    #[test]
    fn two_heaps_put_the_same_objects_into_the_same_places() {
        let mut spaces = [0; 2].map(|_| Scattered::new(1 << 20).unwrap());
        let [first, second] = &mut spaces;
        assert_eq!(pages_of(first, 1000), pages_of(second, 1000));
    }

    #[test]
    fn pages_without_objects_serve_large_ones_again() {
        let mut space = Scattered::new(1 << 20).unwrap();
        while space.allocate(16).is_some() {}
        assert_eq!(space.allocate(100_000), None);
        assert_eq!(space.sweep(&|_| false), 0);
        assert!(space.allocate(1 << 20).is_some());
    }
}
