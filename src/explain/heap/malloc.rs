//! Memory of glibc's malloc outside of `[heap]`: the heaps of its arenas, and chunks with a mapping of
//! their own (`malloc/arena.c`, `malloc/malloc.c`).

use crate::cpython::memory::Memory;
use crate::family::Vma;
use crate::units::PAGE_SIZE;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// `HEAP_MAX_SIZE`: heaps of arenas begin at its multiples.
const HEAP_BYTES: u64 = 64 << 20;
/// `sizeof(heap_info)` is not larger; behind it stands, in the first heap of an arena, the arena.
const HEAP_INFO_BYTES: u64 = 256;
/// `IS_MMAPPED`, the flag of a chunk with a mapping of its own; all flags are the lowest three bits.
const MAPPED: u64 = 2;
/// So many pages are looked at for the beginning of a chunk: arrays of 1 GiB.
const MAX_PAGES: u64 = 1 << 18;

/// What was found so far.
#[derive(Default)]
pub(super) struct Malloc {
    /// End of the heap at a multiple of [`HEAP_BYTES`], if there is one.
    heaps: HashMap<u64, Option<u64>>,
    /// Disjoint stretches of pages, by their first byte.
    stretches: BTreeMap<u64, Stretch>,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    end: u64,
    /// A chunk; else no chunk is here.
    chunk: bool,
}

impl Malloc {
    /// Whether an address is in the heap of an arena.
    pub fn in_heap(&mut self, memory: &dyn Memory, address: u64) -> bool {
        let base = address - address % HEAP_BYTES;
        let end = self.heaps.entry(base).or_insert_with(|| heap_end(memory, base));
        end.is_some_and(|end| address < end)
    }

    /// The chunk with a mapping of its own at an address in an anonymous area. `in_pool` says which
    /// pages are pymalloc's: no chunk reaches over one of them.
    pub fn mapped_chunk(
        &mut self,
        memory: &dyn Memory,
        area: &Vma,
        address: u64,
        in_pool: &mut dyn FnMut(u64) -> bool,
    ) -> Option<Range<u64>> {
        let last = address - address % PAGE_SIZE;
        let lowest = area.start.address().max(last.saturating_sub(MAX_PAGES * PAGE_SIZE));
        let mut page = last;
        let empty_from = loop {
            if let Some((start, known)) = self.stretch_at(page) {
                if page == last {
                    return known.chunk.then_some(start..known.end);
                }
                break known.end;
            }
            if let Some(end) = mapped_chunk_end(memory, area, page) {
                self.stretches.insert(page, Stretch { end, chunk: true });
                if address < end {
                    return Some(page..end);
                }
                break end;
            }
            if page <= lowest || in_pool(page) {
                break page;
            }
            page -= PAGE_SIZE;
        };
        self.stretches.insert(empty_from, Stretch { end: last + PAGE_SIZE, chunk: false });
        None
    }

    fn stretch_at(&self, page: u64) -> Option<(u64, Stretch)> {
        let (start, stretch) = self.stretches.range(..=page).next_back()?;
        (page < stretch.end).then_some((*start, *stretch))
    }
}

/// The end of the heap (`heap_info`: its arena, the heap before it, its size, its size with access).
fn heap_end(memory: &dyn Memory, base: u64) -> Option<u64> {
    let (arena, size, open) = (memory.word(base)?, memory.word(base + 16)?, memory.word(base + 24)?);
    let into_first_heap = arena % HEAP_BYTES;
    let sizes_fit = size.is_multiple_of(PAGE_SIZE) && 0 < size && size <= open && open <= HEAP_BYTES;
    let first_heap = arena - into_first_heap;
    let arena_fits = (32..HEAP_INFO_BYTES).contains(&into_first_heap) && memory.word(first_heap)? == arena;
    (sizes_fit && arena_fits).then(|| base.saturating_add(size))
}

/// The end of the chunk that begins with a page: a word that is zero, its size, its contents.
fn mapped_chunk_end(memory: &dyn Memory, area: &Vma, page: u64) -> Option<u64> {
    let size = memory.word(page + 8).filter(|word| word & 7 == MAPPED)? - MAPPED;
    let end = page.checked_add(size).filter(|end| *end <= area.end.address())?;
    (size > 0 && size.is_multiple_of(PAGE_SIZE) && memory.word(page)? == 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::VmaFlags;
    use crate::units::Vpn;
    use std::cell::Cell;

    const START: u64 = 0x7f00_0000_0000;

    fn area(pages: u64) -> Vma {
        let flags = VmaFlags { read: true, write: true, execute: false, private: true };
        let start = Vpn::of_address(START);
        Vma { start, end: Vpn(start.0 + pages), flags, offset: 0, inode: 0, name: String::new() }
    }

    /// Zeroes, but for these words.
    fn words<'a>(words: &'a [(u64, u64)], reads: &'a Cell<usize>) -> impl Fn(u64, &mut [u8]) -> bool + 'a {
        move |address, buffer| {
            reads.set(reads.get() + 1);
            let word = words.iter().find(|word| word.0 == address).map_or(0, |word| word.1);
            buffer.copy_from_slice(&word.to_le_bytes());
            true
        }
    }

    #[test]
    fn a_chunk_is_found_from_its_end_once() {
        let reads = Cell::new(0);
        let header = [(START + 4096 + 8, (1000 * 4096) | MAPPED)];
        let memory = words(&header, &reads);
        let (mut malloc, area) = (Malloc::default(), area(2000));
        let chunk = START + 4096..START + 1001 * 4096;
        let mut owns = |page: u64| {
            let found = malloc.mapped_chunk(&memory, &area, START + page * 4096 + 100, &mut |_| false);
            assert!(found.is_none() || found == Some(chunk.clone()));
            found.is_some()
        };
        assert!(owns(1000));
        let first = reads.replace(0);
        assert!(owns(1) && owns(500) && !owns(0) && !owns(1001) && !owns(1999));
        assert!(!owns(1500), "looked at already");
        assert!(first > 1000 && reads.get() < 2 * first, "{first} and {} reads", reads.get());
    }

    #[test]
    fn no_chunk_reaches_over_a_pool_or_beyond_its_area() {
        let reads = Cell::new(0);
        let header = [(START + 8, (10 * 4096) | MAPPED)];
        let memory = words(&header, &reads);
        let owns = |area: &Vma, pool: u64| {
            let mut in_pool = |page| page == START + pool * 4096;
            Malloc::default().mapped_chunk(&memory, area, START + 5 * 4096, &mut in_pool).is_some()
        };
        assert!(owns(&area(10), 8));
        assert!(!owns(&area(10), 3));
        assert!(!owns(&area(9), 8));
    }

    #[test]
    fn the_heaps_of_an_arena_lead_to_it() {
        let reads = Cell::new(0);
        let second = START + HEAP_BYTES;
        let heap = |base, size| [(base, START + 48), (base + 16, size), (base + 24, size + 4096)];
        let words_of_both: Vec<_> = [heap(START, 8192), heap(second, 4096)].concat();
        let memory = words(&words_of_both, &reads);
        let mut malloc = Malloc::default();
        let mut owns = |address| malloc.in_heap(&memory, address);
        assert!(owns(START + 8191) && owns(second + 16) && owns(second + 4095));
        assert!(!owns(START + 8192) && !owns(second + 4096) && !owns(second + HEAP_BYTES));
    }
}
