//! The pages of one process at one moment.

use super::page::PageEntry;
use super::vma::Vma;
use crate::units::{PAGE_SIZE, Vpn};

/// Consecutive pages of one VMA, with their entries in [`PageTable::entries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First page.
    pub first: Vpn,
    /// Number of pages.
    pub len: usize,
    /// Index of the first page's entry.
    pub offset: usize,
    /// Index of the VMA in [`Process::vmas`].
    pub vma: usize,
}

impl Run {
    /// One past the last page.
    pub const fn end(&self) -> Vpn {
        Vpn(self.first.0 + self.len as u64)
    }
}

/// Pagemap entries of the copy-on-write memory of a process: eight bytes a page, in address order.
///
/// Stretches that hold no page at all may be left out, so that a terabyte of reserved address
/// space costs nothing.
#[derive(Debug, Clone, Default)]
pub struct PageTable {
    /// In address order, disjoint.
    pub runs: Vec<Run>,
    /// The entries of all runs, one after the other.
    pub entries: Vec<PageEntry>,
}

impl PageTable {
    /// The entries of one run.
    pub fn of_run(&self, run: &Run) -> &[PageEntry] {
        &self.entries[run.offset..run.offset + run.len]
    }

    /// Every page with its entry, in address order.
    pub fn iter(&self) -> impl Iterator<Item = (Vpn, PageEntry)> + '_ {
        self.runs.iter().flat_map(move |run| (run.first.0..).map(Vpn).zip(self.of_run(run).iter().copied()))
    }

    /// The entry of one page; the empty entry where the table has none.
    pub fn get(&self, page: Vpn) -> PageEntry {
        Cursor::new(self).get(page)
    }

    /// The entry of one page, to be replaced.
    pub fn get_mut(&mut self, page: Vpn) -> Option<&mut PageEntry> {
        let run = self.runs.partition_point(|run| run.end() <= page);
        let run = self.runs.get(run).filter(|run| run.first <= page)?;
        let skip = usize::try_from(page.0 - run.first.0).ok()?;
        self.entries.get_mut(run.offset + skip)
    }

    /// A reader for pages asked for in ascending order: constant time a page.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self)
    }

    /// Memory the table takes, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>() + self.entries.capacity() * size_of::<PageEntry>()
    }
}

/// Reads entries of ascending pages.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    table: &'a PageTable,
    run: usize,
}

impl<'a> Cursor<'a> {
    fn new(table: &'a PageTable) -> Self {
        Self { table, run: 0 }
    }

    /// The entries from `page` to the end of its run, at most `len`; or a gap of so many pages.
    ///
    /// `page` must not be below one asked for before.
    #[expect(clippy::cast_possible_truncation, reason = "page counts fit a usize on 64-bit Linux")]
    pub fn stretch(&mut self, page: Vpn, len: usize) -> Stretch<'a> {
        let runs = &self.table.runs;
        while self.run < runs.len() && runs[self.run].end() <= page {
            self.run += 1;
        }
        let Some(run) = runs.get(self.run) else { return Stretch::Gap(len) };
        if page < run.first {
            return Stretch::Gap(len.min((run.first.0 - page.0) as usize));
        }
        let skip = (page.0 - run.first.0) as usize;
        let entries = self.table.of_run(run);
        Stretch::Entries(&entries[skip..entries.len().min(skip + len)])
    }

    /// The entry of one page; the empty entry where the table has none.
    pub fn get(&mut self, page: Vpn) -> PageEntry {
        match self.stretch(page, 1) {
            Stretch::Entries(entries) => entries[0],
            Stretch::Gap(_) => PageEntry::default(),
        }
    }
}

/// What a cursor finds at a page.
#[derive(Debug)]
pub enum Stretch<'a> {
    /// Entries of consecutive pages.
    Entries(&'a [PageEntry]),
    /// So many pages that the table does not hold.
    Gap(usize),
}

/// One process at one moment: its identity, its areas and their pages.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/PID/stat` field 22): tells a reused pid.
    pub start_time: u64,
    /// Where the kernel laid out this program image (`/proc/PID/stat` fields 26 to 28): changes on
    /// exec, never on fork.
    pub image: [u64; 3],
    /// All areas, in address order.
    pub vmas: Vec<Vma>,
    /// Pages of the copy-on-write areas.
    pub pages: PageTable,
    /// Bytes of page tables (`VmPTE`).
    pub page_table_bytes: u64,
    /// Resident set size in bytes (`VmRSS`).
    pub rss_bytes: u64,
}

impl Process {
    /// The area that holds a page.
    pub fn vma_of(&self, page: Vpn) -> Option<&Vma> {
        let after = self.vmas.partition_point(|vma| vma.start <= page);
        self.vmas[..after].last().filter(|vma| vma.contains(page))
    }

    /// Pages whose bytes belong to this address space alone or are shared copy-on-write.
    pub fn private_pages(&self) -> u64 {
        self.pages.entries.iter().filter(|entry| entry.private()).count() as u64
    }

    /// Bytes of [`Self::private_pages`].
    pub fn private_bytes(&self) -> u64 {
        self.private_pages() * PAGE_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_where_it_is_read() {
        let run = |first, offset| Run { first: Vpn(first), len: 2, offset, vma: 0 };
        let runs = vec![run(10, 0), run(20, 2)];
        let mut table = PageTable { runs, entries: (1..5).map(PageEntry).collect() };
        for page in (0..30).map(Vpn) {
            let read = table.get(page);
            assert_eq!(table.get_mut(page).copied().unwrap_or_default(), read, "{page}");
        }
        assert_eq!(table.get(Vpn(21)), PageEntry(4));
    }
}
