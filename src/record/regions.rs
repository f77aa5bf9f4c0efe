//! Puts names on the zygote's memory: the runtime's own, then `CPython`'s arenas, then ELF sections.

use crate::cpython::pymalloc;
use crate::family::{Diff, Inherited, Process, Region};
use crate::kernel::remote::SharedMemory;
use crate::observe::sections::sections;
use crate::units::Vpn;
use std::collections::BTreeMap;

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

/// Inherited pages in each region of the runtime, those without any too.
pub fn inherited_pages(inherited: &Inherited, runtime: &[Region]) -> BTreeMap<String, u64> {
    let mut pages: BTreeMap<String, u64> = runtime.iter().map(|region| (region.name.clone(), 0)).collect();
    for (run, &region) in inherited.table.runs.iter().zip(&inherited.region_of_run) {
        if let Some(count) = pages.get_mut(&inherited.regions[region as usize]) {
            *count += run.len as u64;
        }
    }
    pages
}

/// Pages made after the fork in each region of the runtime, all workers together.
pub fn fresh_pages(diffs: &[Diff], runtime: &[Region]) -> BTreeMap<String, u64> {
    let mut pages = BTreeMap::new();
    for fresh in diffs.iter().flat_map(|diff| &diff.fresh) {
        for region in runtime {
            let (first, end) = (Vpn::of_address(region.start), Vpn::of_address(region.end));
            let common = fresh.end.min(end).0.saturating_sub(fresh.start.max(first).0);
            if common > 0 {
                *pages.entry(region.name.clone()).or_default() += common;
            }
        }
    }
    pages
}

fn sorted(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|region| region.start);
    regions
}

fn overlaps(sorted: &[Region], region: &Region) -> bool {
    let before_its_end = sorted.partition_point(|known| known.start < region.end);
    sorted[..before_its_end].last().is_some_and(|known| region.start < known.end)
}
