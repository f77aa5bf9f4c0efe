//! Free room as runs of granules, kept beside the heap and never written into it.

use std::collections::BTreeMap;

/// Requests of up to so many granules have a lower bound each, larger ones share one for each power of
/// two.
const EXACT: usize = 32;
/// Bounds of requests: the exact ones, and one for every power of two that a size can have.
const BOUNDS: usize = EXACT + usize::BITS as usize;

/// Runs of free granules, none of which touches another.
pub(super) struct Runs {
    /// First granule to the number of granules.
    lengths: BTreeMap<usize, usize>,
    /// No run that begins before this granule is long enough for the smallest request of its class.
    lowest: [usize; BOUNDS],
    granules: usize,
}

impl Runs {
    pub(super) fn new() -> Self {
        Self { lengths: BTreeMap::new(), lowest: [0; BOUNDS], granules: 0 }
    }

    /// Runs in address order that do not touch.
    pub(super) fn from_sorted(runs: Vec<(usize, usize)>) -> Self {
        let granules = runs.iter().map(|(_, count)| count).sum();
        Self { lengths: runs.into_iter().collect(), lowest: [0; BOUNDS], granules }
    }

    /// How many granules are free in all.
    pub(super) fn granules(&self) -> usize {
        self.granules
    }

    /// Takes the lowest run that has at least so many granules: its first one, and how many it has.
    pub(super) fn take_first_fit(&mut self, count: usize) -> Option<(usize, usize)> {
        let bound = &mut self.lowest[class_of(count)];
        let smallest = smallest_of(class_of(count));
        let mut lowest = None;
        let found = self.lengths.range(*bound..).find(|(first, length)| {
            if **length >= smallest {
                lowest.get_or_insert(**first);
            }
            **length >= count
        });
        let found = found.map(|(first, length)| (*first, *length));
        *bound = lowest.unwrap_or(usize::MAX);
        self.lengths.remove(&found?.0);
        self.granules -= found?.1;
        found
    }

    /// Gives granules back, and joins them with the runs they touch.
    pub(super) fn give(&mut self, first: usize, count: usize) {
        if count == 0 {
            return;
        }
        self.granules += count;
        let (mut first, mut count) = (first, count);
        if let Some((&before, &length)) = self.lengths.range(..first).next_back()
            && before + length == first
        {
            self.lengths.remove(&before);
            (first, count) = (before, length + count);
        }
        if let Some(length) = self.lengths.remove(&(first + count)) {
            count += length;
        }
        self.lengths.insert(first, count);
        for bound in &mut self.lowest[..=class_of(count)] {
            *bound = first.min(*bound);
        }
    }

    /// First granule and number of granules of every run, in address order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.lengths.iter().map(|(first, count)| (*first, *count))
    }
}

/// The bound that a request of so many granules goes by.
fn class_of(count: usize) -> usize {
    if count <= EXACT { count.saturating_sub(1) } else { EXACT + count.ilog2() as usize }
}

/// The least number of granules that a request of the class asks for.
fn smallest_of(class: usize) -> usize {
    if class < EXACT { class + 1 } else { (1 << (class - EXACT)).max(EXACT + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_touches_is_joined() {
        let mut runs = Runs::new();
        for (first, count) in [(0, 3), (5, 2), (3, 2), (9, 1)] {
            runs.give(first, count);
        }
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(0, 7), (9, 1)]);
        assert_eq!(runs.granules(), 8);
    }

    proptest! {
        /// The bounds never hide a run: the answer is that of a search through all.
        #[test]
        fn the_lowest_fit_is_found(requests in prop::collection::vec((1_usize..200, any::<bool>()), 1..300)) {
            let mut runs = Runs::new();
            runs.give(0, 4000);
            let mut taken = Vec::new();
            for (count, give_back) in requests {
                if give_back && !taken.is_empty() {
                    let (first, length) = taken.swap_remove(count % taken.len());
                    runs.give(first, length);
                }
                let expected = runs.iter().find(|(_, length)| *length >= count);
                let found = runs.take_first_fit(count);
                prop_assert_eq!(found, expected);
                if let Some((first, length)) = found {
                    taken.push((first, count));
                    runs.give(first + count, length - count);
                }
            }
        }
    }
}
