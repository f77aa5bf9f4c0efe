//! Names file-backed private memory by ELF section: `libpython3.12.so .data`.

use crate::family::{Process, Region, Vma};
use crate::units::PAGE_SIZE;
use goblin::elf::Elf;
use std::collections::HashMap;
use std::fs;

/// A writable section of a library: name, first and last address relative to the load address.
type Section = (String, u64, u64);

/// Regions for the writable memory of every library and program of a process.
///
/// Covers the mapped file and the anonymous tail behind it (`.bss`). A page that two sections share
/// goes to the one that holds its first byte. Files that cannot be read or are not ELF keep their
/// area's name.
pub fn sections(process: &Process) -> Vec<Region> {
    let mut cache: HashMap<&str, Vec<Section>> = HashMap::new();
    let mut regions = Vec::new();
    for (first, group) in libraries(&process.vmas) {
        let sections =
            cache.entry(&first.name).or_insert_with(|| writable_sections(&first.name).unwrap_or_default());
        let base = first.start.address() - first.offset;
        let file = first.name.rsplit('/').next().unwrap_or_default();
        for vma in group.iter().filter(|vma| vma.flags.write) {
            regions.extend(sections.iter().filter_map(|section| region(section, file, base, vma)));
        }
    }
    regions.sort_by_key(|region| region.start);
    disjoint(regions)
}

/// Areas of one file that stand together, with the anonymous area that follows them.
fn libraries(vmas: &[Vma]) -> impl Iterator<Item = (&Vma, &[Vma])> {
    vmas.chunk_by(|before, after| {
        let same_file = before.inode == after.inode && before.name == after.name;
        let tail = before.is_file() && !after.is_file() && after.name.is_empty() && before.end == after.start;
        same_file && before.is_file() || tail
    })
    .filter(|group| group[0].is_file() && group[0].flags.private)
    .map(|group| (&group[0], group))
}

/// The allocated, writable sections of an ELF file (relative to its first load address).
fn writable_sections(path: &str) -> Option<Vec<Section>> {
    let bytes = fs::read(path).ok()?;
    let elf = Elf::parse(&bytes).ok()?;
    let load =
        elf.program_headers.iter().find(|header| header.p_type == goblin::elf::program_header::PT_LOAD)?;
    let base = load.p_vaddr - load.p_offset;
    let sections = elf.section_headers.iter().filter(|section| section.is_alloc() && section.is_writable());
    Some(
        sections
            .filter_map(|section| {
                let name = elf.shdr_strtab.get_at(section.sh_name)?.to_owned();
                let start = section.sh_addr.checked_sub(base)?;
                Some((name, start, start.checked_add(section.sh_size)?))
            })
            .collect(),
    )
}

fn region((section, start, end): &Section, file: &str, base: u64, vma: &Vma) -> Option<Region> {
    let start = (base + start).max(vma.start.address());
    let end = (base + end).min(vma.end.address());
    (start < end).then(|| Region { start, end, name: format!("{file} {section}") })
}

/// Rounds regions to whole pages, so that each page has one name, and drops what that empties.
fn disjoint(regions: Vec<Region>) -> Vec<Region> {
    let mut rounded: Vec<Region> = Vec::new();
    for region in regions {
        let mut start = region.start - region.start % PAGE_SIZE;
        if let Some(last) = rounded.last() {
            start = start.max(last.end);
        }
        let end = region.end.next_multiple_of(PAGE_SIZE);
        if start < end {
            rounded.push(Region { start, end, name: region.name });
        }
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{ProcRoot, read_process};

    #[test]
    fn names_the_data_of_our_own_program() {
        static mut COUNTER: u64 = 7;
        let address = &raw const COUNTER as u64;
        let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
        let regions = sections(&own);
        assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start), "disjoint");
        let name = regions.iter().find(|r| r.start <= address && address < r.end).map(|r| r.name.as_str());
        assert!(
            name.is_some_and(|name| name.contains(".data") || name.contains(".bss") || name.contains(".got")),
            "{name:?}"
        );
    }
}
