//! Blocks of one cell size, and runs of blocks for large objects.
//!
//! A cell is taken when its bit in the allocation bitmap is set. There are no lists of free cells,
//! so neither allocating nor sweeping reads or writes a free cell.

use super::super::bits::{Bits, GRANULE};
use super::Space;
use crate::error::Result;
use crate::runtimes::Region;

/// Bytes of a block: the unit that is given to one size of cells.
const BLOCK: u64 = 16 << 10;
const BLOCK_WORDS: usize = (BLOCK / 8) as usize;
/// Words of the allocation bitmap for one block.
const BLOCK_BITS: usize = (BLOCK / GRANULE / 64) as usize;

/// Cell sizes in bytes. Anything larger takes whole blocks.
const SIZES: [u16; 23] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1360, 2048,
    2720, 4096,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// Cells of one size; the first `cursor` ones are known to be taken.
    Cells {
        class: u8,
        cursor: u16,
    },
    /// First of so many blocks that hold one object.
    Large {
        blocks: u32,
    },
    /// Belongs to the large object before it.
    Rest,
}

/// Room in blocks of one cell size.
pub(super) struct SizeClass {
    table: Vec<State>,
    /// Most blocks there can be.
    limit: usize,
    free: usize,
    /// No block before this one is free.
    lowest_free: usize,
    /// The block that each size of cells is taken from.
    current: [Option<u32>; SIZES.len()],
    /// Blocks whose cursor is not at their end, but for the current ones.
    available: [Vec<u32>; SIZES.len()],
    /// Whether single objects were freed since the last look for blocks without any.
    may_be_empty: bool,
    taken: Bits,
}

impl SizeClass {
    pub(super) fn new(heap_bytes: u64) -> Result<Self> {
        Ok(Self {
            table: Vec::new(),
            limit: usize::try_from(heap_bytes / BLOCK).unwrap_or(usize::MAX),
            free: 0,
            lowest_free: 0,
            current: [None; SIZES.len()],
            available: std::array::from_fn(|_| Vec::new()),
            may_be_empty: false,
            taken: Bits::new(heap_bytes, "allocation bitmap")?,
        })
    }

    fn allocate_cell(&mut self, class: usize) -> Option<usize> {
        loop {
            let block = match self.current[class] {
                Some(block) => block as usize,
                None => self.next_block(class)?,
            };
            if let Some(word) = self.next_cell(block, class) {
                return Some(word);
            }
            self.current[class] = None;
        }
    }

    fn next_block(&mut self, class: usize) -> Option<usize> {
        let block = if let Some(block) = self.available[class].pop() {
            block as usize
        } else {
            let block = self.free_run(1)?;
            self.table[block] = State::Cells { class: u8::try_from(class).ok()?, cursor: 0 };
            block
        };
        self.current[class] = u32::try_from(block).ok();
        Some(block)
    }

    fn next_cell(&mut self, block: usize, class: usize) -> Option<usize> {
        let State::Cells { cursor, .. } = &mut self.table[block] else { return None };
        let size = u64::from(SIZES[class]);
        let cells = BLOCK / size;
        while u64::from(*cursor) < cells {
            let offset = u64::from(*cursor) * size / 8;
            let word = block * BLOCK_WORDS + usize::try_from(offset).ok()?;
            *cursor += 1;
            if !self.taken.is_set(word) {
                return Some(word);
            }
        }
        None
    }

    fn allocate_run(&mut self, count: usize) -> Option<usize> {
        let first = self.free_run(count)?;
        self.table[first] = State::Large { blocks: u32::try_from(count).ok()? };
        self.table[first + 1..first + count].fill(State::Rest);
        Some(first * BLOCK_WORDS)
    }

    /// The first of so many free blocks in a row; the caller says what they become.
    fn free_run(&mut self, count: usize) -> Option<usize> {
        if let Some(first) = self.find_run(count) {
            return Some(first);
        }
        // The last blocks may be free, and be the beginning of a run that goes on behind them.
        let tail = self.table.iter().rev().take_while(|state| **state == State::Free).count();
        let first = self.table.len() - tail;
        if count <= self.limit - first {
            self.free -= tail;
            self.table.resize(first + count, State::Rest);
            return Some(first);
        }
        if self.may_be_empty {
            self.release_empty_blocks();
            return self.free_run(count);
        }
        None
    }

    fn find_run(&mut self, count: usize) -> Option<usize> {
        if self.free < count {
            return None;
        }
        while self.table.get(self.lowest_free).is_some_and(|state| *state != State::Free) {
            self.lowest_free += 1;
        }
        let mut run = 0;
        for (index, state) in self.table.iter().enumerate().skip(self.lowest_free) {
            run = if *state == State::Free { run + 1 } else { 0 };
            if run == count {
                let first = index + 1 - count;
                self.free -= count;
                if first == self.lowest_free {
                    self.lowest_free += count;
                }
                return Some(first);
            }
        }
        None
    }

    /// Makes blocks of cells free that have no object left.
    fn release_empty_blocks(&mut self) {
        self.may_be_empty = false;
        for block in 0..self.table.len() {
            let State::Cells { class, .. } = self.table[block] else { continue };
            let mut bits = block * BLOCK_BITS..(block + 1) * BLOCK_BITS;
            if bits.all(|index| self.taken.words.get(index) == 0) {
                let number = u32::try_from(block).ok();
                let class = usize::from(class);
                self.available[class].retain(|other| Some(*other) != number);
                self.current[class] = self.current[class].filter(|other| Some(*other) != number);
                self.release(block, 1);
            }
        }
    }

