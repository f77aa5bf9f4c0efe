//! A process with every page of its copy-on-write memory.

use super::maps::read_identity;
use super::parallel::in_parallel;
use super::rollup::read_rollup;
use super::root::{ProcRoot, unreadable};
use crate::error::{Error, Result};
use crate::family::{PageEntry, PageRanges, PageTable, Process, Run, Vma};
use crate::kernel::Caps;
use crate::kernel::pagemap::Pagemap;
use crate::kernel::scan::{Category, scan, scan_populated};
use crate::units::Vpn;
use std::ops::Range;
use std::os::fd::AsFd;

/// Areas above this many pages may be mostly reserved: only their populated parts are read.
const SPARSE_PAGES: u64 = (64 << 20) / crate::units::PAGE_SIZE;

/// One past the last page of user space (47 bits, x86-64 four-level page tables).
const USER_END: Vpn = Vpn(0x7fff_ffff_f000 / crate::units::PAGE_SIZE);

/// Reads a process with its pages: eight bytes a page, one bulk read an area.
///
/// Mappings of the shared page of zeros are left out: reading them costs nobody anything.
pub fn read_process(root: &ProcRoot, pid: u32) -> Result<Process> {
    let mut process = read_identity(root, pid)?;
    let pagemap = Pagemap::open(root.path(), pid)?;
    process.pages = read_pages(&pagemap, &process.vmas)?;
    drop_markers(root, &mut process)?;
    ensure_same_process(root, &process)?;
    Ok(process)
}

/// Reads several processes, in order, on all processors.
pub fn read_processes(root: &ProcRoot, pids: &[u32]) -> Vec<Result<Process>> {
    in_parallel(pids, |&pid| read_process(root, pid))
}

/// A pid may be given to another process between two reads; its start time tells.
fn ensure_same_process(root: &ProcRoot, process: &Process) -> Result<()> {
    let stat = root.process(process.pid)?.stat().map_err(|error| unreadable(root, process.pid, &error))?;
    if stat.starttime == process.start_time {
        return Ok(());
    }
    Err(Error::new("a process ended while it was read")
        .pid(process.pid)
        .why("its pid belongs to a newer process"))
}

fn read_pages(pagemap: &Pagemap, vmas: &[Vma]) -> Result<PageTable> {
    let mut table = PageTable::default();
    let mut zeros = PageRanges::new();
    let mut pages = 0;
    for (index, vma) in vmas.iter().enumerate().filter(|(_, vma)| vma.copy_on_write()) {
        for range in worth_reading(pagemap, vma, &mut zeros)? {
            let len = usize::try_from(range.end.0 - range.start.0).unwrap_or(0);
            table.runs.push(Run { first: range.start, len, offset: pages, vma: index });
            pages += len;
        }
    }
    table.entries.reserve_exact(pages);
    for run in &table.runs {
        pagemap.read_into(run.first, run.len, &mut table.entries)?;
    }
    for range in zeros {
        clear(&mut table, &range);
    }
    Ok(table)
}

/// The ranges of an area worth reading: all of it, or its populated parts when it is large. Those
/// that map the page of zeros go to `zeros`.
fn worth_reading(pagemap: &Pagemap, vma: &Vma, zeros: &mut PageRanges) -> Result<PageRanges> {
    let whole = vma.start..vma.end;
    if Caps::get().pagemap_scan.is_err() {
        return Ok(vec![whole]);
    }
    if vma.pages() <= SPARSE_PAGES {
        scan(pagemap.as_fd(), &whole, Category::ZERO, zeros)?;
        return Ok(vec![whole]);
    }
    let mut ranges = PageRanges::new();
    scan_populated(pagemap.as_fd(), &whole, &mut ranges, zeros)?;
    Ok(join_close(ranges))
}

