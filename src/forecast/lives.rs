//! What recordings tell about the lives of workers: when each inherited page was first written, and
//! what the worker made for itself.

use super::AgeUnit;
use crate::error::{Error, Result};
use crate::family::recording::{Content, PageHistory, Recording, Step, WorkerPages};
use crate::family::{PageState, Rung};

/// Least snapshots after the fork that a fit needs: two tell a line, a third one whether it bends.
pub const LEAST_SNAPSHOTS: usize = 3;

/// The workers of one or several recordings of the same program.
#[derive(Debug, Clone, PartialEq)]
pub struct Lives {
    /// Name of the program.
    pub title: String,
    /// Evidence.
    pub rung: Rung,
    /// Recordings.
    pub recordings: u32,
    /// What ages are counted in.
    pub unit: AgeUnit,
    /// Private pages of the zygote at the fork.
    pub inherited: f64,
    /// Frames that live on in the zygote, or only because of what the zygote wrote: all distinct frames
    /// less the workers' own.
    pub zygote: f64,
    /// Page tables of one worker, in bytes.
    pub page_tables: f64,
    /// Page tables of the zygote, in bytes.
    pub zygote_page_tables: f64,
    /// Names of the classes of pages.
    pub classes: Vec<String>,
    /// By recording, then by inherited page: index of its class.
    pub class_of_page: Vec<Vec<u32>>,
    /// The workers that were measured to the end.
    pub workers: Vec<Life>,
    /// Part of the broken pages at the end whose bytes really differ, from 0 to 1.
    pub differing: f64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// Index of its recording.
    pub recording: usize,
    /// By inherited page: twice the snapshot that first saw it broken by the worker, one more where it
    /// was gone unbroken, or [`Life::STAYED`].
    pub fates: Vec<u16>,
    /// Its age at each snapshot; the first is that at the fork, 0.
    pub ages: Vec<f64>,
    /// By class, then by snapshot: pages first seen broken by the worker.
    pub broken: Vec<Vec<f64>>,
    /// By class, then by snapshot: pages seen to be gone, unbroken.
    pub gone: Vec<Vec<f64>>,
    /// By class: inherited pages.
    pub pages: Vec<f64>,
    /// By snapshot: pages that it had made for itself.
    pub fresh: Vec<f64>,
}

impl Life {
    /// The page was as at the fork at the last snapshot.
    pub const STAYED: u16 = u16::MAX;

    /// Notes the pages that left the race by a snapshot.
    fn look(&mut self, snapshot: u8, pages: &[(PageState, Content)], class_of_page: &[u32]) {
        for (page, &(state, _)) in pages.iter().enumerate().filter(|&(_, &(state, _))| leaves(state)) {
            if self.fates[page] == Self::STAYED {
                let broken = state.by_worker();
                self.fates[page] = 2 * u16::from(snapshot) + u16::from(!broken);
                let counts = if broken { &mut self.broken } else { &mut self.gone };
                counts[class_of_page[page] as usize][usize::from(snapshot)] += 1.0;
            }
        }
    }

    /// The age at its last snapshot.
    pub fn last_age(&self) -> f64 {
        self.ages.last().copied().unwrap_or(0.0)
    }

    /// Pages of all classes broken up to each snapshot.
    pub fn broken_so_far(&self) -> Vec<f64> {
        let at = |snapshot: usize| self.broken.iter().map(|class| class[snapshot]).sum::<f64>();
        (0..self.ages.len())
            .scan(0.0, |sum, snapshot| {
                *sum += at(snapshot);
                Some(*sum)
            })
            .collect()
    }

    /// Pages of all classes.
    pub fn all_pages(&self) -> f64 {
        self.pages.iter().sum()
    }
}

