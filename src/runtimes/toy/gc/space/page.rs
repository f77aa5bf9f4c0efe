//! Which granules of one page are taken, for objects that lie anywhere in it.

use super::super::bits::GRANULE;
use crate::units::PAGE_SIZE;

/// Granules of a page.
pub(super) const GRANULES: usize = (PAGE_SIZE / GRANULE) as usize;
/// Words of the allocation bitmap for one page.
pub(super) const BITMAP_WORDS: usize = GRANULES / 64;

/// A bit for every granule of a page, set where an object has any of its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PageUse {
    taken: [u64; BITMAP_WORDS],
}

impl PageUse {
    pub(super) const EMPTY: Self = Self { taken: [0; BITMAP_WORDS] };

    pub(super) fn free(&self) -> usize {
        GRANULES - self.taken.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    /// The first gap of so many granules at the given one or behind it, or else from the page's start.
    pub(super) fn gap(&self, from: usize, count: usize) -> Option<usize> {
        self.gap_in(from, GRANULES, count).or_else(|| self.gap_in(0, GRANULES.min(from + count), count))
    }

    fn gap_in(&self, from: usize, to: usize, count: usize) -> Option<usize> {
        let (mut granule, mut length) = (from, 0);
        while granule < to {
            let word = self.taken[granule / 64] >> (granule % 64);
            let (free, taken) = (word.trailing_zeros() as usize, word.trailing_ones() as usize);
            let free = free.min(64 - granule % 64).min(to - granule);
            if length + free >= count {
                return Some(granule - length);
            }
            length = if free == 0 { 0 } else { length + free };
            granule += free.max(taken);
        }
        None
    }

    pub(super) fn take(&mut self, first: usize, count: usize) {
        for granule in first..first + count {
            self.taken[granule / 64] |= 1 << (granule % 64);
        }
    }

    pub(super) fn give(&mut self, first: usize, count: usize) {
        for granule in first..first + count {
            self.taken[granule / 64] &= !(1 << (granule % 64));
        }
    }

    /// Gives the granules of every object back that begins at a bit of `starts` and not of `kept`. An
    /// object ends where the next one begins or where nothing is taken.
    pub(super) fn retain(&mut self, starts: [u64; BITMAP_WORDS], kept: [u64; BITMAP_WORDS]) {
        let mut dead = false;
        for granule in 0..GRANULES {
            let (word, bit) = (granule / 64, 1 << (granule % 64));
            if starts[word] & bit != 0 {
                dead = kept[word] & bit == 0;
            }
            if dead {
                self.taken[word] &= !bit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_behind_the_wanted_place_or_before_it() {
        let mut page = PageUse::EMPTY;
        page.take(10, 240);
        assert_eq!((page.free(), page.gap(3, 5)), (16, Some(3)));
        assert_eq!((page.gap(8, 6), page.gap(255, 7)), (Some(250), Some(0)));
        assert_eq!((page.gap(0, 11), page.gap(200, 10)), (None, Some(0)));
        page.give(10, 1);
        assert_eq!(page.gap(100, 11), Some(0));
    }

    #[test]
    fn the_dead_go_with_all_their_granules_and_the_living_stay() {
        let mut page = PageUse::EMPTY;
        page.take(60, 8);
        page.take(68, 2);
        page.take(100, 3);
        let starts = [1 << 60, 1 << (68 - 64) | 1 << (100 - 64), 0, 0];
        page.retain(starts, [0, 1 << (68 - 64), 0, 0]);
        assert_eq!((page.free(), page.gap(66, 5)), (GRANULES - 2, Some(70)));
    }
}
