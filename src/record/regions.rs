//! Puts names on the zygote's memory: the runtime's own, then `CPython`'s arenas, then ELF sections.

use crate::cpython::pymalloc;
use crate::family::{Process, Region};
use crate::kernel::remote::SharedMemory;
use crate::observe::sections::sections;

/// Disjoint, sorted regions. Where two sources overlap the better informed one wins: the runtime,
/// then the allocator, then the linker.
pub fn name_regions(process: &Process, runtime: Vec<Region>, python: Option<(u8, u8)>) -> Vec<Region> {
    let memory = SharedMemory::open(process.pid).ok();
    let read = |address, buffer: &mut [u8]| {
        memory.as_ref().is_some_and(|memory| memory.read_bytes(address, buffer).is_ok())
    };
    let arenas = python.map(|version| pymalloc::arenas(process, version, read)).unwrap_or_default();
    let mut named = sorted(runtime);
    for source in [arenas, sections(process)] {
        let known = named.clone();
        named.extend(source.into_iter().filter(|region| !overlaps(&known, region)));
        named = sorted(named);
    }
    named
}

fn sorted(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|region| region.start);
    regions
}

fn overlaps(sorted: &[Region], region: &Region) -> bool {
    let before_its_end = sorted.partition_point(|known| known.start < region.end);
    sorted[..before_its_end].last().is_some_and(|known| region.start < known.end)
}
