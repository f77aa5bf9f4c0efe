//! Anywhere: small objects go to pages drawn by lot among four times as many as they need, the emptier
//! of two draws each, so that all pages are about equally full; larger ones take whole pages. Within
//! a page an object takes the first gap from a place that is drawn too; where the page has none that is
//! large enough, the window grows.
//!
//! The draws are not those of the runtime. What can be predicted is how many pages hold one of a set of
//! objects, not which: with `c` objects on each of `P` pages, of which a fraction `f` is written, about
//! `P (1 - (1 - f)^c)`.

use super::{GRANULE, Places};
use crate::units::PAGE_SIZE;
use std::collections::{BTreeSet, HashMap};

/// Bytes of the largest object that shares its page.
const SMALL: u64 = PAGE_SIZE / 2;
/// Pages of the window for each page's worth of small objects.
const SPREAD: u64 = 4;
/// Granules of a page.
const GRANULES: usize = 256;
/// Pages drawn for one object.
const DRAWS: usize = 2;
/// Pages by which the window grows, at least; otherwise by half.
const GROWTH: usize = 64;

/// A page for small objects.
struct Page {
    address: u64,
    /// Bytes taken.
    used: u64,
    /// Of each granule, whether it is taken.
    taken: [bool; GRANULES],
}

impl Page {
    fn new(address: u64) -> Self {
        Self { address, used: 0, taken: [false; GRANULES] }
    }

    /// Takes or gives back what an object of so many bytes at the offset covers.
    fn set(&mut self, offset: u64, bytes: u64, is_taken: bool) {
        let first = granules(offset);
        self.taken[first..first + granules(bytes)].fill(is_taken);
        self.used = if is_taken { self.used + bytes } else { self.used.saturating_sub(bytes) };
    }

    /// Offset of the first gap of so many bytes at the granule or behind it, or else on the page.
    fn gap(&self, from: usize, bytes: u64) -> Option<u64> {
        let count = granules(bytes);
        let first = |from: usize| {
            let mut free = 0;
            let end = self.taken[from..].iter().position(|is_taken| {
                free = if *is_taken { 0 } else { free + 1 };
                free == count
            });
            end.map(|end| (from + end + 1 - count) as u64 * GRANULE)
        };
        first(from).or_else(|| first(0))
    }
}

/// Granules of so many bytes of one page.
fn granules(bytes: u64) -> usize {
    usize::try_from(bytes / GRANULE).unwrap_or(0)
}

#[derive(Default)]
pub(super) struct Scattered {
    window: Vec<Page>,
    /// Which of them has this number.
    slots: HashMap<u64, usize>,
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

    fn grow(&mut self, count: usize) {
        for _ in 0..count {
            let page = self.take_pages(1);
            self.slots.insert(page, self.window.len());
            self.window.push(Page::new(page * PAGE_SIZE));
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
            self.grow(GROWTH.max(self.window.len() / 2));
        }
        let drawn = [0; DRAWS].map(|_| self.draw(self.window.len()));
        let emptier = drawn.into_iter().min_by_key(|slot| self.window[*slot].used).unwrap_or(0);
        let from = self.draw(GRANULES);
        let found = self.window[emptier].gap(from, bytes).map(|offset| (emptier, offset));
        let (slot, offset) = found.unwrap_or_else(|| {
            let new = self.window.len();
            self.grow(GROWTH);
            (new, self.window[new].gap(from, bytes).unwrap_or(0))
        });
        self.small += bytes;
        let page = &mut self.window[slot];
        page.set(offset, bytes, true);
        page.address + offset
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let bytes = bytes.next_multiple_of(GRANULE);
        let page = address / PAGE_SIZE;
        if bytes > SMALL {
            self.free.extend(page..page + bytes.div_ceil(PAGE_SIZE));
        } else if let Some(slot) = self.slots.get(&page) {
            self.window[*slot].set(address % PAGE_SIZE, bytes, false);
            self.small -= bytes;
        }
    }

    /// Pages that hold nothing leave the window and are free for anything.
    fn sweep(&mut self, live: &[(u64, u64)]) {
        self.window.iter_mut().for_each(|page| *page = Page::new(page.address));
        self.free = (0..self.pages).collect();
        self.small = 0;
        for (address, bytes) in live {
            let bytes = bytes.next_multiple_of(GRANULE);
            for page in address / PAGE_SIZE..(address + bytes).div_ceil(PAGE_SIZE) {
                self.free.remove(&page);
            }
            if let Some(slot) = self.slots.get(&(address / PAGE_SIZE)) {
                self.window[*slot].set(address % PAGE_SIZE, bytes, true);
                self.small += bytes;
            }
        }
        self.window.retain(|page| page.used > 0);
        self.slots = (0..).zip(&self.window).map(|(slot, page)| (page.address / PAGE_SIZE, slot)).collect();
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

    #[test]
    fn an_object_takes_the_first_gap_from_a_place_on_the_page() {
        let mut page = Page::new(0);
        page.set(160, 3840, true);
        // Free are the granules 0 to 9 and 250 to 255.
        assert_eq!([page.gap(3, 80), page.gap(20, 96), page.gap(20, 112)], [Some(48), Some(4000), Some(0)]);
        assert_eq!(page.gap(0, 176), None);
        page.set(160, 16, false);
        assert_eq!((page.gap(200, 176), page.used), (Some(0), 3824));
    }
}
