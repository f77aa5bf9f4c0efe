//! With others of their size: a 16 KiB block holds cells of one size, an object larger than 4 KiB takes
//! whole blocks.
//!
//! The n-th object of a size goes into the n-th cell of that size. After a collection the free cells of
//! blocks that still hold something come first, in address order; blocks that hold nothing are free for
//! any size.

use super::Places;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const BLOCK: u64 = 16 << 10;

/// Sizes of cells in bytes, as `docs/toy.md` gives them.
const SIZES: [u64; 23] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1360, 2048,
    2720, 4096,
];

#[derive(Default)]
pub(super) struct SizeClass {
    /// Free cells of each size, in the order they are taken.
    free: BTreeMap<u64, VecDeque<u64>>,
    /// Size of the cells of each block; large objects have none.
    cells: BTreeMap<u64, u64>,
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
        if let Some(cell) = self.free.get_mut(&size).and_then(VecDeque::pop_front) {
            return cell;
        }
        let block = self.take_blocks(1);
        self.cells.insert(block, size);
        self.free.entry(size).or_default().extend(cells_of(block, size).skip(1));
        block * BLOCK
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        self.free.clear();
        self.free_blocks = (0..self.blocks).collect();
        for (address, bytes) in live {
            let first = address / BLOCK;
            for block in first..=(address + bytes - 1) / BLOCK {
                self.free_blocks.remove(&block);
            }
        }
        self.cells.retain(|block, _| !self.free_blocks.contains(block));
        let taken: BTreeSet<u64> = live.iter().map(|(address, _)| *address).collect();
        for (block, size) in &self.cells {
            let cells = cells_of(*block, *size).filter(|cell| !taken.contains(cell));
            self.free.entry(*size).or_default().extend(cells);
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
