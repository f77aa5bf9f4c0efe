//! Gathers what the diff rests on, rung by rung.

use crate::error::Result;
use crate::family::{Evidence, Inherited, PageEntry, PageRanges, PageTable, Process, Rung, subtract};
use crate::observe::contents::ranges_of;
use crate::observe::process::{huge_pages, written_pages};
use crate::observe::swap::put_back;
use crate::observe::{ProcRoot, read_process};
use crate::units::Vpn;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The whole family, read while it stood still.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The process that forks.
    pub zygote: Process,
    /// The sibling frozen at the fork.
    pub reference: Option<Process>,
    /// The workers alive.
    pub workers: Vec<Process>,
}

impl Moment {
    /// The zygote and its workers.
    pub fn members(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.zygote).chain(&self.workers)
    }
}

/// Where the verdicts of one measurement come from.
#[derive(Debug)]
pub struct EvidenceSource {
    rung: Rung,
    root: ProcRoot,
    /// Fork-time entries, for pages the frozen sibling does not hold.
    fork_time: PageTable,
    /// Pages that the zygote wrote between the freezing and the baseline, with their fork-time
    /// entry: the sibling's copy of them is older than the fork.
    unfrozen: Moved,
    /// Pages that lay in swap at the fork.
    swapped: Vec<(Vpn, PageEntry)>,
    /// What differed at the fork of each worker whose fork was read.
    forks: BTreeMap<usize, AtFork>,
    /// Areas whose writes are tracked.
    tracked: PageRanges,
    frozen_sibling: bool,
}

/// Inherited pages with the entry they had at a fork, by their index.
type Moved = BTreeMap<usize, (Vpn, PageEntry)>;

/// What the zygote had written when a worker was forked: no breach between these two.
#[derive(Debug, Default)]
pub struct AtFork {
    /// Pages whose frame is not the one before the first fork (rung `pfn`).
    moved: Moved,
    /// Pages already marked as written (rung `scan`).
    written: PageRanges,
}

impl EvidenceSource {
    /// Prepares for one rung. Reads the frozen sibling once, beside the zygote at the fork.
    pub fn new(
        rung: Rung,
        root: &ProcRoot,
        inherited: &Inherited,
        reference: Option<u32>,
        tracked: PageRanges,
    ) -> Result<Self> {
        let unfrozen = match reference {
            Some(pid) => unfrozen(inherited, &read_process(root, pid)?.pages),
            None => BTreeMap::new(),
        };
        Ok(Self {
            rung,
            root: root.clone(),
            fork_time: inherited.table.clone(),
            unfrozen,
            swapped: inherited.table.iter().filter(|(_, entry)| entry.swapped()).collect(),
            forks: BTreeMap::new(),
            tracked,
            frozen_sibling: reference.is_some(),
        })
    }

    /// Reads zygote and worker right after the fork, while both stand still.
    pub fn read_fork(&self, inherited: &Inherited, zygote: u32, worker: u32) -> Result<AtFork> {
        let zygote = read_process(&self.root, zygote)?;
        match self.rung {
            Rung::Pfn => {
                let worker = read_process(&self.root, worker)?;
                Ok(AtFork { moved: moved(inherited, &zygote.pages, &worker.pages), ..AtFork::default() })
            }
            Rung::Scan => {
                let written = written_pages(&self.root, zygote.pid, &self.tracked)?;
                Ok(AtFork { written: shared_again(&written, &zygote.pages), ..AtFork::default() })
            }
            Rung::Exclusive | Rung::Rollup => Ok(AtFork::default()),
        }
    }

    /// Keeps what was read at the fork of a worker.
    pub fn note_fork(&mut self, worker: usize, at_fork: AtFork) {
        self.forks.insert(worker, at_fork);
    }

    /// What was read at the fork of a worker.
    pub fn at_fork(&self, worker: usize) -> Option<&AtFork> {
        self.forks.get(&worker)
    }

    /// Whether the sibling does not hold the bytes that an inherited page had when a worker was forked.
    pub fn is_unfrozen(&self, worker: usize, index: usize, page: Vpn) -> bool {
        let moved = |at_fork: &AtFork| {
            let after = at_fork.written.partition_point(|range| range.end <= page);
            let written = at_fork.written.get(after).is_some_and(|range| range.start <= page);
            at_fork.moved.contains_key(&index) || written
        };
        self.unfrozen.contains_key(&index) || self.at_fork(worker).is_some_and(moved)
    }

