//! Blocks of one cell size, and runs of blocks for large objects.
//!
//! A cell is taken when its bit in the allocation bitmap is set. There are no lists of free cells,
//! so neither allocating nor sweeping reads or writes a free cell.

use super::super::bits::{Bits, GRANULE, bit_of, set_words};
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
    /// Blocks with free cells that no allocation has looked at since the last sweep.
    available: [Vec<u32>; SIZES.len()],
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
        let found = if self.free >= count { self.find_run(count) } else { None };
        if let Some(first) = found {
            self.free -= count;
            if first == self.lowest_free {
                self.lowest_free += count;
            }
            return Some(first);
        }
        let first = self.table.len();
        if count > self.limit - first {
            return None;
        }
        self.table.resize(first + count, State::Rest);
        Some(first)
    }

    fn find_run(&mut self, count: usize) -> Option<usize> {
        while self.table.get(self.lowest_free).is_some_and(|state| *state != State::Free) {
            self.lowest_free += 1;
        }
        let mut run = 0;
        for (index, state) in self.table.iter().enumerate().skip(self.lowest_free) {
            run = if *state == State::Free { run + 1 } else { 0 };
            if run == count {
                return Some(index + 1 - count);
            }
        }
        None
    }

    fn sweep_cells(&mut self, block: usize, class: u8, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        let mut live = 0_u64;
        for index in block * BLOCK_BITS..(block + 1) * BLOCK_BITS {
            let mut kept = 0;
            for word in set_words(index, self.taken.words.get(index)) {
                if is_marked(word) {
                    kept |= bit_of(word).1;
                    live += 1;
                }
            }
            self.taken.words.update(index, kept);
        }
        let size = u64::from(SIZES[usize::from(class)]);
        if live == 0 {
            self.release(block, 1);
        } else if live < BLOCK / size {
            self.table[block] = State::Cells { class, cursor: 0 };
            self.available[usize::from(class)].extend(u32::try_from(block));
        }
        live * size
    }

    fn sweep_large(&mut self, block: usize, count: usize, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        let word = block * BLOCK_WORDS;
        if is_marked(word) {
            return count as u64 * BLOCK;
        }
        self.taken.unset(word);
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
        match self.table[block] {
            State::Cells { class, .. } => {
                // A block that nothing was free in is not looked at before the next sweep otherwise.
                if let State::Cells { cursor, .. } = &mut self.table[block] {
                    let size = usize::from(SIZES[usize::from(class)]) / 8;
                    let cell = (word % BLOCK_WORDS) / size;
                    *cursor = u16::try_from(cell).unwrap_or(0).min(*cursor);
                }
                if self.current[usize::from(class)] != u32::try_from(block).ok() {
                    self.available[usize::from(class)].extend(u32::try_from(block));
                }
            }
            State::Large { blocks } => self.release(block, blocks as usize),
            State::Free | State::Rest => {}
        }
    }

    fn sweep(&mut self, is_marked: &dyn Fn(usize) -> bool) -> u64 {
        let mut live_bytes = 0;
        self.current = [None; SIZES.len()];
        self.available.iter_mut().for_each(Vec::clear);
        let mut block = 0;
        while block < self.table.len() {
            let state = self.table[block];
            block += match state {
                State::Free | State::Rest => 1,
                State::Cells { class, .. } => {
                    live_bytes += self.sweep_cells(block, class, is_marked);
                    1
                }
                State::Large { blocks } => {
                    live_bytes += self.sweep_large(block, blocks as usize, is_marked);
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
