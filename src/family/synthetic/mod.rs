//! Made-up recordings that obey the conservation laws, for tests and benchmarks of what reads them.

mod breaks;
mod scenes;

use super::breaks::Witness;
use super::recording::{
    About, Content, CrossCheck, Fate, Finding, NO_STEP, PageCell, PageHistory, PageRun, Recording, Rung,
    Step, Transition, WorkerInfo, WorkerPages, WorkerStep, ZygoteSummary,
};
use super::{Diff, Ledger, PageState};
use crate::units::{PAGE_SIZE, Vpn};
use std::collections::BTreeMap;

/// What family to make up.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Inherited pages, at least 64.
    pub pages: u32,
    /// Workers.
    pub workers: u32,
    /// Steps after the fork.
    pub steps: u8,
    /// Whether the steps carry request counts, as those of a server do.
    pub server: bool,
    /// Seed: equal shapes give equal recordings.
    pub seed: u64,
}

const STEP_NAMES: [&str; 6] = ["iterate", "gc", "patch", "hash keys", "serve", "sort"];

/// Region, share of the pages in percent, chance in percent that a stretch breaks in a step, and
/// chance in percent that a broken page is a ghost.
const REGIONS: [(&str, u32, u64, u64); 9] = [
    ("heap", 6, 9, 40),
    ("pymalloc arena", 62, 16, 93),
    ("object table", 14, 4, 30),
    ("libpython3.12.so.1.0", 2, 30, 20),
    ("anonymous", 13, 2, 75),
    ("libc.so.6", 1, 10, 10),
    ("libcrypto.so.3", 1, 1, 5),
    ("ld-linux-x86-64.so.2", 0, 5, 5),
    ("stack", 0, 60, 10),
];

/// A recording of the given shape.
pub fn recording(shape: Shape) -> Recording {
    let mut random = Random(shape.seed | 1);
    let pages = history(shape, &mut random);
    let breaks = breaks::of_pages(&pages, shape);
    let made_up =
        |index| Step { causes: breaks::causes_at(&breaks, &pages, index), ..step(shape, &pages, index) };
    let steps: Vec<Step> = (0..=shape.steps).map(made_up).collect();
    Recording {
        about: about(shape),
        zygote: ZygoteSummary {
            pid: 4100,
            private_pages: u64::from(shape.pages),
            rss_bytes: u64::from(shape.pages) * PAGE_SIZE * 5 / 4,
            ..ZygoteSummary::default()
        },
        workers: (0..shape.workers)
            .map(|worker| WorkerInfo { worker, pid: 4101 + worker, fate: Fate::Finished })
            .collect(),
        reconciliation: steps.last().map(|last| breaks::reconciliation(&last.causes)).unwrap_or_default(),
        findings: findings(),
        steps,
        pages,
        breaks,
    }
}

fn about(shape: Shape) -> About {
    About {
        title: "catalog.py".into(),
        description: "A catalogue of products, read by every worker and changed by none.".into(),
        command: format!("forkprint run catalog.py -w {}", shape.workers),
        runtime: if shape.server { "server" } else { "python" }.into(),
        runtime_version: "CPython 3.12.1".into(),
        rung: Rung::Pfn,
        witness: Witness::Sigtrap,
        created_unix: 1_760_000_000,
        forkprint_version: "0.1.0".into(),
        kernel: "Linux 6.18.0".into(),
        machine: "x86_64, 2 processors, 23.5 GiB".into(),
        uid: 0,
        complete: true,
        ..About::default()
    }
}

fn findings() -> Vec<Finding> {
    vec![
        Finding {
            code: "FP001".into(),
            title: "Reading objects copies their pages: reference counts live beside the data".into(),
            evidence: "93 % of the broken pages in pymalloc arenas hold the bytes they held at the fork"
                .into(),
            fix: "call gc.freeze() after loading, and make long-lived objects immortal before the fork"
                .into(),
        },
        Finding {
            code: "FP004".into(),
            title: "The zygote keeps writing after the fork".into(),
            evidence: "a timer thread of the zygote wrote 3 % of the inherited pages".into(),
            fix: "start the timer in a worker".into(),
        },
    ]
}

