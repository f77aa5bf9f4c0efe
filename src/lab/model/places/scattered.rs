//! Anywhere: small objects go to pages drawn by lot among four times as many as they need, the emptier
//! of two draws each, so that all pages are about equally full; larger ones take whole pages.
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
/// Pages drawn for one object.
const DRAWS: usize = 2;
/// Pages by which the window grows, at least; otherwise by half.
const GROWTH: usize = 64;

#[derive(Default)]
pub(super) struct Scattered {
    /// Pages for small objects: address, and bytes taken.
    window: Vec<(u64, u64)>,
    small: u64,
    /// Pages that were ever used, and those of them that are free, by number.
    pages: u64,
    free: BTreeSet<u64>,
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

    /// The first of so many free pages in a row.
    fn take_pages(&mut self, count: u64) -> u64 {
        let is_free = |first: &&u64| (1..count).all(|more| self.free.contains(&(**first + more)));
        let first = self.free.iter().find(is_free).copied().unwrap_or(self.pages);
        for page in first..first + count {
            self.free.remove(&page);
        }
        self.pages = self.pages.max(first + count);
        first
    }

    fn grow(&mut self) {
        for _ in 0..GROWTH.max(self.window.len() / 2) {
            let page = self.take_pages(1);
            self.window.push((page * PAGE_SIZE, 0));
        }
    }
}

impl Places for Scattered {
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.next_multiple_of(GRANULE);
        if bytes > SMALL {
            return self.take_pages(bytes.div_ceil(PAGE_SIZE)) * PAGE_SIZE;
        }
        if (self.small + bytes) * SPREAD > self.window.len() as u64 * PAGE_SIZE {
            self.grow();
        }
        let drawn = [0; DRAWS].map(|_| self.draw(self.window.len()));
        let slot = drawn.into_iter().min_by_key(|slot| self.window[*slot].1).unwrap_or(0);
        self.small += bytes;
        let (page, taken) = &mut self.window[slot];
        *taken += bytes;
        // Where on the page it lies makes no difference, so long as it does not cross its end.
        *page + (*taken - bytes).min(PAGE_SIZE - bytes)
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let bytes = bytes.next_multiple_of(GRANULE);
        let page = address / PAGE_SIZE;
        if bytes > SMALL {
            self.free.extend(page..page + bytes.div_ceil(PAGE_SIZE));
        } else if let Some((_, taken)) = self.window.iter_mut().find(|(first, _)| *first == page * PAGE_SIZE)
        {
            *taken = taken.saturating_sub(bytes);
            self.small -= bytes;
        }
    }

    /// Pages that hold nothing leave the window and are free for anything.
    fn sweep(&mut self, live: &[(u64, u64)]) {
        let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
        self.free = (0..self.pages).collect();
        self.small = 0;
        for (address, bytes) in live {
            let bytes = bytes.next_multiple_of(GRANULE);
            for page in address / PAGE_SIZE..(address + bytes).div_ceil(PAGE_SIZE) {
                self.free.remove(&page);
            }
            if bytes <= SMALL {
                *taken.entry(address / PAGE_SIZE * PAGE_SIZE).or_default() += bytes;
                self.small += bytes;
            }
        }
        self.window.retain_mut(|(page, bytes)| {
            *bytes = taken.get(page).copied().unwrap_or_default();
            *bytes > 0
        });
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
        assert!((pages - 4.0 * 100_000.0 * 48.0 / 4096.0).abs() < pages / 8.0);
        for stride in [50, 1000] {
            let mut set = PageSet::default();
            addresses.iter().step_by(stride).for_each(|address| set.insert(*address, 8));
            let each = (100_000.0 / pages) as i32;
            let expected = pages * (1.0 - (1.0 - 1.0 / stride as f64).powi(each));
            assert!((set.len() as f64 - expected).abs() < expected * 0.05, "{} {expected}", set.len());
        }
    }
}
