//! Recognises the arenas of pymalloc, `CPython`'s allocator for objects of up to 512 bytes, from outside.
//!
//! The tables that list the arenas are local symbols, gone from stripped builds. But each arena is
//! cut into pools, and every pool in use begins with a header whose fields depend on each other so
//! strictly (`Objects/obmalloc.c`, `struct pool_header`) that other memory hardly ever passes for one.

use crate::family::Process;
use crate::family::Region;
use crate::units::{PAGE_SIZE, Vpn};
use std::collections::BTreeMap;

/// The name of the regions found.
pub const REGION_NAME: &str = "pymalloc arena";

/// Bytes of `struct pool_header`, rounded up to the alignment of blocks.
pub(super) const HEADER_BYTES: usize = 48;
/// Blocks are multiples of so many bytes.
const ALIGNMENT: u32 = 16;
/// Size classes: blocks of 16, 32, … 512 bytes.
const SIZE_CLASSES: u32 = 32;
/// One past the last address of user space.
const USER_END: u64 = 1 << 47;

/// How a version cuts its arenas, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub arena: u64,
    pub pool: u64,
}

impl Layout {
    /// Larger arenas and pools came with the radix tree of 3.10.
    pub const fn of_version((major, minor): (u8, u8)) -> Self {
        if major == 3 && minor < 10 {
            Self { arena: 256 << 10, pool: 4 << 10 }
        } else {
            Self { arena: 1 << 20, pool: 16 << 10 }
        }
    }
}

/// Finds the arenas of a process that runs the given `CPython` version, as sorted, disjoint regions.
///
/// `read` fills a buffer with the process's bytes at an address and returns whether it could. It is
/// asked for the 48 header bytes of each pool-aligned page in memory. A region ends with the last
/// pool that was ever used: behind it, arenas have no pages yet.
///
/// Programs without pymalloc (`PYTHONMALLOC=malloc`, free-threaded builds) have no regions.
pub fn arenas(process: &Process, version: (u8, u8), read: impl Fn(u64, &mut [u8]) -> bool) -> Vec<Region> {
    let layout = Layout::of_version(version);
    let mut by_arena: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for address in candidates(process, layout) {
        let mut bytes = [0; HEADER_BYTES];
        if read(address, &mut bytes)
            && let Some(arena_index) = PoolHeader::parse(&bytes).arena_of_valid_pool(address, layout)
        {
            by_arena.entry(arena_index).or_default().push(address);
        }
    }
    let mut extents: Vec<_> = by_arena.values().flat_map(|pools| extents_of_arena(pools, layout)).collect();
    extents.sort_unstable();
    merge(&extents)
}

/// Addresses at which a pool may begin: aligned, in memory, private, anonymous and not named by others.
fn candidates(process: &Process, layout: Layout) -> impl Iterator<Item = u64> + '_ {
    let pages_in_pool = layout.pool / PAGE_SIZE;
    let may_hold_arenas = |index: usize| {
        process.vmas.get(index).is_some_and(|vma| {
            let unnamed = vma.name.is_empty() || vma.name.starts_with("[anon:cpython:pymalloc");
            unnamed && !vma.is_file() && vma.flags.private && vma.flags.write
        })
    };
    let runs = process.pages.runs.iter().filter(move |run| may_hold_arenas(run.vma));
    runs.flat_map(move |run| {
        let entries = (run.first.0..).zip(process.pages.of_run(run));
        entries.filter(move |(page, entry)| page % pages_in_pool == 0 && entry.present() && entry.private())
    })
    .map(|(page, _)| Vpn(page).address())
}

/// `struct pool_header`, as far as it tells a pool from other memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolHeader {
    pub used_blocks: u32,
    pub free_block: u64,
    next_pool: u64,
    previous_pool: u64,
    arena_index: u32,
    size_index: u32,
    /// Where the blocks begin that were never handed out.
    pub next_offset: u32,
    max_next_offset: u32,
}