impl Lives {
    /// Gathers the workers of recordings.
    ///
    /// Errors: they are of different programs, hold no pages, or are too short for a fit (says how much
    /// more is needed).
    pub fn of(recordings: &[Recording]) -> Result<Self> {
        let Some(first) = recordings.first() else {
            return Err(Error::new("there is nothing to fit a forecast to").fix("name a capture"));
        };
        for other in recordings {
            require_same_program(first, other)?;
            require_enough(other)?;
        }
        let classes = classes_of(recordings);
        let class_of_page: Vec<Vec<u32>> =
            recordings.iter().map(|recording| class_of_page(&recording.pages, &classes)).collect();
        let workers: Vec<Life> = recordings
            .iter()
            .zip(&class_of_page)
            .enumerate()
            .flat_map(|(index, (recording, of_page))| lives(index, recording, of_page, classes.len()))
            .collect();
        if workers.is_empty() {
            return Err(Error::new("no worker lived to the end of the measurement")
                .location(&first.about.title)
                .fix("measure again with workers that live: a higher max_requests, or fewer requests"));
        }
        let mean = |of: fn(&Recording) -> f64| average(recordings.iter().map(of));
        Ok(Self {
            title: first.about.title.clone(),
            rung: recordings.iter().map(|recording| recording.about.rung).max().unwrap_or(first.about.rung),
            recordings: u32::try_from(recordings.len()).unwrap_or(u32::MAX),
            unit: unit_of(first),
            inherited: mean(|recording| number(recording.pages.len() as u64)),
            zygote: mean(zygote_frames),
            page_tables: mean(worker_page_tables),
            zygote_page_tables: mean(zygote_page_tables),
            classes,
            class_of_page,
            workers,
            differing: mean(differing),
        })
    }

    /// The least age above zero at which a worker was looked at.
    pub fn first_age(&self) -> f64 {
        let ages = self.workers.iter().flat_map(|life| life.ages.iter().copied());
        let first = ages.filter(|&age| age > 0.0).fold(f64::INFINITY, f64::min);
        if first.is_finite() { first } else { 1.0 }
    }

    /// The age of the oldest worker at its last snapshot.
    pub fn last_age(&self) -> f64 {
        self.workers.iter().map(Life::last_age).fold(0.0, f64::max)
    }

    /// Least number of snapshots of a worker, without the one at the fork.
    pub fn snapshots(&self) -> usize {
        self.workers.iter().map(|life| life.ages.len() - 1).min().unwrap_or(0)
    }
}

fn require_same_program(first: &Recording, other: &Recording) -> Result<()> {
    let program = |recording: &Recording| (recording.about.title.clone(), recording.about.runtime.clone());
    if program(first) == program(other) {
        return Ok(());
    }
    Err(Error::new("cannot fit one forecast to different programs")
        .why(format!("one capture is of {}, another of {}", first.about.title, other.about.title))
        .fix("forecast each by itself"))
}

fn require_enough(recording: &Recording) -> Result<()> {
    let refuse = |why: String, fix: &str| {
        Err(Error::new("the capture is too short to forecast from")
            .location(&recording.about.title)
            .why(why)
            .fix(fix))
    };
    if recording.pages.is_empty() || recording.workers.is_empty() {
        return refuse(
            "it holds no pages of workers".into(),
            "measure a family: forkprint analyze, run or record",
        );
    }
    let snapshots = recording.steps.len().saturating_sub(1);
    if snapshots < LEAST_SNAPSHOTS {
        return refuse(
            format!(
                "it has {snapshots} snapshot{} after the fork, and a curve needs {LEAST_SNAPSHOTS} or more: {} more",
                if snapshots == 1 { "" } else { "s" },
                LEAST_SNAPSHOTS - snapshots
            ),
            "more milestones in the load file (milestones = [1, 2, 5, 10, 20, 50, 100]), or more steps in the workload",
        );
    }
    Ok(())
}

fn unit_of(recording: &Recording) -> AgeUnit {
    if recording.steps.iter().any(|step| step.requests.is_some()) {
        AgeUnit::Requests
    } else {
        AgeUnit::Steps
    }
}