    fn sweep_cells(&mut self, block: usize, class: u8, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        let mut live = 0_u64;
        for index in block * BLOCK_BITS..(block + 1) * BLOCK_BITS {
            let taken = self.taken.words.get(index);
            if taken != 0 {
                let stay = taken & kept(index, taken);
                live += u64::from(stay.count_ones());
                self.taken.words.update(index, stay);
            }
        }
        let size = u64::from(SIZES[usize::from(class)]);
        if live == 0 {
            self.release(block, 1);
            return 0;
        }
        let cells = BLOCK / size;
        let cursor = if live < cells { 0 } else { u16::try_from(cells).unwrap_or(u16::MAX) };
        self.table[block] = State::Cells { class, cursor };
        if live < cells {
            self.available[usize::from(class)].extend(u32::try_from(block));
        }
        live * size
    }

    fn sweep_large(&mut self, block: usize, count: usize, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        if kept(block * BLOCK_BITS, 1) & 1 != 0 {
            return count as u64 * BLOCK;
        }
        self.taken.unset(block * BLOCK_WORDS);
        self.release(block, count);
        0
    }

    fn release(&mut self, block: usize, count: usize) {
        self.table[block..block + count].fill(State::Free);
        self.free += count;
        self.lowest_free = self.lowest_free.min(block);
    }
}

impl Space for SizeClass {
    fn allocate(&mut self, bytes: u64) -> Option<usize> {
        let word = match SIZES.iter().position(|size| u64::from(*size) >= bytes) {
            Some(class) => self.allocate_cell(class)?,
            None => self.allocate_run(usize::try_from(bytes.div_ceil(BLOCK)).ok()?)?,
        };
        self.taken.set(word);
        Some(word)
    }

    fn free(&mut self, word: usize, _bytes: u64) {
        self.taken.unset(word);
        let block = word / BLOCK_WORDS;
        match &mut self.table[block] {
            State::Cells { class, cursor } => {
                self.may_be_empty = true;
                let class = usize::from(*class);
                let size = u64::from(SIZES[class]);
                let was_full = u64::from(*cursor) == BLOCK / size;
                let cell = (word % BLOCK_WORDS) as u64 * 8 / size;
                *cursor = u16::try_from(cell).unwrap_or(0).min(*cursor);
                let number = u32::try_from(block).ok();
                if was_full && self.current[class] != number {
                    self.available[class].extend(number);
                }
            }
            State::Large { blocks } => {
                let blocks = *blocks as usize;
                self.release(block, blocks);
            }
            State::Free | State::Rest => {}
        }
    }

    fn sweep_words(&mut self, kept: &dyn Fn(usize, u64) -> u64) -> u64 {
        let mut live_bytes = 0;
        self.may_be_empty = false;
        self.current = [None; SIZES.len()];
        self.available.iter_mut().for_each(Vec::clear);
        let mut block = 0;
        while block < self.table.len() {
            let state = self.table[block];
            block += match state {
                State::Free | State::Rest => 1,
                State::Cells { class, .. } => {
                    live_bytes += self.sweep_cells(block, class, kept);
                    1
                }
                State::Large { blocks } => {
                    live_bytes += self.sweep_large(block, blocks as usize, kept);
                    blocks as usize
                }
            };
        }
        self.available.iter_mut().for_each(|blocks| blocks.reverse());
        live_bytes
    }

    fn objects(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        Box::new(self.taken.iter(self.used_words()))
    }

    fn used_words(&self) -> usize {
        self.table.len() * BLOCK_WORDS
    }

    fn regions(&self) -> Vec<Region> {
        vec![self.taken.words.region("allocation bitmap")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn cells_of_one_size_do_not_overlap() {
        let mut blocks = SizeClass::new(1 << 20).unwrap();
        let words: Vec<usize> = std::iter::from_fn(|| blocks.allocate(90)).collect();
        assert_eq!(words.len(), 64 * (16384 / 96));
        let distinct: HashSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len());
        assert!(words.iter().all(|word| word.is_multiple_of(2) && blocks.taken.is_set(*word)));
    }

    #[test]
    fn what_a_sweep_frees_is_taken_again() {
        let mut blocks = SizeClass::new(1 << 20).unwrap();
        let words: Vec<usize> = std::iter::from_fn(|| blocks.allocate(64)).collect();
        let kept: HashSet<usize> = words.iter().copied().step_by(3).collect();
        let swept = blocks.sweep(&|word| kept.contains(&word));
        assert_eq!(swept, kept.len() as u64 * 64);
        let again: Vec<usize> = std::iter::from_fn(|| blocks.allocate(64)).collect();
        assert_eq!(again.len(), words.len() - kept.len());
        assert!(again.iter().all(|word| !kept.contains(word)));
    }

    #[test]
    fn freed_blocks_serve_other_sizes_and_large_objects() {
        let mut blocks = SizeClass::new(1 << 20).unwrap();
        while blocks.allocate(16).is_some() {}
        assert_eq!(blocks.allocate(100_000), None);
        blocks.sweep(&|_| false);
        let large = blocks.allocate(100_000).unwrap();
        assert_eq!(blocks.sweep(&|word| word == large), 7 * BLOCK);
        blocks.sweep(&|_| false);
        assert!(blocks.allocate(1 << 20).is_some());
    }
}