    /// What a reader of the report must know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.frozen_sibling && self.rung == Rung::Exclusive {
            notes.push(
                "no sibling was frozen at the fork: pages the zygote wrote may look broken by a worker"
                    .into(),
            );
        }
        if self.rung == Rung::Exclusive && !self.swapped.is_empty() {
            notes.push(format!(
                "{} pages lay in swap at the fork: one that is only read back looks broken on this rung",
                self.swapped.len()
            ));
        }
        notes
    }

    /// The moment as verdicts need it: without the frames that swapped pages were only read back into.
    pub fn settle<'a>(&self, moment: &'a Moment) -> Cow<'a, Moment> {
        if self.rung != Rung::Pfn || self.swapped.is_empty() {
            return Cow::Borrowed(moment);
        }
        let mut settled = moment.clone();
        let workers = settled.workers.iter_mut();
        for process in workers.chain(&mut settled.reference).chain([&mut settled.zygote]) {
            put_back(&mut process.pages, &self.swapped);
        }
        Cow::Owned(settled)
    }

    /// Pages of a process on whose exclusive mapping nothing rests: those mapped by huge entries and,
    /// where writes are tracked, those that lay in swap. Whoever reads such a page back maps it alone.
    fn mute(&self, pid: u32) -> Result<PageRanges> {
        let mut mute = huge_pages(&self.root, pid)?;
        if self.rung == Rung::Scan && !self.swapped.is_empty() {
            let swapped: Vec<Vpn> = self.swapped.iter().map(|&(page, _)| page).collect();
            mute.extend(ranges_of(&swapped));
            mute.sort_by_key(|range| range.start);
        }
        Ok(mute)
    }

    /// Reads what this rung needs beside the page tables.
    pub fn at<'a>(&'a self, moment: &'a Moment) -> Result<Judge<'a>> {
        if self.rung == Rung::Pfn {
            return Ok(Judge::Frames(self.fork_time_places(moment.reference.as_ref())));
        }
        let marks = |process: &Process| -> Result<Marks> {
            Ok(Marks {
                written: written_pages(&self.root, process.pid, &self.tracked)?,
                huge: self.mute(process.pid)?,
            })
        };
        let workers = moment.workers.iter().map(marks).collect::<Result<Vec<Marks>>>()?;
        Ok(Judge::Marks { zygote: marks(&moment.zygote)?, workers })
    }

    /// Where the fork-time bytes are now: the sibling's table, with fork-time entries for the pages
    /// it does not hold.
    fn fork_time_places<'a>(&'a self, reference: Option<&'a Process>) -> Cow<'a, PageTable> {
        let Some(reference) = reference else { return Cow::Borrowed(&self.fork_time) };
        with_entries(&reference.pages, &self.unfrozen)
    }
}

/// The evidence of one moment.
#[derive(Debug)]
pub enum Judge<'a> {
    /// Rung `pfn`.
    Frames(Cow<'a, PageTable>),
    /// Rungs `scan` and `exclusive`.
    Marks {
        /// Marks of the zygote.
        zygote: Marks,
        /// Marks of each worker.
        workers: Vec<Marks>,
    },
}

/// What the kernel noted of one process.
#[derive(Debug, Default)]
pub struct Marks {
    written: PageRanges,
    huge: PageRanges,
}

/// What one worker is judged by.
#[derive(Debug)]
pub enum WorkerEvidence<'a> {
    /// Rung `pfn`: where the bytes of its fork are.
    Frames(Cow<'a, PageTable>),
    /// Rungs `scan` and `exclusive`: its marks, the zygote's since its fork, and huge entries of both.
    Marks {
        /// Marks of the worker.
        worker: &'a Marks,
        /// Pages the zygote wrote since the fork of this worker.
        zygote_written: PageRanges,
        /// Pages the zygote maps by huge entries.
        zygote_huge: &'a PageRanges,
    },
}

impl WorkerEvidence<'_> {
    /// As the pure model takes it.
    pub fn borrow(&self) -> Evidence<'_> {
        match self {
            Self::Frames(reference) => Evidence::Frames { reference },
            Self::Marks { worker, zygote_written, zygote_huge } => Evidence::Marks {
                worker: (&worker.written, &worker.huge),
                zygote: (zygote_written, zygote_huge),
            },
        }
    }
}

impl Judge<'_> {
    /// The evidence for one worker of the moment, given what was read at its fork.
    pub fn for_worker(&self, position: usize, at_fork: Option<&AtFork>) -> WorkerEvidence<'_> {
        match self {
            Self::Frames(reference) => WorkerEvidence::Frames(match at_fork {
                Some(at_fork) => with_entries(reference, &at_fork.moved),
                None => Cow::Borrowed(reference.as_ref()),
            }),
            Self::Marks { zygote, workers } => WorkerEvidence::Marks {
                worker: &workers[position],
                zygote_written: subtract(&zygote.written, at_fork.map_or(&[], |fork| &fork.written)),
                zygote_huge: &zygote.huge,
            },
        }
    }
}

/// A table with some entries replaced; the table itself where there are none.
fn with_entries<'a>(table: &'a PageTable, entries: &Moved) -> Cow<'a, PageTable> {
    if entries.is_empty() {
        return Cow::Borrowed(table);
    }
    let mut table = table.clone();
    for &(page, entry) in entries.values() {
        if let Some(found) = table.get_mut(page) {
            *found = entry;
        }
    }
    Cow::Owned(table)
}

/// Inherited pages that zygote and worker share, though not in the frame of the first fork.
fn moved(inherited: &Inherited, zygote: &PageTable, worker: &PageTable) -> Moved {
    let (mut zygotes, mut workers) = (zygote.cursor(), worker.cursor());
    let now = |(index, (page, entry)): (usize, (Vpn, PageEntry))| {
        let shared = zygotes.get(page);
        let moved = shared.place() == workers.get(page).place() && shared.place() != entry.place();
        (moved && shared.private()).then_some((index, (page, shared)))
    };
    inherited.table.iter().enumerate().filter_map(now).collect()
}

/// Written pages that the writer no longer maps alone: it was forked since.
fn shared_again(written: &PageRanges, pages: &PageTable) -> PageRanges {
    let mut cursor = pages.cursor();
    let shared = written.iter().flat_map(|range| range.start.0..range.end.0).map(Vpn);
    ranges_of(&shared.filter(|&page| !cursor.get(page).exclusive()).collect::<Vec<_>>())
}

/// Inherited pages whose frame in the sibling is not the zygote's at the fork. With hidden frames,
/// those that the zygote maps alone.
fn unfrozen(inherited: &Inherited, sibling: &PageTable) -> Moved {
    let mut cursor = sibling.cursor();
    let moved = |(_, (page, entry)): &(usize, (Vpn, PageEntry))| {
        let frozen = cursor.get(*page);
        match (entry.place(), frozen.place()) {
            (Some(fork_time), Some(frozen)) => fork_time != frozen,
            _ => entry.exclusive() || !frozen.private(),
        }
    };
    inherited.table.iter().enumerate().filter(moved).collect()
}
