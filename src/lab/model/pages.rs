//! Sets of pages, and the bytes that put a page into one.

use crate::units::PAGE_SIZE;
use std::collections::BTreeMap;

/// Page numbers from the start of a region, as bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PageSet {
    words: Vec<u64>,
}

impl PageSet {
    /// Adds every page that holds one of so many bytes from `start` on.
    pub(super) fn insert(&mut self, start: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        for page in start / PAGE_SIZE..=(start + bytes - 1) / PAGE_SIZE {
            let word = usize::try_from(page / 64).unwrap_or(0);
            if word >= self.words.len() {
                self.words.resize(word + 1, 0);
            }
            self.words[word] |= 1 << (page % 64);
        }
    }

    /// Adds the pages of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, bits) in self.words.iter_mut().zip(&other.words) {
            *word |= bits;
        }
    }

    /// Takes the pages out that hold any byte before `end`.
    pub(super) fn take_before(&mut self, end: u64) -> Self {
        let mut taken = Self::default();
        for page in 0..end.div_ceil(PAGE_SIZE) {
            let (word, bit) = (usize::try_from(page / 64).unwrap_or(0), 1 << (page % 64));
            if self.words.get(word).is_some_and(|bits| bits & bit != 0) {
                self.words[word] &= !bit;
                taken.insert(page * PAGE_SIZE, 1);
            }
        }
        taken
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> u64 {
        self.words.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

/// The pages that one worker writes, by region. Before the fork nothing is noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    is_worker: bool,
    regions: BTreeMap<&'static str, PageSet>,
}

impl Written {
    /// Notes from now on.
    pub(super) fn begin(&mut self) {
        self.is_worker = true;
    }

    /// Bytes of a region are written.
    pub(super) fn write(&mut self, region: &'static str, start: u64, bytes: u64) {
        if self.is_worker {
            self.regions.entry(region).or_default().insert(start, bytes);
        }
    }

    /// Pages of a region are written.
    pub(super) fn write_pages(&mut self, region: &'static str, pages: &PageSet) {
        if self.is_worker {
            self.regions.entry(region).or_default().extend(pages);
        }
    }

    /// How many pages of each region the worker has written.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.regions.iter().map(|(name, pages)| (*name, pages.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_as_the_pages_they_lie_on() {
        let mut pages = PageSet::default();
        pages.insert(4000, 96);
        assert_eq!(pages.len(), 1, "4000 to 4095 is the first page");
        pages.insert(4000, 97);
        assert_eq!(pages.len(), 2);
        pages.insert(0, 0);
        pages.insert(409_600, 8192);
        assert_eq!(pages.len(), 4);
        // Pages 0, 1, 100 and 101, of which byte 409,599 is before the third.
        let before = pages.take_before(409_600);
        assert_eq!((before.len(), pages.len()), (2, 2));
        assert_eq!((pages.take_before(409_601).len(), pages.len()), (1, 1));
    }

    #[test]
    fn what_the_zygote_writes_is_not_the_workers() {
        let mut written = Written::default();
        written.write("object heap", 0, 8);
        written.begin();
        written.write("object heap", 5000, 8);
        assert_eq!(written.counts().collect::<Vec<_>>(), [("object heap", 1)]);
    }
}