fn history(shape: Shape, random: &mut Random) -> PageHistory {
    let mut history = PageHistory {
        regions: REGIONS.iter().map(|region| region.0.to_owned()).collect(),
        ..PageHistory::default()
    };
    let mut left = shape.pages;
    let mut address = 0x5555_5555_0000 / PAGE_SIZE;
    for (region, (_, share, _, _)) in (0_u32..).zip(REGIONS) {
        let is_last = region as usize == REGIONS.len() - 1;
        let mut wanted = if is_last {
            left
        } else {
            (shape.pages / 100 * share).max(3).min(left.saturating_sub(8).max(1))
        };
        left -= wanted;
        while wanted > 0 {
            let len = wanted.min(256 + u32::try_from(random.below(4096)).unwrap_or(0));
            history.runs.push(PageRun { first: address, len, region });
            address += u64::from(len) + 1 + random.below(64);
            wanted -= len;
        }
        address += 0x1000;
    }
    let zygote = zygote_writes(&history, shape, random);
    history.workers =
        (0..shape.workers).map(|worker| worker_pages(&history, shape, worker, &zygote, random)).collect();
    history
}

/// The step at which the zygote wrote each page, or [`NO_STEP`].
fn zygote_writes(history: &PageHistory, shape: Shape, random: &mut Random) -> Vec<u8> {
    let mut written = vec![NO_STEP; history.len()];
    for step in 0..=shape.steps {
        for _ in 0..=history.len() / 2000 {
            let at = usize::try_from(random.below(history.len() as u64)).unwrap_or(0);
            let end = (at + 1 + usize::try_from(random.below(12)).unwrap_or(0)).min(written.len());
            written[at..end].iter_mut().for_each(|page| *page = (*page).min(step));
        }
    }
    written
}

fn worker_pages(
    history: &PageHistory,
    shape: Shape,
    worker: u32,
    zygote: &[u8],
    random: &mut Random,
) -> WorkerPages {
    let mut cells = Vec::with_capacity(history.len());
    let mut earlier = Vec::new();
    for run in &history.runs {
        let (_, _, breaks, ghosts) = REGIONS[run.region as usize];
        let mut left = run.len;
        while left > 0 {
            let stretch = left.min(u32::try_from(random.below(24)).unwrap_or(0) + 1);
            left -= stretch;
            let step = (0..=shape.steps)
                .find(|&step| random.below(100) < if step == 0 { breaks / 8 } else { breaks });
            let gone = random.below(150) == 0;
            for _ in 0..stretch {
                let written = Written {
                    by_worker: step.filter(|_| random.below(12) > 0).unwrap_or(NO_STEP),
                    by_zygote: zygote[cells.len()],
                    gone: if gone { shape.steps } else { NO_STEP },
                };
                let page = u32::try_from(cells.len()).unwrap_or(u32::MAX);
                let (cell, changes) = cell(page, written, shape.steps, ghosts, random);
                cells.push(cell);
                earlier.extend(changes);
            }
        }
    }
    let end = history.runs.last().map_or(0, |run| run.first + u64::from(run.len));
    let mut next = end + 0x4000;
    let fresh = (0..6 + worker % 3)
        .map(|_| {
            let len = 8 + u32::try_from(random.below(u64::from(shape.pages / 40 + 8))).unwrap_or(0);
            next += u64::from(len) + 16;
            (next - u64::from(len), len)
        })
        .collect();
    WorkerPages { worker, cells, earlier, fresh }
}

/// The steps at which a page was written and given up; [`NO_STEP`] for never.
#[derive(Clone, Copy)]
struct Written {
    by_worker: u8,
    by_zygote: u8,
    gone: u8,
}

impl Written {
    fn state_at(self, step: u8) -> PageState {
        match (self.by_worker <= step, self.by_zygote <= step) {
            (true, _) if self.gone <= step => PageState::Gone,
            (true, true) => PageState::BrokenByBoth,
            (true, false) => PageState::BrokenByWorker,
            (false, true) => PageState::BrokenByZygote,
            (false, false) => PageState::Shared,
        }
    }
}

/// The last state of a page and what it looked like before.
fn cell(
    page: u32,
    written: Written,
    last: u8,
    ghosts: u64,
    random: &mut Random,
) -> (PageCell, Vec<Transition>) {
    let first = written.by_worker.min(written.by_zygote);
    if first == NO_STEP {
        return (PageCell::default(), Vec::new());
    }
    let compared = random.below(300) > 0;
    let ends_as_ghost = random.below(100) < ghosts;
    let differs_from =
        if ends_as_ghost { NO_STEP } else { (first + u8::from(random.below(40) == 0)).min(last) };
    let content_at = |step: u8| match written.state_at(step) {
        PageState::Shared | PageState::Gone => Content::NotCompared,
        _ if !compared => Content::NotCompared,
        _ if differs_from <= step => Content::Differs,
        _ => Content::Equal,
    };
    let seen_at = |step: u8| (written.state_at(step), content_at(step));
    let earlier = (first..last)
        .filter(|&until| seen_at(until) != seen_at(until + 1))
        .map(|until| Transition { page, until, state: seen_at(until).0, content: seen_at(until).1 })
        .collect();
    let (state, content) = seen_at(last);
    let bytes_changed = if content == Content::Differs {
        1 + u16::try_from(random.below(random.0 % 900 + 1)).unwrap_or(0)
    } else {
        0
    };
    (PageCell { state, step: first, content, bytes_changed }, earlier)
}

