//! Compares a worker with what it inherited: which pages are still shared, and who broke the rest.

use super::inherited::Inherited;
use super::page::PageEntry;
use super::table::{PageTable, Process, Stretch};
use crate::units::Vpn;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What became of one inherited page in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PageState {
    /// Still the frame that the worker shares with the zygote since the fork.
    Shared = 0,
    /// The worker wrote it and has a copy of its own.
    BrokenByWorker = 1,
    /// The zygote wrote it (or gave it up); the worker kept the fork-time frame.
    BrokenByZygote = 2,
    /// Both wrote it.
    BrokenByBoth = 3,
    /// The worker no longer maps it: unmapped, discarded, or replaced by exec.
    Gone = 4,
}

impl PageState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Shared, Self::BrokenByWorker, Self::BrokenByZygote, Self::BrokenByBoth, Self::Gone];

    /// Whether the page stopped being shared with the zygote.
    pub const fn broken(self) -> bool {
        matches!(self, Self::BrokenByWorker | Self::BrokenByZygote | Self::BrokenByBoth)
    }

    /// Whether the worker wrote the page.
    pub const fn by_worker(self) -> bool {
        matches!(self, Self::BrokenByWorker | Self::BrokenByBoth)
    }

    /// Whether the zygote wrote the page.
    pub const fn by_zygote(self) -> bool {
        matches!(self, Self::BrokenByZygote | Self::BrokenByBoth)
    }

    const fn of_writers(worker: bool, zygote: bool) -> Self {
        match (worker, zygote) {
            (false, false) => Self::Shared,
            (true, false) => Self::BrokenByWorker,
            (false, true) => Self::BrokenByZygote,
            (true, true) => Self::BrokenByBoth,
        }
    }
}

/// Disjoint ranges of pages in ascending order.
pub type PageRanges = Vec<Range<Vpn>>;

/// What the verdict on a page rests on, one variant a rung.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// Frames of worker and zygote against the fork-time frames (rung `pfn`).
    ///
    /// `reference` is a process frozen since the fork, read at the same moment as the others, so
    /// that a migrated frame is not mistaken for a copy; or the fork-time table where there is none.
    Frames {
        /// Where the fork-time bytes are.
        reference: &'a PageTable,
    },
    /// What the kernel marked, for a worker and the zygote: pages written since the fork (rung
    /// `scan`: userfaultfd `WP_ASYNC`; nothing on rung `exclusive`) and pages mapped by huge entries.
    ///
    /// A frozen sibling holds every fork-time frame, so whoever maps a page exclusively (bit 56) has
    /// a copy of its own. For a huge mapping bit 56 proves nothing (Linux 6.16 and later), but a page
    /// copied on write is never mapped by one.
    Marks {
        /// (written, huge) pages of the worker.
        worker: (&'a [Range<Vpn>], &'a [Range<Vpn>]),
        /// (written, huge) pages of the zygote.
        zygote: (&'a [Range<Vpn>], &'a [Range<Vpn>]),
    },
}

/// The verdict on one worker at one moment.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// One state for each inherited page, in page order.
    pub states: Vec<PageState>,
    /// Private pages that the worker made after the fork.
    pub fresh: PageRanges,
}

impl Diff {
    /// Inherited pages in a state for which `which` holds.
    pub fn count(&self, which: impl Fn(PageState) -> bool) -> u64 {
        self.states.iter().filter(|&&state| which(state)).count() as u64
    }

    /// Pages made after the fork.
    pub fn fresh_pages(&self) -> u64 {
        range_pages(&self.fresh)
    }
}

/// Pages in a set of ranges.
pub fn range_pages(ranges: &[Range<Vpn>]) -> u64 {
    ranges.iter().map(|range| range.end.0 - range.start.0).sum()
}

/// The pages of `ranges` that are not in `without`. Both ascend.
pub fn subtract(ranges: &[Range<Vpn>], without: &[Range<Vpn>]) -> PageRanges {
    let mut left = PageRanges::new();
    let mut holes = without.iter().peekable();
    for range in ranges {
        let mut start = range.start;
        while let Some(hole) = holes.peek().filter(|hole| hole.start < range.end) {
            if start < hole.start {
                left.push(start..hole.start);
            }
            start = start.max(hole.end);
            if hole.end > range.end {
                break;
            }
            holes.next();
        }
        if start < range.end {
            left.push(start..range.end);
        }
    }
    left
}

/// Judges every inherited page of a worker.
///
/// A worker whose program image differs from the zygote's has called exec: all it inherited is
/// gone. Takes time linear in the pages and one byte a page.
pub fn diff(inherited: &Inherited, zygote: &Process, worker: &Process, evidence: &Evidence<'_>) -> Diff {
    if worker.image != zygote.image {
        let states = vec![PageState::Gone; inherited.len()];
        return Diff { states, fresh: fresh_pages(&PageTable::default(), worker) };
    }
    Diff {
        states: judge_inherited(inherited, zygote, worker, evidence),
        fresh: fresh_pages(&inherited.table, worker),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "page counts fit a usize on 64-bit Linux")]
