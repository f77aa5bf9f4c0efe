//! Anywhere: small objects go to pages drawn by lot among at least four times as many as they need, the
//! emptier of two draws each, so that all pages are about equally full; larger ones take whole pages.
//! Where an object lies on its page is drawn too, so that a page with room enough may have no gap that
//! is large enough: then the window grows. Pages without an object are free for anything after a
//! collection.
//!
//! The draws are not those of the runtime. What can be predicted is how many pages hold one of a set of
//! objects, not which: with `c` objects on each of `P` pages, of which a fraction `f` is written, about
//! `P (1 - (1 - f)^c)`.

use super::{GRANULE, Places};
use crate::units::PAGE_SIZE;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the largest object that shares its page.
const SMALL: u64 = PAGE_SIZE / 2;
/// Pages of the window for each page's worth of small objects.
const SPREAD: usize = 4;
/// Pages by which the window grows, at least; otherwise by half.
const GROWTH: usize = 64;

/// Granules of a page.
const GRANULES: usize = (PAGE_SIZE / GRANULE) as usize;

/// A page for small objects.
struct Page {
    number: u64,
    is_taken: [bool; GRANULES],
    taken: usize,
}

impl Page {
    fn new(number: u64) -> Self {
        Self { number, is_taken: [false; GRANULES], taken: 0 }
    }

    /// The first gap of so many granules at the given one or behind it, or else from the page's start.
    fn gap(&self, from: usize, count: usize) -> Option<usize> {
        let fits = |first: &usize| !self.is_taken[*first..first + count].contains(&true);
        let last = GRANULES - count;
        (from..=last).find(fits).or_else(|| (0..=last).find(fits))
    }

    fn set(&mut self, first: usize, count: usize, is_taken: bool) {
        self.is_taken[first..first + count].fill(is_taken);
        self.taken = self.is_taken.iter().filter(|is_taken| **is_taken).count();
    }
}

#[derive(Default)]
pub(super) struct Scattered {
    /// Pages for small objects.
    window: Vec<Page>,
    /// Granules of objects in the window.
    small: usize,
    /// Free pages before the last one that was ever used.
    free: BTreeSet<u64>,
    /// Pages that were ever used.
    pages: u64,
    draws: u64,
}

impl Scattered {
    /// A number below the bound: splitmix64 (Steele, Lea and Flood, 2014).
    fn draw(&mut self, bound: usize) -> usize {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.draws ^ self.draws >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % bound.max(1) as u64).unwrap_or(0)
    }

    fn grow(&mut self, pages: usize) {
        for _ in 0..pages {
            let number = self.take_pages(1);
            self.window.push(Page::new(number));
        }
    }

    /// Index in the window of a page that has a gap for so many granules.
    fn draw_page(&mut self, count: usize) -> usize {
        if (self.small + count) * SPREAD > self.window.len() * GRANULES {
            self.grow(GROWTH.max(self.window.len() / 2));
        }
        let drawn = [0; 2].map(|_| self.draw(self.window.len()));
        let emptier = drawn.into_iter().min_by_key(|slot| self.window[*slot].taken).unwrap_or(0);
        if self.window[emptier].gap(0, count).is_some() {
            return emptier;
        }
        self.grow(GROWTH);
        self.window.len() - GROWTH
    }

    /// The first of so many free pages in a row.
    fn take_pages(&mut self, count: u64) -> u64 {
        let is_free = |first: &&u64| (0..count).all(|more| self.free.contains(&(**first + more)));
        let Some(first) = self.free.iter().find(is_free).copied() else {
            self.pages += count;
            return self.pages - count;
        };
        (first..first + count).for_each(|page| {
            self.free.remove(&page);
        });
        first
    }
}

impl Places for Scattered {
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.next_multiple_of(GRANULE);
        if bytes > SMALL {
            return self.take_pages(bytes.div_ceil(PAGE_SIZE)) * PAGE_SIZE;
        }
        let count = granules(bytes);
        let (slot, from) = (self.draw_page(count), self.draw(GRANULES));
        let page = &mut self.window[slot];
        let first = page.gap(from, count).unwrap_or(0);
        page.set(first, count, true);
        self.small += count;
        page.number * PAGE_SIZE + first as u64 * GRANULE
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let (number, count) = (address / PAGE_SIZE, granules(bytes));
        match self.window.iter_mut().find(|page| page.number == number) {
            Some(page) => {
                page.set(granules(address % PAGE_SIZE), count, false);
                self.small -= count;
            }
            None => self.free.extend(number..number + bytes.div_ceil(PAGE_SIZE)),
        }
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        let mut held: BTreeMap<u64, Page> = BTreeMap::new();
        let mut large = BTreeSet::new();
        for &(address, bytes) in live {
            let number = address / PAGE_SIZE;
            if bytes.next_multiple_of(GRANULE) > SMALL {
                large.extend(number..number + bytes.div_ceil(PAGE_SIZE));
            } else {
                let page = held.entry(number).or_insert_with(|| Page::new(number));
                page.set(granules(address % PAGE_SIZE), granules(bytes), true);
            }
        }
        self.free =
            (0..self.pages).filter(|page| !held.contains_key(page) && !large.contains(page)).collect();
        let known = std::mem::take(&mut self.window);
        self.window = known.iter().filter_map(|page| held.remove(&page.number)).collect();
        self.small = self.window.iter().map(|page| page.taken).sum();
    }

    fn used(&self) -> u64 {
        self.pages * PAGE_SIZE
    }
}

fn granules(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(GRANULE)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::pages::PageSet;
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers")]
    fn pages_of_a_part_follow_the_formula() {
        let mut places = Scattered::default();
        let addresses: Vec<u64> = (0..100_000).map(|_| places.place(48)).collect();
        let pages = places.window.len() as f64;
        let least = 4.0 * 100_000.0 * 48.0 / 4096.0;
        assert!((least..=1.5 * least).contains(&pages), "{pages} pages");
        for stride in [50, 1000] {
            let mut set = PageSet::default();
            addresses.iter().step_by(stride).for_each(|address| set.insert(*address, 8));
            let each = (100_000.0 / pages) as i32;
            let expected = pages * (1.0 - (1.0 - 1.0 / stride as f64).powi(each));
            assert!((set.len() as f64 - expected).abs() < expected * 0.05, "{} {expected}", set.len());
        }
    }
}
