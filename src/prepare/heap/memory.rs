//! Memory of a preparation: mapped for it, and given back with it.

use super::system;

/// Bytes that are mapped at once, at least.
const BLOCK: usize = 1 << 20;
/// Blocks grow with what is in use, so that these are enough for any heap.
const MOST_BLOCKS: usize = 128;

/// Hands out pieces, all zero, that stay until all go together.
pub struct Memory {
    blocks: [(usize, usize); MOST_BLOCKS],
    count: usize,
    bytes: usize,
    next: usize,
    end: usize,
}

impl Memory {
    pub const fn new() -> Self {
        Self { blocks: [(0, 0); MOST_BLOCKS], count: 0, bytes: 0, next: 0, end: 0 }
    }

    /// Part of a block.
    pub fn piece(&mut self, bytes: usize) -> Option<*mut u8> {
        let bytes = bytes.next_multiple_of(64);
        if bytes > self.end - self.next {
            let block = BLOCK.max(bytes).max((self.bytes / 8).next_multiple_of(system::PAGE));
            self.next = self.mapping(block)? as usize;
            self.end = self.next + block;
        }
        let at = self.next;
        self.next += bytes;
        Some(at as *mut u8)
    }

    /// A mapping of its own, of which what is never touched takes no room.
    pub fn mapping(&mut self, bytes: usize) -> Option<*mut u8> {
        let bytes = bytes.next_multiple_of(system::PAGE);
        let block = self.blocks.get_mut(self.count)?;
        let at = system::map(bytes)?;
        *block = (at as usize, bytes);
        self.count += 1;
        self.bytes += bytes;
        Some(at)
    }

    /// Bytes that were touched.
    pub fn touched(&self) -> u64 {
        let pages =
            self.blocks.iter().take(self.count).map(|&(at, bytes)| system::present(at as *mut u8, bytes));
        (pages.sum::<usize>() * system::PAGE) as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for &(at, bytes) in self.blocks.iter().take(self.count) {
            // SAFETY: mapped by `mapping`; pieces live no longer than this.
            unsafe { system::unmap(at as *mut u8, bytes) };
        }
    }
}
