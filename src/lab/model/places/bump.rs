//! One after the other: the address is the sum of the sizes before, each rounded up to 16 bytes. After a
//! collection the lowest gap that is large enough comes first.

use super::{GRANULE, Places};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Bump {
    /// Gaps before `end`: start and bytes.
    gaps: BTreeMap<u64, u64>,
    /// No gap that holds so many bytes begins before this address.
    lowest: BTreeMap<u64, u64>,
    end: u64,
    used: u64,
}

impl Places for Bump {
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.next_multiple_of(GRANULE);
        let from = self.lowest.range(..=bytes).map(|(_, from)| *from).max().unwrap_or(0);
        let gap =
            self.gaps.range(from..).find(|(_, room)| **room >= bytes).map(|(start, room)| (*start, *room));
        let Some((start, room)) = gap else {
            self.lowest.insert(bytes, u64::MAX);
            self.end += bytes;
            self.used = self.used.max(self.end);
            return self.end - bytes;
        };
        self.lowest.insert(bytes, start);
        self.gaps.remove(&start);
        if room > bytes {
            self.gaps.insert(start + bytes, room - bytes);
        }
        start
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let (mut start, mut end) = (address, address + bytes.next_multiple_of(GRANULE));
        if let Some((before, room)) = self.gaps.range(..start).next_back().map(|(at, room)| (*at, *room))
            && before + room == start
        {
            start = before;
        }
        end += self.gaps.remove(&end).unwrap_or(0);
        self.lowest.clear();
        if end == self.end {
            self.gaps.remove(&start);
            self.end = start;
        } else {
            self.gaps.insert(start, end - start);
        }
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        self.gaps.clear();
        self.lowest.clear();
        self.end = 0;
        for (address, bytes) in live {
            if *address > self.end {
                self.gaps.insert(self.end, address - self.end);
            }
            self.end = address + bytes.next_multiple_of(GRANULE);
        }
    }

    fn used(&self) -> u64 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sums_of_rounded_sizes_and_gaps_come_first() {
        let mut places = Bump::default();
        assert_eq!([24, 40, 16, 5000].map(|bytes| places.place(bytes)), [0, 32, 80, 96]);
        places.sweep(&[(0, 24), (96, 5000)]);
        // Between 32 and 96 there is room for 64 bytes.
        assert_eq!([80, 24, 24, 16].map(|bytes| places.place(bytes)), [5104, 32, 64, 5184]);
    }
}
