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

    /// Joins the room to the gaps beside it. Gaps from its start on are looked at again.
    fn free(&mut self, address: u64, bytes: u64) {
        let (mut start, mut end) = (address, address + bytes.next_multiple_of(GRANULE));
        if let Some((before, room)) =
            self.gaps.range(..start).next_back().map(|(start, room)| (*start, *room))
            && before + room == start
        {
            self.gaps.remove(&before);
            start = before;
        }
        if let Some(room) = self.gaps.remove(&end) {
            end += room;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.gaps.insert(start, end - start);
        }
        self.lowest.values_mut().for_each(|from| *from = start.min(*from));
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

    #[test]
    fn what_is_freed_joins_the_gaps_beside_it() {
        let mut places = Bump::default();
        assert_eq!([48, 48, 48, 48].map(|bytes| places.place(bytes)), [0, 48, 96, 144]);
        places.free(0, 48);
        places.free(96, 48);
        assert_eq!(places.place(96), 192, "two gaps of 48 bytes hold no 96");
        places.free(48, 48);
        assert_eq!([96, 48, 16].map(|bytes| places.place(bytes)), [0, 96, 288]);
        places.free(192, 96);
        assert_eq!(places.place(80), 192);
    }
}