fn judge_inherited(
    inherited: &Inherited,
    zygote: &Process,
    worker: &Process,
    evidence: &Evidence<'_>,
) -> Vec<PageState> {
    let mut states = Vec::with_capacity(inherited.len());
    let (mut workers, mut zygotes) = (worker.pages.cursor(), zygote.pages.cursor());
    let mut judge = Judge::new(evidence);
    for run in &inherited.table.runs {
        let mut page = run.first;
        while page < run.end() {
            let left = (run.end().0 - page.0) as usize;
            let ours = workers.stretch(page, left);
            let theirs = zygotes.stretch(page, length(&ours));
            let len = length(&theirs);
            for index in 0..len {
                let page = Vpn(page.0 + index as u64);
                states.push(judge.state(page, entry(&ours, index), entry(&theirs, index)));
            }
            page = Vpn(page.0 + len as u64);
        }
    }
    states
}

fn length(stretch: &Stretch<'_>) -> usize {
    match stretch {
        Stretch::Entries(entries) => entries.len(),
        Stretch::Gap(len) => *len,
    }
}

fn entry(stretch: &Stretch<'_>, index: usize) -> PageEntry {
    match stretch {
        Stretch::Entries(entries) => entries[index],
        Stretch::Gap(_) => PageEntry::default(),
    }
}

/// Applies one rung's rule to ascending pages.
enum Judge<'a> {
    Frames(super::table::Cursor<'a>),
    Marks { worker: MarkCursor<'a>, zygote: MarkCursor<'a> },
}

impl<'a> Judge<'a> {
    fn new(evidence: &Evidence<'a>) -> Self {
        match *evidence {
            Evidence::Frames { reference } => Self::Frames(reference.cursor()),
            Evidence::Marks { worker, zygote } => {
                Self::Marks { worker: MarkCursor::new(worker), zygote: MarkCursor::new(zygote) }
            }
        }
    }

    fn state(&mut self, page: Vpn, worker: PageEntry, zygote: PageEntry) -> PageState {
        if !worker.private() {
            return PageState::Gone;
        }
        match self {
            Self::Frames(reference) => {
                if worker.place() == zygote.place() {
                    return PageState::Shared;
                }
                let fork_time = reference.get(page).place();
                PageState::of_writers(worker.place() != fork_time, zygote.place() != fork_time)
            }
            Self::Marks { worker: ours, zygote: theirs } => {
                let zygote_wrote = theirs.copied(page, zygote) || !zygote.private();
                PageState::of_writers(ours.copied(page, worker), zygote_wrote)
            }
        }
    }
}

/// The marks of one process, asked for ascending pages.
struct MarkCursor<'a> {
    written: RangeCursor<'a>,
    huge: RangeCursor<'a>,
}

impl<'a> MarkCursor<'a> {
    fn new((written, huge): (&'a [Range<Vpn>], &'a [Range<Vpn>])) -> Self {
        Self { written: RangeCursor::new(written), huge: RangeCursor::new(huge) }
    }

    fn copied(&mut self, page: Vpn, entry: PageEntry) -> bool {
        let (written, huge) = (self.written.contains(page), self.huge.contains(page));
        written || entry.exclusive() && !huge
    }
}

/// Membership of ascending pages in sorted ranges.
struct RangeCursor<'a> {
    ranges: &'a [Range<Vpn>],
}

impl<'a> RangeCursor<'a> {
    fn new(ranges: &'a [Range<Vpn>]) -> Self {
        Self { ranges }
    }

    fn contains(&mut self, page: Vpn) -> bool {
        while let [first, rest @ ..] = self.ranges
            && first.end <= page
        {
            self.ranges = rest;
        }
        self.ranges.first().is_some_and(|range| range.start <= page)
    }
}

/// Private pages of the worker that `inherited` does not hold.
fn fresh_pages(inherited: &PageTable, worker: &Process) -> PageRanges {
    let mut fresh: PageRanges = Vec::new();
    let mut known = inherited.cursor();
    for run in &worker.pages.runs {
        let entries = worker.pages.of_run(run);
        let mut index = 0;
        while index < entries.len() {
            let page = Vpn(run.first.0 + index as u64);
            match known.stretch(page, entries.len() - index) {
                Stretch::Entries(inherited) => index += inherited.len(),
                Stretch::Gap(len) => {
                    collect_private(&mut fresh, page, &entries[index..index + len]);
                    index += len;
                }
            }
        }
    }
    fresh
}

fn collect_private(ranges: &mut PageRanges, first: Vpn, entries: &[PageEntry]) {
    for (page, _) in (first.0..).map(Vpn).zip(entries).filter(|(_, entry)| entry.private()) {
        let next = Vpn(page.0 + 1);
        match ranges.last_mut() {
            Some(last) if last.end == page => last.end = next,
            _ => ranges.push(page..next),
        }
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