/// Joins ranges with small gaps, so that a checkerboard does not become a million runs.
fn join_close(ranges: PageRanges) -> PageRanges {
    const GAP: u64 = 512;
    let mut joined = PageRanges::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start.0 - last.end.0 <= GAP => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// Empties the entries of markers, which no memory stands behind.
///
/// Where swap slots are hidden, the kernel's total tells whether any page is swapped at all; if so,
/// what could be a marker is taken for a swapped page.
fn drop_markers(root: &ProcRoot, process: &mut Process) -> Result<()> {
    if !process.pages.entries.iter().fold(false, |any, entry| any | entry.swapped()) {
        return Ok(());
    }
    let unclear = process.pages.entries.iter().any(|entry| entry.marker().is_none());
    let nothing_swapped = unclear && read_rollup(root, process.pid)?.swap == 0;
    let is_marker = |entry: &&mut PageEntry| entry.marker().unwrap_or(nothing_swapped);
    process.pages.entries.iter_mut().filter(is_marker).for_each(|entry| *entry = PageEntry::default());
    Ok(())
}

/// Empties the entries of a range.
fn clear(table: &mut PageTable, range: &Range<Vpn>) {
    let first = table.runs.partition_point(|run| run.end() <= range.start);
    for run in table.runs[first..].iter().take_while(|run| run.first < range.end) {
        let from = run.first.max(range.start).0 - run.first.0;
        let to = run.end().min(range.end).0 - run.first.0;
        let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
        table.entries[run.offset + from..run.offset + to].fill(PageEntry::default());
    }
}

/// The pages of `ranges` that a process maps by huge entries.
pub fn huge_pages(root: &ProcRoot, pid: u32) -> Result<PageRanges> {
    let mut huge = PageRanges::new();
    if Caps::get().pagemap_scan.is_ok() {
        scan(Pagemap::open(root.path(), pid)?.as_fd(), &(Vpn(0)..USER_END), Category::HUGE, &mut huge)?;
    }
    Ok(huge)
}

/// The pages of `ranges` that a process wrote since it began to track its writes.
pub fn written_pages(root: &ProcRoot, pid: u32, ranges: &[Range<Vpn>]) -> Result<PageRanges> {
    let pagemap = Pagemap::open(root.path(), pid)?;
    let mut written = PageRanges::new();
    for range in ranges {
        scan(pagemap.as_fd(), range, Category::WRITTEN, &mut written)?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_our_own_pages() {
        let memory = vec![1_u8; 100 * 4096];
        let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
        let first = Vpn::of_address(memory.as_ptr() as u64).0 + 1;
        assert!((first..first + 99).all(|page| own.pages.get(Vpn(page)).private()));
        assert_eq!(memory[0], 1);
        assert!(own.private_bytes() <= own.rss_bytes + (64 << 10));
    }

    #[test]
    fn pages_of_zeros_are_nobodys() {
        let memory: Vec<u8> = vec![0; 64 << 20];
        let sum: u64 = memory.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
        let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
        let page = Vpn::of_address(memory.as_ptr() as u64 + (8 << 20));
        assert_eq!((sum, own.pages.get(page).private()), (0, Caps::get().pagemap_scan.is_err()));
    }

    #[test]
    fn several_processes_come_back_in_order() {
        let own = std::process::id();
        let read = read_processes(&ProcRoot::system(), &[own, u32::MAX, own]);
        assert!(read[0].is_ok() && read[1].is_err() && read[2].is_ok());
    }

    #[test]
    fn clearing_reaches_over_runs() {
        let runs = vec![
            Run { first: Vpn(10), len: 4, offset: 0, vma: 0 },
            Run { first: Vpn(14), len: 4, offset: 4, vma: 1 },
        ];
        let mut table = PageTable { runs, entries: vec![PageEntry(1); 8] };
        clear(&mut table, &(Vpn(12)..Vpn(15)));
        let left: Vec<_> = table.iter().filter(|(_, entry)| entry.0 == 1).map(|(page, _)| page.0).collect();
        assert_eq!(left, [10, 11, 15, 16, 17]);
    }
}
