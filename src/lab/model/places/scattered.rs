//! Anywhere: small objects go to pages drawn by lot among at least four times as many as they need, the
//! emptier of two draws each, so that all pages are about equally full; larger ones take whole pages.
//! Pages without an object are free for anything after a collection.
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
const SPREAD: u64 = 4;
/// Pages by which the window grows, at least; otherwise by half.
const GROWTH: usize = 64;

#[derive(Default)]
pub(super) struct Scattered {
    /// Pages for small objects: address, and bytes taken.
    window: Vec<(u64, u64)>,
    small: u64,
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

    fn grow(&mut self) {
        for _ in 0..GROWTH.max(self.window.len() / 2) {
            let page = self.take_page();
            self.window.push((page * PAGE_SIZE, 0));
        }
    }

    fn take_page(&mut self) -> u64 {
        self.free.pop_first().unwrap_or_else(|| {
            self.pages += 1;
            self.pages - 1
        })
    }
}

impl Places for Scattered {
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.next_multiple_of(GRANULE);
        if bytes > SMALL {
            let pages = bytes.div_ceil(PAGE_SIZE);
            self.pages += pages;
            return (self.pages - pages) * PAGE_SIZE;
        }
        if (self.small + bytes) * SPREAD > self.window.len() as u64 * PAGE_SIZE {
            self.grow();
        }
        let drawn = [0; 2].map(|_| self.draw(self.window.len()));
        let slot = drawn.into_iter().min_by_key(|slot| self.window[*slot].1).unwrap_or(0);
        self.small += bytes;
        let (page, taken) = &mut self.window[slot];
        *taken += bytes;
        // Where on the page it lies makes no difference, so long as it does not cross its end.
        *page + (*taken - bytes).min(PAGE_SIZE - bytes)
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let bytes = bytes.next_multiple_of(GRANULE);
        let page = address / PAGE_SIZE * PAGE_SIZE;
        if let Some((_, taken)) = self.window.iter_mut().find(|(start, _)| *start == page) {
            *taken = taken.saturating_sub(bytes);
            self.small -= bytes;
        }
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        let mut held: BTreeMap<u64, u64> = BTreeMap::new();
        for (address, bytes) in live {
            let bytes = bytes.next_multiple_of(GRANULE);
            let pages = address / PAGE_SIZE..=(address + bytes - 1) / PAGE_SIZE;
            pages.for_each(|page| *held.entry(page).or_default() += bytes);
        }
        self.window
            .iter_mut()
            .for_each(|(page, taken)| *taken = held.get(&(*page / PAGE_SIZE)).copied().unwrap_or(0));
        self.window.retain(|(_, taken)| *taken > 0);
        self.small = self.window.iter().map(|(_, taken)| taken).sum();
        self.free = (0..self.pages).filter(|page| !held.contains_key(page)).collect();
    }

    fn used(&self) -> u64 {
        self.pages * PAGE_SIZE
    }
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