fn step(shape: Shape, history: &PageHistory, index: u8) -> Step {
    let grown = |pages: u32| pages * (u32::from(index) + 1) / (u32::from(shape.steps) + 1);
    let diffs: Vec<Diff> = history
        .workers
        .iter()
        .map(|worker| Diff {
            states: worker.at_step(index).into_iter().map(|(state, _)| state).collect(),
            fresh: worker
                .fresh
                .iter()
                .map(|&(first, len)| Vpn(first)..Vpn(first + u64::from(grown(len))))
                .collect(),
        })
        .collect();
    let page_tables = history.len() as u64 * 8 + 64 * 1024;
    let members: Vec<_> = history
        .workers
        .iter()
        .zip(&diffs)
        .map(|(worker, diff)| (4101 + worker.worker, page_tables, diff))
        .collect();
    let ledger = Ledger::of_states((4100, page_tables), 40, &members);
    let workers: Vec<WorkerStep> =
        history.workers.iter().zip(&diffs).map(|(worker, diff)| worker_step(worker, diff, index)).collect();
    let unique: u64 = workers.iter().map(|w| (w.broken_by_worker + w.fresh) * PAGE_SIZE).sum();
    let regions = broken_by_region(history, &diffs);
    Step {
        name: match (index, shape.server) {
            (0, _) => "fork".into(),
            (1, true) => "1 request".into(),
            (_, true) => format!("{} requests", 10_u64.pow(u32::from(index) - 1)),
            _ => STEP_NAMES[usize::from(index - 1) % STEP_NAMES.len()].into(),
        },
        requests: shape.server.then(|| if index == 0 { 0 } else { 10_u64.pow(u32::from(index) - 1) }),
        seconds: 0.125 * f64::from(index),
        causes: BTreeMap::new(),
        fresh_regions: BTreeMap::new(),
        changed_regions: BTreeMap::new(),
        regions,
        cross_check: CrossCheck {
            workers_private_dirty: unique + 6 * PAGE_SIZE,
            workers_unique: unique,
            family_pss_anon: ledger.pss_bytes() + 2 * PAGE_SIZE,
            family_distinct: ledger.distinct_frames * PAGE_SIZE,
            workers_anon_huge: 0,
        },
        ledger,
        workers,
    }
}

fn broken_by_region(history: &PageHistory, diffs: &[Diff]) -> BTreeMap<String, u64> {
    let mut regions = BTreeMap::new();
    let mut at = 0;
    for run in &history.runs {
        let cells = at..at + run.len as usize;
        at = cells.end;
        let broken: usize = diffs
            .iter()
            .map(|diff| diff.states[cells.clone()].iter().filter(|state| state.broken()).count())
            .sum();
        if broken > 0 {
            *regions.entry(history.regions[run.region as usize].clone()).or_default() += broken as u64;
        }
    }
    regions
}

fn worker_step(worker: &WorkerPages, diff: &Diff, index: u8) -> WorkerStep {
    let pages = worker.at_step(index);
    let broken = || pages.iter().filter(|(state, _)| state.broken());
    let with = |content: Content| broken().filter(|page| page.1 == content).count() as u64;
    let by_zygote_only = |content: Content| {
        broken().filter(|page| **page == (PageState::BrokenByZygote, content)).count() as u64
    };
    let differing = worker.cells.iter().zip(&pages).filter(|(_, page)| page.1 == Content::Differs);
    WorkerStep {
        worker: worker.worker,
        pid: 4101 + worker.worker,
        inherited: worker.cells.len() as u64,
        broken: broken().count() as u64,
        broken_by_worker: diff.count(PageState::by_worker),
        broken_by_zygote: diff.count(PageState::by_zygote),
        ghost: with(Content::Equal),
        uncompared: with(Content::NotCompared),
        ghost_zygote_only: by_zygote_only(Content::Equal),
        uncompared_zygote_only: by_zygote_only(Content::NotCompared),
        fresh: diff.fresh_pages(),
        gone: diff.count(|state| state == PageState::Gone),
        bytes_changed: differing.map(|(cell, _)| u64::from(cell.bytes_changed)).sum(),
        nanoseconds: 0,
    }
}

/// Xorshift: the same numbers on every machine and in every version.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }
}
