//! Gathers what the diff rests on, rung by rung.

use crate::error::Result;
use crate::family::{Evidence, Inherited, PageEntry, PageRanges, PageTable, Process, Rung};
use crate::observe::process::{huge_pages, written_pages};
use crate::observe::{ProcRoot, read_process};
use crate::units::Vpn;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The whole family, read while it stood still.
#[derive(Debug)]
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
    unfrozen: BTreeMap<usize, (Vpn, PageEntry)>,
    /// Areas whose writes are tracked.
    tracked: PageRanges,
    frozen_sibling: bool,
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
            tracked,
            frozen_sibling: reference.is_some(),
        })
    }

    /// Whether the sibling does not hold the fork-time bytes of an inherited page.
    pub fn is_unfrozen(&self, index: usize) -> bool {
        self.unfrozen.contains_key(&index)
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
        notes
    }

    /// Reads what this rung needs beside the page tables.
    pub fn at<'a>(&'a self, moment: &'a Moment) -> Result<Judge<'a>> {
        if self.rung == Rung::Pfn {
            return Ok(Judge::Frames(self.fork_time_places(moment.reference.as_ref())));
        }
        let marks = |process: &Process| -> Result<Marks> {
            Ok(Marks {
                written: written_pages(&self.root, process.pid, &self.tracked)?,
                huge: huge_pages(&self.root, process.pid)?,
            })
        };
        let workers = moment.workers.iter().map(marks).collect::<Result<Vec<Marks>>>()?;
        Ok(Judge::Marks { zygote: marks(&moment.zygote)?, workers })
    }

    /// Where the fork-time bytes are now: the sibling's table, with fork-time entries for the pages
    /// it does not hold.
    fn fork_time_places<'a>(&'a self, reference: Option<&'a Process>) -> Cow<'a, PageTable> {
        let Some(reference) = reference else { return Cow::Borrowed(&self.fork_time) };
        if self.unfrozen.is_empty() {
            return Cow::Borrowed(&reference.pages);
        }
        let mut table = reference.pages.clone();
        for &(page, entry) in self.unfrozen.values() {
            let run = table.runs.partition_point(|run| run.end() <= page);
            if let Some(run) = table.runs.get(run).filter(|run| run.first <= page) {
                let index = run.offset + usize::try_from(page.0 - run.first.0).unwrap_or(0);
                table.entries[index] = entry;
            }
        }
        Cow::Owned(table)
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

impl Judge<'_> {
    /// The evidence for one worker of the moment.
    pub fn for_worker(&self, index: usize) -> Evidence<'_> {
        match self {
            Self::Frames(reference) => Evidence::Frames { reference },
            Self::Marks { zygote, workers } => Evidence::Marks {
                worker: (&workers[index].written, &workers[index].huge),
                zygote: (&zygote.written, &zygote.huge),
            },
        }
    }
}

/// Inherited pages whose frame in the sibling is not the zygote's at the fork. With hidden frames,
/// those that the zygote maps alone.
fn unfrozen(inherited: &Inherited, sibling: &PageTable) -> BTreeMap<usize, (Vpn, PageEntry)> {
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