impl PoolHeader {
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self {
            used_blocks: half(0),
            free_block: word(8),
            next_pool: word(16),
            previous_pool: word(24),
            arena_index: half(32),
            size_index: half(36),
            next_offset: half(40),
            max_next_offset: half(44),
        }
    }

    /// Bytes of a block.
    pub const fn block_size(&self) -> u32 {
        (self.size_index + 1) * ALIGNMENT
    }

    /// The index of the arena the pool belongs to, if this is the header of a pool at `address`.
    pub fn arena_of_valid_pool(&self, address: u64, layout: Layout) -> Option<u32> {
        if self.size_index >= SIZE_CLASSES {
            return None;
        }
        let size = self.block_size();
        let header = u32::try_from(HEADER_BYTES).ok()?;
        let pool = u32::try_from(layout.pool).ok()?;
        let blocks = (pool - header) / size;
        let carved = self.next_offset.checked_sub(header)?;
        let valid = self.max_next_offset == pool - size
            && self.next_offset <= pool
            && carved.is_multiple_of(size)
            && self.used_blocks <= carved / size
            && carved / size <= blocks
            && self.free_block_fits(address, u64::from(size), u64::from(self.next_offset))
            && is_user_pointer(self.next_pool)
            && is_user_pointer(self.previous_pool);
        valid.then_some(self.arena_index)
    }

    /// The free list begins nowhere, or at a block that was carved out of this pool.
    fn free_block_fits(&self, address: u64, size: u64, next_offset: u64) -> bool {
        let Some(offset) = self.free_block.checked_sub(address) else { return self.free_block == 0 };
        let first = HEADER_BYTES as u64;
        (first..next_offset).contains(&offset) && (offset - first).is_multiple_of(size)
    }
}

/// Null or an aligned address that a program can use.
const fn is_user_pointer(pointer: u64) -> bool {
    pointer < USER_END && pointer.is_multiple_of(8)
}

/// From the first to the last pool of each arena with one index. Interpreters count their arenas
/// separately, so pools too far apart for one arena belong to several.
fn extents_of_arena(pools: &[u64], layout: Layout) -> Vec<(u64, u64)> {
    let mut extents: Vec<(u64, u64)> = Vec::new();
    for &pool in pools {
        let end = pool + layout.pool;
        match extents.last_mut() {
            Some((start, last_end)) if end - *start <= layout.arena => *last_end = end,
            _ => extents.push((pool, end)),
        }
    }
    extents
}

