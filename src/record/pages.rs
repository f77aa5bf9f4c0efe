//! The history of every inherited page, built up snapshot by snapshot.

use crate::family::recording::{
    Content, NO_STEP, PageCell, PageHistory, PageRun, Transition, WorkerPages, WorkerStep,
};
use crate::family::{Diff, Inherited, PageState};

/// Bytes that differ from the fork-time bytes, by index of the inherited page.
pub type ChangedBytes = Vec<(usize, u16)>;

/// Collects the cells of all workers.
#[derive(Debug, Default)]
pub struct PageLog {
    pages: usize,
    workers: Vec<WorkerPages>,
    /// Step of the last update of each worker.
    updated: Vec<Option<u8>>,
}

impl PageLog {
    /// A log for the pages of a family.
    pub fn new(inherited: &Inherited) -> Self {
        Self { pages: inherited.len(), ..Self::default() }
    }

    /// Adds a worker, all of whose pages are still shared.
    pub fn add_worker(&mut self, worker: u32) {
        self.workers.push(WorkerPages {
            worker,
            cells: vec![PageCell::default(); self.pages],
            ..WorkerPages::default()
        });
        self.updated.push(None);
    }

    /// Notes a worker's verdicts. `bytes` holds the differing bytes of the pages that were compared.
    #[tracing::instrument(level = "debug", name = "log_update", skip_all)]
    pub fn update(&mut self, worker: usize, step: u8, diff: &Diff, bytes: &ChangedBytes) {
        let Some(pages) = self.workers.get_mut(worker) else { return };
        let before = pages.cells.clone();
        for (cell, &state) in pages.cells.iter_mut().zip(&diff.states) {
            let step = match (state, cell.step) {
                (PageState::Shared, first) => first,
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
        if let Some(until) = self.updated[worker].replace(step).filter(|&until| until < step) {
            note_changes(&before, pages, until);
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
            nanoseconds: 0,
        }
    }

    /// The finished history.
    pub fn finish(mut self, inherited: &Inherited) -> PageHistory {
        for worker in &mut self.workers {
            worker.earlier.sort_unstable_by_key(|earlier| (earlier.page, earlier.until));
        }
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

/// Keeps what the pages that changed, once broken or gone, looked like until step `until`.
fn note_changes(before: &[PageCell], pages: &mut WorkerPages, until: u8) {
    for (page, (old, new)) in (0_u32..).zip(before.iter().zip(&pages.cells)) {
        if old.step != NO_STEP && (old.state, old.content) != (new.state, new.content) {
            pages.earlier.push(Transition { page, until, state: old.state, content: old.content });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PageState::{BrokenByBoth, BrokenByWorker, BrokenByZygote, Gone, Shared};
    use proptest::prelude::*;

    fn log(pages: usize) -> PageLog {
        let mut log = PageLog { pages, ..PageLog::default() };
        log.add_worker(0);
        log
    }

    fn finished(log: PageLog) -> WorkerPages {
        let mut history = log.finish(&Inherited::default());
        history.workers.remove(0)
    }

    #[test]
    fn pages_are_remembered_as_they_were_at_each_step() {
        let mut log = log(3);
        let steps = [
            ([Shared, BrokenByZygote, Shared], vec![(1, 0)]),
            ([BrokenByWorker, BrokenByBoth, Shared], vec![(0, 9), (1, 0)]),
            ([BrokenByWorker, BrokenByBoth, Shared], vec![(0, 0), (1, 0)]),
            ([Gone, Shared, Shared], vec![]),
        ];
        for (step, (states, bytes)) in (0..).zip(&steps) {
            let diff = Diff { states: states.to_vec(), fresh: Vec::new() };
            log.update(0, step, &diff, bytes);
        }
        let pages = finished(log);
        assert_eq!(pages.at_step(0)[1], (BrokenByZygote, Content::Equal));
        assert_eq!(pages.at_step(1)[0], (BrokenByWorker, Content::Differs));
        assert_eq!(pages.at_step(2)[0], (BrokenByWorker, Content::Equal));
        for (step, (states, _)) in (0..).zip(&steps) {
            assert_eq!(pages.at_step(step).iter().map(|page| page.0).collect::<Vec<_>>(), states);
        }
        assert_eq!(pages.earlier.len(), 4, "only what changed: {:?}", pages.earlier);
    }

    proptest! {
        #[test]
        fn every_step_is_remembered_as_it_was(
            steps in prop::collection::vec(
                prop::collection::vec((prop::sample::select(PageState::ALL.to_vec()), 0_u16..3), 12),
                1..9,
            ),
        ) {
            let mut log = log(12);
            let mut seen = Vec::new();
            for (step, pages) in (0..).zip(&steps) {
                let states = pages.iter().map(|page| page.0).collect();
                let bytes = (0..)
                    .zip(pages)
                    .filter(|(_, (state, changed))| state.broken() && *changed < 2)
                    .map(|(index, (_, changed))| (index, *changed))
                    .collect();
                log.update(0, step, &Diff { states, fresh: Vec::new() }, &bytes);
                seen.push(log.workers[0].cells.iter().map(|cell| (cell.state, cell.content)).collect::<Vec<_>>());
            }
            let pages = finished(log);
            for (step, expected) in (0..).zip(seen) {
                prop_assert_eq!(pages.at_step(step), expected);
            }
        }
    }
}
