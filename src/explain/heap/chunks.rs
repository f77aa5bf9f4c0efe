//! Which chunks of `[heap]` were free (`malloc/malloc.c`, `struct malloc_chunk`): what a worker puts
//! there first is its own, and the page broke because malloc took it.
//!
//! A chunk is the size of the chunk before it, where that is free, its own size with flags, and its
//! contents; chunks follow each other up to the top. What the caches of threads hold counts as used.

use crate::cpython::memory::Memory;
use crate::family::Vma;
use std::ops::Range;

/// Bytes of the two sizes in front of the contents.
const HEADER: u64 = 16;
/// `MINSIZE`.
const LEAST_CHUNK: u64 = 32;
/// Sizes are multiples of so many bytes.
const ALIGNMENT: u64 = 16;
/// The flags in a size: the chunk before is used; another's memory (two flags).
const PREVIOUS_USED: u64 = 1;
const FOREIGN: u64 = 6;
/// Bytes that are read at once.
const WINDOW: u64 = 64 << 10;

/// The contents of free chunks, ascending.
pub(super) struct FreeChunks(Vec<Range<u64>>);

impl FreeChunks {
    /// Follows the chunks from the beginning of `[heap]`. They are believed only if they lead exactly
    /// to its end, and if each free one is said to be so twice.
    pub fn of_heap(memory: &dyn Memory, heap: &Vma) -> Self {
        let (start, end) = (heap.start.address(), heap.end.address());
        let mut sizes = Sizes { memory, limit: end, bytes: Vec::new(), start: 0, end: 0 };
        Self(follow(&mut sizes, start, end).unwrap_or_default())
    }

    /// Bytes from the beginning of a free chunk's contents to an address in it.
    pub fn offset(&self, address: u64) -> Option<u64> {
        let after = self.0.partition_point(|chunk| chunk.start <= address);
        let chunk = self.0[..after].last().filter(|chunk| address < chunk.end)?;
        Some(address - chunk.start)
    }
}

fn follow(sizes: &mut Sizes, start: u64, end: u64) -> Option<Vec<Range<u64>>> {
    let mut free = Vec::new();
    let mut chunk = start;
    let (_, mut word) = sizes.at(chunk)?;
    loop {
        let size = word & !7;
        let behind = chunk.checked_add(size)?;
        let plausible = size >= LEAST_CHUNK && size.is_multiple_of(ALIGNMENT) && word & FOREIGN == 0;
        if !plausible || behind > end {
            return None;
        }
        if behind == end {
            free.push(chunk + HEADER..end);
            return Some(free);
        }
        let (previous, next) = sizes.at(behind)?;
        if next & PREVIOUS_USED == 0 {
            (previous == size).then_some(())?;
            free.push(chunk + HEADER..behind);
        }
        (chunk, word) = (behind, next);
    }
}

/// Reads the two sizes of chunks, of which many stand close together.
struct Sizes<'a> {
    memory: &'a dyn Memory,
    /// Nothing is read from here on.
    limit: u64,
    bytes: Vec<u8>,
    start: u64,
    end: u64,
}

impl Sizes<'_> {
    fn at(&mut self, chunk: u64) -> Option<(u64, u64)> {
        if chunk < self.start || chunk + HEADER > self.end {
            let length = self.limit.checked_sub(chunk)?.min(WINDOW);
            self.bytes = self.memory.bytes(chunk, usize::try_from(length).ok()?)?;
            (self.start, self.end) = (chunk, chunk + length);
        }
        let at = usize::try_from(chunk - self.start).ok()?;
        let words = self.bytes.get(at..)?.first_chunk::<16>()?.as_chunks::<8>().0;
        Some((u64::from_le_bytes(*words.first()?), u64::from_le_bytes(*words.get(1)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::VmaFlags;
    use crate::units::Vpn;

    const START: u64 = 0x5500_0000_0000;

    /// The free bytes of a heap of four pages, with these words at these offsets.
    fn free(words: &[(u64, u64)]) -> Vec<Range<u64>> {
        let flags = VmaFlags { read: true, write: true, execute: false, private: true };
        let start = Vpn::of_address(START);
        let heap = Vma { start, end: Vpn(start.0 + 4), flags, offset: 0, inode: 0, name: "[heap]".into() };
        let mut bytes = vec![0; 4 * 4096];
        for (offset, word) in words {
            let at = usize::try_from(*offset).unwrap();
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        let memory = |address: u64, buffer: &mut [u8]| {
            let at = usize::try_from(address - START).unwrap();
            bytes.get(at..at + buffer.len()).map(|bytes| buffer.copy_from_slice(bytes)).is_some()
        };
        let chunks = FreeChunks::of_heap(&memory, &heap).0;
        chunks.into_iter().map(|chunk| chunk.start - START..chunk.end - START).collect()
    }

    /// Used, free (its size again behind it), used, top.
    const CHUNKS: [(u64, u64); 5] =
        [(8, 0x1001), (0x1008, 0x801), (0x1800, 0x800), (0x1808, 0x100), (0x1908, 0x2701)];

    #[test]
    fn what_is_free_is_said_twice_and_the_top_is_free() {
        assert_eq!(free(&CHUNKS), [0x1010..0x1800, 0x1910..0x4000]);
    }

    #[test]
    fn chunks_that_do_not_lead_to_the_end_are_not_believed() {
        for (place, word) in [(4, 0x26f1), (4, 0x2711), (3, 0x102), (2, 0x7f0), (1, 0x808), (0, 0x11)] {
            let mut chunks = CHUNKS;
            chunks[place].1 = word;
            assert_eq!(free(&chunks), [], "{word:#x}");
        }
    }
}