fn merge(extents: &[(u64, u64)]) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for &(start, end) in extents {
        match regions.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => regions.push(Region { start, end, name: REGION_NAME.into() }),
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::page::tests::{anon, file};
    use crate::family::{PageEntry, PageTable, Run, Vma, VmaFlags};

    const BASE: u64 = 0x7f00_0010_0000;

    /// Anonymous memory of some pages at `BASE`, and the headers written into it.
    struct Memory {
        process: Process,
        headers: BTreeMap<u64, [u8; HEADER_BYTES]>,
    }

    impl Memory {
        fn of(entries: Vec<PageEntry>) -> Self {
            let (first, len) = (Vpn::of_address(BASE), entries.len());
            let vma = Vma {
                start: first,
                end: Vpn(first.0 + len as u64),
                flags: VmaFlags { read: true, write: true, execute: false, private: true },
                offset: 0,
                inode: 0,
                name: String::new(),
            };
            let pages = PageTable { runs: vec![Run { first, len, offset: 0, vma: 0 }], entries };
            Self {
                process: Process { vmas: vec![vma], pages, ..Process::default() },
                headers: BTreeMap::new(),
            }
        }

        fn pages(count: usize) -> Self {
            Self::of(vec![anon(1); count])
        }

        /// Writes the header of a pool of 64-byte blocks at an offset from `BASE`.
        fn pool(&mut self, offset: u64, arena_index: u32, change: impl FnOnce(&mut PoolHeader)) {
            let mut header = PoolHeader {
                used_blocks: 3,
                free_block: BASE + offset + 48 + 64,
                next_pool: 0x7f00_dead_bee0,
                previous_pool: 0,
                arena_index,
                size_index: 3,
                next_offset: 48 + 5 * 64,
                max_next_offset: (16 << 10) - 64,
            };
            change(&mut header);
            let mut bytes = [0; HEADER_BYTES];
            let words =
                [u64::from(header.used_blocks), header.free_block, header.next_pool, header.previous_pool];
            let halves = [header.arena_index, header.size_index, header.next_offset, header.max_next_offset];
            let text =
                words.iter().flat_map(|w| w.to_ne_bytes()).chain(halves.iter().flat_map(|h| h.to_ne_bytes()));
            bytes.iter_mut().zip(text).for_each(|(to, from)| *to = from);
            self.headers.insert(BASE + offset, bytes);
        }

        fn arenas(&self, version: (u8, u8)) -> Vec<(u64, u64)> {
            let read = |address: u64, buffer: &mut [u8]| {
                let zeros = [0; HEADER_BYTES];
                buffer.copy_from_slice(self.headers.get(&address).unwrap_or(&zeros));
                true
            };
            let found = arenas(&self.process, version, read);
            assert!(found.iter().all(|region| region.name == REGION_NAME));
            found.iter().map(|region| (region.start - BASE, region.end - BASE)).collect()
        }
    }

    #[test]
    fn pools_of_one_arena_span_the_unused_ones_between_them() {
        let mut memory = Memory::pages(64);
        memory.pool(0x4000, 7, |_| ());
        memory.pool(0x10000, 7, |_| ());
        assert_eq!(memory.arenas((3, 12)), [(0x4000, 0x14000)]);
    }

    #[test]
    fn neighbouring_arenas_become_one_region_and_distant_ones_do_not() {
        let mut memory = Memory::pages(1024);
        memory.pool(0, 0, |_| ());
        memory.pool(0x4000, 1, |_| ());
        memory.pool(0x20_0000, 1, |_| ());
        assert_eq!(memory.arenas((3, 13)), [(0, 0x8000), (0x20_0000, 0x20_4000)]);
    }

    #[test]
    fn old_versions_have_small_pools() {
        let mut memory = Memory::pages(8);
        memory.pool(0x1000, 0, |header| header.max_next_offset = 4096 - 64);
        assert_eq!(memory.arenas((3, 9)), [(0x1000, 0x2000)]);
        assert_eq!(memory.arenas((3, 10)), []);
    }

    #[test]
    fn a_pool_that_was_given_back_still_counts() {
        let mut memory = Memory::pages(8);
        memory.pool(0, 0, |header| header.used_blocks = 0);
        assert_eq!(memory.arenas((3, 11)), [(0, 0x4000)]);
    }

    #[test]
    fn a_header_with_one_wrong_field_is_none() {
        type Change = fn(&mut PoolHeader);
        let wrong: [(&str, Change); 8] = [
            ("size class", |h| h.size_index = 32),
            ("last offset", |h| h.max_next_offset += 16),
            ("offset between blocks", |h| h.next_offset += 16),
            ("offset beyond the pool", |h| h.next_offset = 48 + 256 * 64),
            ("more blocks used than carved", |h| h.used_blocks = 6),
            ("free block between blocks", |h| h.free_block += 8),
            ("free block of another pool", |h| h.free_block += 0x4000),
            ("kernel pointer", |h| h.next_pool = 1 << 63),
        ];
        for (name, change) in wrong {
            let mut memory = Memory::pages(8);
            memory.pool(0, 0, change);
            assert_eq!(memory.arenas((3, 12)), [], "{name}");
        }
    }

    #[test]
    fn only_private_anonymous_memory_is_looked_at() {
        let mut absent = Memory::of(vec![PageEntry(0); 8]);
        absent.pool(0, 0, |_| ());
        assert_eq!(absent.arenas((3, 12)), []);

        let mut of_a_file = Memory::of(vec![file(1); 8]);
        of_a_file.pool(0, 0, |_| ());
        assert_eq!(of_a_file.arenas((3, 12)), []);

        let mut heap = Memory::pages(8);
        heap.pool(0, 0, |_| ());
        heap.process.vmas[0].name = "[heap]".into();
        assert_eq!(heap.arenas((3, 12)), []);
    }

    #[test]
    fn memory_that_cannot_be_read_holds_nothing() {
        let memory = Memory::pages(8);
        assert!(arenas(&memory.process, (3, 12), |_, _| false).is_empty());
    }
}