fn classes_of(recordings: &[Recording]) -> Vec<String> {
    let mut classes: Vec<String> =
        recordings.iter().flat_map(|recording| recording.pages.regions.iter().cloned()).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// The workers of one recording that were there at every snapshot.
fn lives(index: usize, recording: &Recording, class_of_page: &[u32], classes: usize) -> Vec<Life> {
    let steps = &recording.steps[..recording.steps.len().min(usize::from(u8::MAX))];
    let ages: Vec<f64> = steps.iter().enumerate().map(|(index, step)| age(step, index)).collect();
    let of_worker = |worker: &WorkerPages| {
        let fresh: Option<Vec<f64>> = steps.iter().map(|step| fresh_of(step, worker.worker)).collect();
        let mut life = Life {
            recording: index,
            fates: vec![Life::STAYED; worker.cells.len()],
            ages: ages.clone(),
            broken: vec![vec![0.0; ages.len()]; classes],
            gone: vec![vec![0.0; ages.len()]; classes],
            pages: vec![0.0; classes],
            fresh: fresh?,
        };
        for &class in class_of_page {
            life.pages[class as usize] += 1.0;
        }
        for snapshot in 0..u8::try_from(ages.len()).ok()? {
            life.look(snapshot, &worker.at_step(snapshot), class_of_page);
        }
        Some(life)
    };
    recording.pages.workers.iter().filter_map(of_worker).collect()
}

/// Whether a page in this state is out of the race: written by the worker, or mapped no longer.
fn leaves(state: PageState) -> bool {
    state.by_worker() || state == PageState::Gone
}

fn class_of_page(pages: &PageHistory, classes: &[String]) -> Vec<u32> {
    let mut of_page = Vec::with_capacity(pages.len());
    for run in &pages.runs {
        let name = pages.regions.get(run.region as usize);
        let class = name.and_then(|name| classes.binary_search(name).ok()).unwrap_or(0);
        of_page.extend(std::iter::repeat_n(u32::try_from(class).unwrap_or(0), run.len as usize));
    }
    of_page
}

/// Requests that a worker had served, if all served equally many; else steps.
fn age(step: &Step, index: usize) -> f64 {
    match step.requests {
        Some(requests) => number(requests) / number(step.workers.len().max(1) as u64),
        None => number(index as u64),
    }
}

fn fresh_of(step: &Step, worker: u32) -> Option<f64> {
    step.workers.iter().find(|found| found.worker == worker).map(|found| number(found.fresh))
}

/// Distinct frames less what workers broke or made: it hardly depends on their number.
fn zygote_frames(recording: &Recording) -> f64 {
    let Some(step) = recording.steps.last() else { return 0.0 };
    let own: u64 = step.workers.iter().map(|worker| worker.broken_by_worker + worker.fresh).sum();
    number(step.ledger.distinct_frames.saturating_sub(own))
}

fn worker_page_tables(recording: &Recording) -> f64 {
    let shares = recording.steps.last().map_or(&[][..], |step| &step.ledger.shares);
    average(shares.iter().skip(1).map(|share| number(share.page_table_bytes)))
}

fn zygote_page_tables(recording: &Recording) -> f64 {
    let shares = recording.steps.last().map_or(&[][..], |step| &step.ledger.shares);
    shares.first().map_or(0.0, |share| number(share.page_table_bytes))
}

fn differing(recording: &Recording) -> f64 {
    let workers = recording.steps.last().map_or(&[][..], |step| &step.workers);
    let broken: u64 = workers.iter().map(|worker| worker.broken).sum();
    let same: u64 = workers.iter().map(|worker| worker.ghost + worker.uncompared).sum();
    if broken == 0 { 0.0 } else { number(broken.saturating_sub(same)) / number(broken) }
}

/// The mean; zero of nothing.
pub(super) fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts of pages and bytes stay far below 2^52")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
impl Life {
    /// A worker without pages that was looked at at these ages.
    pub fn of_ages(ages: &[f64]) -> Self {
        Self {
            recording: 0,
            fates: Vec::new(),
            ages: ages.to_vec(),
            broken: Vec::new(),
            gone: Vec::new(),
            pages: Vec::new(),
            fresh: vec![0.0; ages.len()],
        }
    }
}
