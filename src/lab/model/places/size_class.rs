//! With others of their size: a 16 KiB block holds cells of one size, an object larger than 4 KiB takes
//! whole blocks.
//!
//! The n-th object of a size goes into the n-th cell of that size. After a collection the free cells of
//! blocks that still hold something come first, in address order; blocks that hold nothing are free for
//! any size.

use super::Places;
use std::collections::{BTreeMap, BTreeSet};

const BLOCK: u64 = 16 << 10;

/// Sizes of cells in bytes, as `docs/toy.md` gives them.
const SIZES: [u64; 23] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1360, 2048,
    2720, 4096,
];

/// Blocks of one size of cells.
#[derive(Default)]
struct Class {
    /// The block that cells are taken from.
    current: Option<u64>,
    /// Others that have a free cell; the last one is next.
    available: Vec<u64>,
}

/// The cells of one block.
struct Cells {
    size: u64,
    /// Cells before this one are taken.
    cursor: u64,
    taken: Vec<bool>,
}

#[derive(Default)]
pub(super) struct SizeClass {
    classes: BTreeMap<u64, Class>,
    /// Blocks with cells; those of large objects have none.
    cells: BTreeMap<u64, Cells>,
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

    /// The block that was opened last and has a free cell, or a new one.
    fn next_block(&mut self, size: u64) -> u64 {
        let available = self.classes.entry(size).or_default().available.pop();
        let block = available.unwrap_or_else(|| {
            let block = self.take_blocks(1);
            self.cells.insert(block, Cells::new(size));
            block
        });
        self.classes.entry(size).or_default().current = Some(block);
        block
    }
}

impl Cells {
    fn new(size: u64) -> Self {
        let count = usize::try_from(BLOCK / size).unwrap_or(0);
        Self { size, cursor: 0, taken: vec![false; count] }
    }

    fn is_full(&self) -> bool {
        self.cursor == self.taken.len() as u64
    }

    /// The first free cell at the cursor or behind it.
    fn take(&mut self) -> Option<u64> {
        let from = usize::try_from(self.cursor).unwrap_or(0);
        let free = self.taken[from..].iter().position(|is_taken| !is_taken);
        let Some(cell) = free.map(|more| from + more) else {
            self.cursor = self.taken.len() as u64;
            return None;
        };
        self.taken[cell] = true;
        self.cursor = cell as u64 + 1;
        Some(cell as u64 * self.size)
    }

    fn set(&mut self, offset: u64, is_taken: bool) {
        if let Ok(cell) = usize::try_from(offset / self.size) {
            self.taken[cell] = is_taken;
        }
    }
}

/// The cell that an object of so many bytes takes; nothing if it is too large for any.
fn cell_of(bytes: u64) -> Option<u64> {
    SIZES.into_iter().find(|size| *size >= bytes)
}

impl Places for SizeClass {
    fn place(&mut self, bytes: u64) -> u64 {
        let Some(size) = cell_of(bytes) else {
            return self.take_blocks(bytes.div_ceil(BLOCK)) * BLOCK;
        };
        loop {
            let current = self.classes.get(&size).and_then(|class| class.current);
            let block = current.unwrap_or_else(|| self.next_block(size));
            if let Some(offset) = self.cells.get_mut(&block).and_then(Cells::take) {
                return block * BLOCK + offset;
            }
            self.classes.entry(size).or_default().current = None;
        }
    }

    fn free(&mut self, address: u64, bytes: u64) {
        let block = address / BLOCK;
        let Some(cells) = self.cells.get_mut(&block) else {
            self.free_blocks.extend(block..block + bytes.div_ceil(BLOCK));
            return;
        };
        let was_full = cells.is_full();
        cells.set(address % BLOCK, false);
        cells.cursor = cells.cursor.min(address % BLOCK / cells.size);
        let class = self.classes.entry(cells.size).or_default();
        if was_full && class.current != Some(block) {
            class.available.push(block);
        }
    }

    fn sweep(&mut self, live: &[(u64, u64)]) {
        self.classes.clear();
        self.free_blocks = (0..self.blocks).collect();
        for cells in self.cells.values_mut() {
            cells.taken.fill(false);
        }
        for (address, bytes) in live {
            let first = address / BLOCK;
            for block in first..=(address + bytes - 1) / BLOCK {
                self.free_blocks.remove(&block);
            }
            if let Some(cells) = self.cells.get_mut(&first) {
                cells.set(address % BLOCK, true);
            }
        }
        self.cells.retain(|block, _| !self.free_blocks.contains(block));
        for (block, cells) in self.cells.iter_mut().rev() {
            let has_free = cells.taken.contains(&false);
            cells.cursor = if has_free { 0 } else { cells.taken.len() as u64 };
            if has_free {
                self.classes.entry(cells.size).or_default().available.push(*block);
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

    #[test]
    fn a_freed_cell_is_the_next_one_taken() {
        let mut places = SizeClass::default();
        let cells: Vec<u64> = (0..342).map(|_| places.place(48)).collect();
        places.free(cells[341], 48);
        places.free(cells[7], 48);
        places.free(cells[3], 48);
        // The block in use comes first, and then what it leaves; within a block the lowest cell.
        assert_eq!(places.place(48), cells[341]);
        let rest: Vec<u64> = (0..340).map(|_| places.place(48)).collect();
        assert_eq!(rest.last(), Some(&(BLOCK + 340 * 48)));
        assert_eq!([48, 48].map(|bytes| places.place(bytes)), [cells[3], cells[7]]);
    }
}
