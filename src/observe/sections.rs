//! Names file-backed private memory by ELF section: `libpython3.12.so .data`.

use super::elf::{ElfFile, Section};
use crate::family::{Process, Region, Vma};
use crate::units::PAGE_SIZE;
use std::collections::HashMap;

/// Regions for the writable memory of every library and program of a process.
///
/// Covers the mapped file and the anonymous tail behind it (`.bss`). A page that two sections share
/// goes to the one that holds its first byte. Files that cannot be read or are not ELF keep their
/// area's name.
pub fn sections(process: &Process) -> Vec<Region> {
    let mut files: HashMap<&str, Option<ElfFile>> = HashMap::new();
    let mut regions = Vec::new();
    for group in libraries(&process.vmas) {
        let first = &group[0];
        let file = files.entry(&first.name).or_insert_with(|| ElfFile::open_mapped(&first.name, first.inode));
        let Some((elf, bias)) = file.as_ref().and_then(|elf| Some((elf, load_bias(elf, first)?))) else {
            continue;
        };
        let name = first.name.rsplit('/').next().unwrap_or_default();
        for vma in group.iter().filter(|vma| vma.flags.write) {
            let writable = elf.sections().iter().filter(|section| section.writable);
            regions.extend(writable.filter_map(|section| region(section, name, bias, vma)));
        }
    }
    regions.sort_by_key(|region| region.start);
    disjoint(regions)
}

/// Areas of one private file that stand together, with the anonymous area that follows them: a
/// library or a program with its `.bss`.
pub fn libraries(vmas: &[Vma]) -> impl Iterator<Item = &[Vma]> {
    vmas.chunk_by(|before, after| {
        let same_file = before.inode == after.inode && before.name == after.name;
        let tail = before.is_file() && !after.is_file() && after.name.is_empty() && before.end == after.start;
        same_file && before.is_file() || tail
    })
    .filter(|group| group[0].is_file() && group[0].flags.private)
}

/// What to add to an address as the file counts it, modulo 2^64, where `first` is the area of the
/// file's lowest address.
pub fn load_bias(elf: &ElfFile, first: &Vma) -> Option<u64> {
    Some(first.start.address().wrapping_sub(elf.address_of_offset(first.offset)?))
}

fn region(section: &Section, file: &str, bias: u64, vma: &Vma) -> Option<Region> {
    let start = section.start.wrapping_add(bias).max(vma.start.address());
    let end = section.end.wrapping_add(bias).min(vma.end.address());
    (start < end).then(|| Region { start, end, name: format!("{file} {}", section.name) })
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
