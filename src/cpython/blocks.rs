//! Which block of pymalloc an address is in, and whether the block was in use (`Objects/obmalloc.c`).
//!
//! A pool is a header and blocks of one size. The blocks behind `nextoffset` were never handed out; of
//! the others, those given back are chained through their first words. A pool is believed only if
//! its header is valid and its free list holds exactly the blocks that the header counts as free.

use super::memory::Memory;
use super::pymalloc::{HEADER_BYTES, Layout, PoolHeader};
use std::collections::HashMap;

/// What stands at an address of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The header of the pool.
    Header,
    /// A block that a program has.
    Used {
        /// Its first byte.
        start: u64,
        /// Its bytes, a multiple of 16.
        size: u64,
    },
    /// A block that was given back or never handed out, or the rest behind the last block.
    Free {
        /// Its first byte.
        start: u64,
        /// Its bytes.
        size: u64,
    },
}

/// The pools of one process at one time, each read once.
#[derive(Debug)]
pub struct Pools {
    layout: Layout,
    /// By the address of the pool; `None` where there is none.
    seen: HashMap<u64, Option<Pool>>,
}

impl Pools {
    /// For a process that runs this version, `(major, minor)`.
    pub fn new(version: (u8, u8)) -> Self {
        Self { layout: Layout::of_version(version), seen: HashMap::new() }
    }

    /// The block of an address; `None` if the address is in no pool.
    ///
    /// `memory` must be of the same moment at every call: pools are not read again.
    pub fn block_of(&mut self, memory: &dyn Memory, address: u64) -> Option<Block> {
        let base = address - address % self.layout.pool;
        let layout = self.layout;
        let pool = self.seen.entry(base).or_insert_with(|| Pool::read(memory, base, layout));
        Some(pool.as_ref()?.block_at(address - base))
    }
}

/// A valid pool.
#[derive(Debug)]
struct Pool {
    base: u64,
    end: u64,
    block_size: u64,
    /// By index of block: whether a program has it. Blocks never handed out are left out.
    used: Vec<bool>,
}

impl Pool {
    fn read(memory: &dyn Memory, base: u64, layout: Layout) -> Option<Self> {
        let mut header = [0; HEADER_BYTES];
        if !memory.read(base, &mut header) {
            return None;
        }
        let header = PoolHeader::parse(&header);
        header.arena_of_valid_pool(base, layout)?;
        let block_size = u64::from(header.block_size());
        let carved = (u64::from(header.next_offset) - HEADER_BYTES as u64) / block_size;
        let mut pool = Self {
            base,
            end: base.checked_add(layout.pool)?,
            block_size,
            used: vec![true; usize::try_from(carved).ok()?],
        };
        let bytes = memory.bytes(base, usize::try_from(layout.pool).ok()?)?;
        pool.walk_free_list(header.free_block, &bytes)?;
        let used = pool.used.iter().filter(|used| **used).count();
        (used == header.used_blocks as usize).then_some(pool)
    }

    /// Marks the blocks of the free list; `None` if it leaves the pool or meets itself.
    fn walk_free_list(&mut self, first: u64, bytes: &[u8]) -> Option<()> {
        let mut block = first;
        while block != 0 {
            let offset = block.checked_sub(self.base)?;
            let into_blocks = offset.checked_sub(HEADER_BYTES as u64)?;
            if into_blocks % self.block_size != 0 {
                return None;
            }
            let used = self.used.get_mut(usize::try_from(into_blocks / self.block_size).ok()?)?;
            if !std::mem::replace(used, false) {
                return None;
            }
            let link = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk()?;
            block = u64::from_ne_bytes(*link);
        }
        Some(())
    }

    fn block_at(&self, offset: u64) -> Block {
        let Some(into_blocks) = offset.checked_sub(HEADER_BYTES as u64) else { return Block::Header };
        let index = into_blocks / self.block_size;
        let start = self.base + HEADER_BYTES as u64 + index * self.block_size;
        let size = self.block_size.min(self.end - start);
        match usize::try_from(index).ok().and_then(|index| self.used.get(index)) {
            Some(true) => Block::Used { start, size },
            _ => Block::Free { start, size },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x7f00_0010_0000;
    const POOL: usize = 16 << 10;

    /// A pool of 64-byte blocks, four of them carved, with the given free list.
    fn pool(used: u32, free: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; POOL];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &used.to_ne_bytes());
        put(36, &3_u32.to_ne_bytes());
        put(40, &(48 + 4 * 64_u32).to_ne_bytes());
        put(44, &(16_384 - 64_u32).to_ne_bytes());
        let mut link = 8;
        for block in free {
            put(link, &(BASE + 48 + 64 * block).to_ne_bytes());
            link = usize::try_from(48 + 64 * block).unwrap();
        }
        bytes
    }

    fn block(bytes: &[u8], offset: u64) -> Option<Block> {
        let memory = |address: u64, buffer: &mut [u8]| {
            let start = usize::try_from(address - BASE).unwrap();
            bytes.get(start..start + buffer.len()).map(|from| buffer.copy_from_slice(from)).is_some()
        };
        Pools::new((3, 12)).block_of(&memory, BASE + offset)
    }

    #[test]
    fn blocks_are_used_until_they_are_given_back() {
        let bytes = pool(2, &[3, 1]);
        let used = |start| Some(Block::Used { start: BASE + start, size: 64 });
        let free = |start| Some(Block::Free { start: BASE + start, size: 64 });
        assert_eq!(block(&bytes, 47), Some(Block::Header));
        assert_eq!(block(&bytes, 48), used(48));
        assert_eq!(block(&bytes, 48 + 64 + 5), free(48 + 64));
        assert_eq!(block(&bytes, 48 + 3 * 64 - 1), used(48 + 2 * 64));
        assert_eq!(block(&bytes, 48 + 3 * 64), free(48 + 3 * 64));
        assert_eq!(block(&bytes, 48 + 4 * 64), free(48 + 4 * 64), "never handed out");
        let rest = 48 + 255 * 64;
        assert_eq!(
            block(&bytes, rest + 3),
            Some(Block::Free { start: BASE + rest, size: 16_384 - rest }),
            "behind the last block"
        );
    }

    #[test]
    fn a_free_list_that_is_wrong_makes_no_pool() {
        assert!(block(&pool(4, &[]), 48).is_some());
        assert_eq!(block(&pool(3, &[]), 48), None, "one block is neither used nor free");
        assert_eq!(block(&pool(2, &[1]), 48), None, "one block is both");
        assert_eq!(block(&pool(3, &[4]), 48), None, "a free block that was never carved");
        assert_eq!(block(&pool(2, &[1, 2, 1]), 48), None, "a cycle");
        assert_eq!(block(&vec![0; POOL], 48), None);
        assert_eq!(block(&[], 48), None);
    }
}
