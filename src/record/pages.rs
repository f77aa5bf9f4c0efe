//! The history of every inherited page, built up snapshot by snapshot.

use crate::family::recording::{Content, NO_STEP, PageCell, PageHistory, PageRun, WorkerPages, WorkerStep};
use crate::family::{Diff, Inherited, PageState};

/// Bytes that differ from the fork-time bytes, by index of the inherited page.
pub type ChangedBytes = Vec<(usize, u16)>;

/// Collects the cells of all workers.
#[derive(Debug, Default)]
pub struct PageLog {
    pages: usize,
    workers: Vec<WorkerPages>,
}

impl PageLog {
    /// A log for the pages of a family.
    pub fn new(inherited: &Inherited) -> Self {
        Self { pages: inherited.len(), workers: Vec::new() }
    }

    /// Adds a worker, all of whose pages are still shared.
    pub fn add_worker(&mut self, worker: u32) {
        self.workers.push(WorkerPages {
            worker,
            cells: vec![PageCell::default(); self.pages],
            fresh: Vec::new(),
        });
    }

    /// Notes a worker's verdicts. `bytes` holds the differing bytes of the pages that were compared.
    #[tracing::instrument(level = "debug", name = "log_update", skip_all)]
    pub fn update(&mut self, worker: usize, step: u8, diff: &Diff, bytes: &ChangedBytes) {
        let Some(pages) = self.workers.get_mut(worker) else { return };
        for (cell, &state) in pages.cells.iter_mut().zip(&diff.states) {
            let step = match (state, cell.step) {
                (PageState::Shared, _) => NO_STEP,
                (_, NO_STEP) => step,
                (_, first) => first,
            };
            *cell = PageCell { state, step, ..PageCell::default() };
        }
        for &(index, changed) in bytes {
            let cell = &mut pages.cells[index];
            cell.content = if changed == 0 { Content::Equal } else { Content::Differs };
            cell.bytes_changed = changed;
        }
        let length = |range: &std::ops::Range<crate::units::Vpn>| {
            u32::try_from(range.end.0 - range.start.0).unwrap_or(u32::MAX)
        };
        pages.fresh = diff.fresh.iter().map(|range| (range.start.0, length(range))).collect();
    }

    /// The counts of the last update of one worker.
    #[tracing::instrument(level = "debug", name = "log_summary", skip_all)]
    pub fn summary(&self, worker: u32, pid: u32, diff: &Diff) -> WorkerStep {
        let cells = self.workers.get(worker as usize).map_or(&[][..], |pages| &pages.cells);
        let count = |which: fn(&PageCell) -> bool| cells.iter().filter(|cell| which(cell)).count() as u64;
        WorkerStep {
            worker,
            pid,
            inherited: cells.len() as u64,
            broken: count(|cell| cell.state.broken()),
            broken_by_worker: count(|cell| cell.state.by_worker()),
            broken_by_zygote: count(|cell| cell.state.by_zygote()),
            ghost: count(|cell| cell.content == Content::Equal),
            uncompared: count(|cell| cell.state.broken() && cell.content == Content::NotCompared),
            ghost_zygote_only: count(|cell| {
                cell.state == PageState::BrokenByZygote && cell.content == Content::Equal
            }),
            uncompared_zygote_only: count(|cell| {
                cell.state == PageState::BrokenByZygote && cell.content == Content::NotCompared
            }),
            fresh: diff.fresh_pages(),
            gone: count(|cell| cell.state == PageState::Gone),
            bytes_changed: cells.iter().map(|cell| u64::from(cell.bytes_changed)).sum(),
        }
    }

    /// The finished history.
    pub fn finish(self, inherited: &Inherited) -> PageHistory {
        let runs = inherited.table.runs.iter().zip(&inherited.region_of_run);
        PageHistory {
            regions: inherited.regions.clone(),
            runs: runs
                .map(|(run, &region)| PageRun {
                    first: run.first.0,
                    len: u32::try_from(run.len).unwrap_or(u32::MAX),
                    region,
                })
                .collect(),
            workers: self.workers,
        }
    }
}
