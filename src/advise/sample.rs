//! The numbers of one measured run.

use crate::family::Cause;
use crate::family::breaks::Break;
use crate::family::recording::{Content, Recording, Step, WorkerStep};
use crate::record::Course;
use crate::report::advice::Split;
use crate::units::PAGE_SIZE;
use std::collections::BTreeMap;

/// One run, in bytes, at the end of the load.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Distinct frames of the family.
    pub family: f64,
    /// Broken in all workers together.
    pub broken: f64,
    /// Of `broken`, copies that bought nothing.
    pub ghosts: f64,
    /// Made after the fork, in all workers together.
    pub fresh: f64,
    /// Workers alive.
    pub workers: f64,
    /// Seconds from the start until the zygote could fork.
    pub startup: f64,
    /// Requests or steps a second.
    pub throughput: f64,
}

impl Sample {
    /// The numbers of a run; `None` where no worker lived to be measured.
    pub fn of(recording: &Recording, course: &Course) -> Option<Self> {
        let step = last_step(recording)?;
        let sum = |of: fn(&WorkerStep) -> u64| bytes(step.workers.iter().map(of).sum());
        Some(Self {
            family: bytes(step.ledger.distinct_frames),
            broken: sum(|worker| worker.broken),
            ghosts: sum(|worker| worker.ghost),
            fresh: sum(|worker| worker.fresh),
            workers: number(step.workers.len() as u64),
            startup: course.startup_seconds,
            throughput: course.throughput.unwrap_or_default(),
        })
    }
}

/// The last step at which a worker lived.
fn last_step(recording: &Recording) -> Option<&Step> {
    recording.steps.iter().rfind(|step| !step.workers.is_empty())
}

/// The broken bytes of one worker by what wrote them first: of all workers at the last step, the mean.
pub fn split(recording: &Recording) -> Split {
    let Some(step) = last_step(recording) else { return Split::default() };
    let alive: Vec<u32> = step.workers.iter().map(|worker| worker.worker).collect();
    let causes: BTreeMap<(u32, u32), Cause> = recording
        .breaks
        .rows
        .iter()
        .map(|Break { worker, page, cause, .. }| ((*worker, *page), *cause))
        .collect();
    let mut pages = Split::default();
    for worker in recording.pages.workers.iter().filter(|worker| alive.contains(&worker.worker)) {
        for (page, cell) in (0..).zip(&worker.cells).filter(|(_, cell)| cell.state.broken()) {
            let of = match (cell.content, causes.get(&(worker.worker, page))) {
                (Content::Differs, _) => &mut pages.real,
                (_, Some(Cause::GcHeader | Cause::GcMark | Cause::GcMove)) => &mut pages.collector,
                (_, Some(Cause::Refcount)) => &mut pages.refcount,
                (_, Some(Cause::LazyCache | Cause::Specialize)) => &mut pages.caches,
                _ => &mut pages.other,
            };
            *of += 1.0;
        }
    }
    scaled(pages, bytes(1) / number(alive.len().max(1) as u64))
}

/// The same parts of another whole.
pub fn scaled(split: Split, factor: f64) -> Split {
    Split {
        collector: split.collector * factor,
        refcount: split.refcount * factor,
        caches: split.caches * factor,
        other: split.other * factor,
        real: split.real * factor,
    }
}

/// All parts together.
pub const fn whole(split: &Split) -> f64 {
    split.collector + split.refcount + split.caches + split.other + split.real
}

fn bytes(pages: u64) -> f64 {
    number(pages * PAGE_SIZE)
}

#[expect(clippy::cast_precision_loss, reason = "sizes and counts, far below 2^53")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::{Shape, recording};

    #[test]
    fn the_parts_of_a_worker_add_up_to_what_is_broken_in_it() {
        let recording = recording(Shape { pages: 3000, workers: 3, steps: 4, server: true, seed: 11 });
        let course = Course { startup_seconds: 1.5, throughput: Some(20.0), ..Course::default() };
        let sample = Sample::of(&recording, &course).unwrap();
        let split = split(&recording);
        assert!(sample.broken > 0.0 && sample.ghosts <= sample.broken);
        assert!((whole(&split) * sample.workers - sample.broken).abs() < 1.0, "{split:?} {sample:?}");
        assert!((whole(&split) - split.real) * sample.workers >= sample.ghosts - 1.0);
        assert!(split.refcount > 0.0);
        assert!(Sample::of(&Recording::default(), &course).is_none());
    }
}
