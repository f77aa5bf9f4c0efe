//! With others of their size: a 16 KiB block holds cells of one size, an object larger than 4 KiB takes
//! whole blocks.
//!
//! The n-th object of a size goes into the n-th cell of that size. After a collection the free cells of
//! blocks that still hold something come first, in address order; blocks that hold nothing are free for
//! any size. A cell that becomes free at once is taken next if its block is the one in use.

use super::Places;
use std::collections::{BTreeMap, BTreeSet};

const BLOCK: u64 = 16 << 10;

/// Sizes of cells in bytes, as `docs/toy.md` gives them.
const SIZES: [u64; 23] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1360, 2048,
    2720, 4096,
];

/// A block of cells.
struct Block {
    size: u64,
    free: BTreeSet<u64>,
}

#[derive(Default)]
pub(super) struct SizeClass {
    cells: BTreeMap<u64, Block>,
    /// The block that each size of cells is taken from.
    current: BTreeMap<u64, u64>,
    /// Other blocks of each size with free cells; the last one is taken first.
    available: BTreeMap<u64, Vec<u64>>,
    free_blocks: BTreeSet<u64>,
    /// Blocks that were ever used.
    blocks: u64,
}

impl SizeClass {
    /// The first of so many blocks in a row.
    fn take_blocks(&mut self, count: u64) -> u64 {
        let is_free = |first: &&u64| (0..count).all(|more| self.free_blocks.contains(&(**first + more)));
        let first = self.free_blocks.iter().find(is_free).copied().unwrap_or_else(|| {
            let tail = (0..self.blocks).rev().take_while(|block| self.free_blocks.contains(block)).count();
            self.blocks - tail as u64
        });
        for block in first..first + count {
            self.free_blocks.remove(&block);
        }
        self.blocks = self.blocks.max(first + count);
        first
    }
}

/// The cell that an object of so many bytes takes; nothing if it is too large for any.
fn cell_of(bytes: u64) -> Option<u64> {
    SIZES.into_iter().find(|size| *size >= bytes)
}

/// Addresses of all cells of one size in a block.
fn cells_of(block: u64, size: u64) -> impl Iterator<Item = u64> {
    (0..BLOCK / size).map(move |cell| block * BLOCK + cell * size)
}

impl Places for SizeClass {
    fn place(&mut self, bytes: u64) -> u64 {
        let Some(size) = cell_of(bytes) else {
            return self.take_blocks(bytes.div_ceil(BLOCK)) * BLOCK;
        };
        loop {
            let block = *self.current.entry(size).or_insert(u64::MAX);
            if let Some(cell) = self.cells.get_mut(&block).and_then(|block| block.free.pop_first()) {
                return cell;
            }
            let next = self.available.get_mut(&size).and_then(Vec::pop).unwrap_or_else(|| {
                let block = self.take_blocks(1);
                self.cells.insert(block, Block { size, free: cells_of(block, size).collect() });
                block
            });
            self.current.insert(size, next);
        }
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let number = address / BLOCK;
        let Some(block) = self.cells.get_mut(&number) else {
            self.free_blocks.extend(number..number + bytes.div_ceil(BLOCK));
            return;
        };
        if block.free.is_empty() && self.current.get(&block.size) != Some(&number) {
            self.available.entry(block.size).or_default().push(number);
        }
        block.free.insert(address);
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        self.current.clear();
        self.available.clear();
        self.free_blocks = (0..self.blocks).collect();
        for (address, bytes) in live {
            let first = address / BLOCK;
            for block in first..=(address + bytes - 1) / BLOCK {
                self.free_blocks.remove(&block);
            }
        }
        self.cells.retain(|block, _| !self.free_blocks.contains(block));
        let taken: BTreeSet<u64> = live.iter().map(|(address, _)| *address).collect();
        for (&number, block) in self.cells.iter_mut().rev() {
            block.free = cells_of(number, block.size).filter(|cell| !taken.contains(cell)).collect();
            if !block.free.is_empty() {
                self.available.entry(block.size).or_default().push(number);
            }
        }
    }

    fn used(&self) -> u64 {
        self.blocks * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_object_of_a_size_takes_its_nth_cell() {
        let mut places = SizeClass::default();
        // 40 bytes take a cell of 48, of which a block holds 341; 20,000 bytes take two blocks.
        assert_eq!([40, 40, 100, 20_000, 48].map(|bytes| places.place(bytes)), [0, 48, 16384, 32768, 96]);
        let rest: Vec<u64> = (3..341).map(|_| places.place(40)).collect();
        assert_eq!(rest.last(), Some(&(340 * 48)));
        assert_eq!(places.place(40), 4 * BLOCK);
    }

    #[test]
    fn free_cells_come_before_free_blocks() {
        let mut places = SizeClass::default();
        let cells: Vec<u64> = (0..342).map(|_| places.place(48)).collect();
        places.place(20_000);
        places.sweep(&[(cells[0], 48), (cells[2], 48)]);
        assert_eq!([48, 48].map(|bytes| places.place(bytes)), [48, 3 * 48]);
        assert_eq!(places.place(16), BLOCK, "the second block holds nothing and may be cut anew");
        assert_eq!(places.place(30_000), 2 * BLOCK);
    }
}
