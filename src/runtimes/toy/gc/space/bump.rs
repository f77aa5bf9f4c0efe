//! Objects one after the other, whatever their size: each goes into the lowest free run it fits into.
//!
//! All room that no object takes is in a run: what was never used is the last one. So an object ends
//! where the next object or the next run begins, and a sweep needs no sizes and reads no object.

use super::super::bits::{Bits, GRANULE, set_words};
use super::Space;
use super::runs::Runs;
use crate::error::Result;
use crate::runtimes::Region;

/// Words of the heap in one granule.
const WORDS: usize = (GRANULE / 8) as usize;

/// Room in address order.
pub(super) struct Bump {
    taken: Bits,
    /// Free room but for the current run.
    runs: Runs,
    /// The run that objects are made in now: its first granule and the one behind its last.
    current: (usize, usize),
    /// Objects of at least so many granules fit into no run before the current one.
    least: usize,
    /// One past the last granule ever used.
    used: usize,
    limit: usize,
}

impl Bump {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        let limit = usize::try_from(heap_bytes / GRANULE).unwrap_or(usize::MAX);
        Ok(Self {
            taken: Bits::new(heap_bytes, "allocation bitmap")?,
            runs: Runs::new(),
            current: (0, limit),
            least: 0,
            used: 0,
            limit,
        })
    }

    /// Makes the current run one of the others again.
    fn put_back(&mut self) {
        let (first, end) = std::mem::take(&mut self.current);
        self.runs.give(first, end - first);
    }
}

impl Space for Bump {
    fn allocate(&mut self, bytes: u64) -> Option<usize> {
        let count = usize::try_from(bytes.div_ceil(GRANULE)).ok()?;
        if count < self.least || count > self.current.1 - self.current.0 {
            self.put_back();
            let (first, length) = self.runs.take_first_fit(count)?;
            self.current = (first, first + length);
            self.least = count;
        }
        let first = self.current.0;
        self.current.0 += count;
        self.used = self.used.max(self.current.0);
        self.taken.set(first * WORDS);
        Some(first * WORDS)
    }

    fn free(&mut self, word: usize, bytes: u64) {
        self.taken.unset(word);
        let first = word / WORDS;
        self.runs.give(first, usize::try_from(bytes.div_ceil(GRANULE)).unwrap_or(0));
        if first < self.current.0 {
            self.put_back();
        }
    }

    fn sweep_words(&mut self, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        self.put_back();
        let mut free = Joined::default();
        let mut old = self.runs.iter().peekable();
        for index in 0..self.used.div_ceil(64) {
            let taken = self.taken.words.get(index);
            let stay = taken & kept(index, taken);
            let end = (index + 1) * 64;
            let untouched = stay == taken && free.open.is_none();
            if untouched && old.peek().is_none_or(|(first, _)| *first >= end) {
                continue;
            }
            for word in set_words(index, taken) {
                let first = word / WORDS;
                while let Some((run, _)) = old.next_if(|(run, _)| *run < first) {
                    free.open_at(run);
                }
                if stay >> (first % 64) & 1 != 0 {
                    free.close_at(first);
                } else {
                    free.open_at(first);
                }
            }
            while let Some((run, _)) = old.next_if(|(run, _)| *run < end) {
                free.open_at(run);
            }
            self.taken.words.update(index, stay);
        }
        if let Some((run, _)) = old.next() {
            free.open_at(run);
        }
        free.close_at(self.limit);
        drop(old);
        self.runs = Runs::from_sorted(free.runs);
        (self.limit - self.runs.granules()) as u64 * GRANULE
    }

    fn objects(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        Box::new(self.taken.iter(self.used_words()))
    }

    fn used_words(&self) -> usize {
        self.used * WORDS
    }

    fn regions(&self) -> Vec<Region> {
        vec![self.taken.words.region("allocation bitmap")]
    }
}

/// Free room found in address order, joined where it touches.
#[derive(Default)]
struct Joined {
    runs: Vec<(usize, usize)>,
    open: Option<usize>,
}

impl Joined {
    fn open_at(&mut self, granule: usize) {
        self.open.get_or_insert(granule);
    }

    fn close_at(&mut self, granule: usize) {
        if let Some(first) = self.open.take().filter(|first| *first < granule) {
            self.runs.push((first, granule - first));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashSet};

    #[test]
    fn objects_follow_each_other_whatever_their_size() {
        let mut space = Bump::new(1 << 20).unwrap();
        let sizes = [16, 24, 5000, 48, 17];
        let words = sizes.map(|size| space.allocate(size).unwrap());
        assert_eq!(words, [0, 2, 6, 632, 638]);
    }

    #[test]
    fn freed_room_is_taken_again_at_once_and_lowest_first() {
        let mut space = Bump::new(1 << 20).unwrap();
        let words: Vec<usize> = (0..100).map(|_| space.allocate(48).unwrap()).collect();
        for word in [words[50], words[7], words[8]] {
            space.free(word, 48);
        }
        assert_eq!(space.allocate(96), Some(words[7]));
        assert_eq!(space.allocate(32), Some(words[50]));
        assert_eq!(space.allocate(48), Some(600));
    }

    #[test]
    fn a_sweep_finds_runs_that_cross_words_of_the_bitmap() {
        let mut space = Bump::new(1 << 20).unwrap();
        let words: Vec<usize> = (0..1000).map(|_| space.allocate(32).unwrap()).collect();
        let kept: HashSet<usize> = [words[0], words[400], words[999]].into();
        assert_eq!(space.sweep(&|word| kept.contains(&word)), 96);
        assert_eq!(space.allocate(399 * 32), Some(words[1]));
        assert_eq!(space.allocate(600 * 32), Some(4000));
        assert_eq!(space.allocate(597 * 32), Some(words[401]));
        assert_eq!(space.allocate(64), Some(4000 + 600 * 4));
        assert_eq!(space.allocate(32), Some(words[998]));
    }
    proptest! {
        /// Against a list of what is taken, searched from the start for every object.
        #[test]
        fn every_object_goes_into_the_lowest_gap(acts in prop::collection::vec((16_u64..400, 0_usize..4), 1..300)) {
            let mut space = Bump::new(1 << 20).unwrap();
            let mut taken: BTreeMap<usize, u64> = BTreeMap::new();
            for (bytes, act) in acts {
                if act == 0 && !taken.is_empty() {
                    let word = *taken.keys().nth(usize::try_from(bytes).unwrap() % taken.len()).unwrap();
                    space.free(word, taken.remove(&word).unwrap());
                }
                let mut lowest = 0;
                for (word, size) in &taken {
                    if (lowest as u64) * 8 + bytes.next_multiple_of(16) <= *word as u64 * 8 {
                        break;
                    }
                    lowest = word + usize::try_from(size.next_multiple_of(16) / 8).unwrap();
                }
                prop_assert_eq!(space.allocate(bytes), Some(lowest));
                taken.insert(lowest, bytes);
            }
        }
    }
}
