//! A recording held to limits: those that somebody wrote down, and those that an earlier recording sets.
//!
//! Counts of workers are judged by the worst of them, after the step at which it is worst.

pub mod text;

mod baseline;
mod limit;

pub use baseline::{Tolerance, against_baseline};
pub use limit::{Limit, Percent};

use super::summary::Split;
use crate::error::{Error, Result};
use crate::family::recording::{Fate, Recording, Step, WorkerStep};
use crate::family::{Cause, Witness};
use crate::units::Bytes;
use serde::Serialize;

/// Version of the JSON output. Fields are added, never removed or renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Inherited pages that a worker no longer shares.
    Broken,
    /// Copies a worker made whose bytes are still those of the fork.
    Ghost,
    /// Private pages that a worker made after the fork.
    Fresh,
    /// Broken pages of all workers without a known cause.
    Unexplained,
    /// Private memory of zygote and workers together, each frame counted once.
    Family,
}

impl Measure {
    /// What is compared with a baseline: what does not depend on the witness.
    const COMPARED: [Self; 4] = [Self::Broken, Self::Ghost, Self::Fresh, Self::Family];

    /// The name in options and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Ghost => "ghost",
            Self::Fresh => "fresh",
            Self::Unexplained => "unexplained",
            Self::Family => "family",
        }
    }

    /// What a percentage of it is a percentage of.
    const fn whole(self) -> &'static str {
        match self {
            Self::Broken | Self::Ghost | Self::Fresh => "inherited",
            Self::Unexplained => "broken",
            Self::Family => "the zygote",
        }
    }
}

/// One value after one step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    step: String,
    /// Index of the worker; none where the whole family is meant.
    worker: Option<u32>,
    pages: u64,
    /// What a percentage is taken of.
    whole: u64,
    /// Pages that might belong to it as well: they could not be compared.
    unsure: u64,
}

/// One value held to one limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is limited.
    pub measure: Measure,
    /// Step after which it was measured.
    pub step: String,
    /// The worst worker; none where the whole family is meant.
    pub worker: Option<u32>,
    /// Measured.
    pub measured_bytes: u64,
    /// Allowed at most.
    pub allowed_bytes: u64,
    /// The limit in the words of whoever set it.
    pub limit: String,
    /// The same value of the baseline, where that sets the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_bytes: Option<u64>,
    /// More was measured than is allowed.
    pub exceeded: bool,
    /// How much more, in bytes.
    pub excess_bytes: u64,
    /// Where the workers broke the most pages after this step, with bytes over all workers; only
    /// where it was exceeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<(String, u64)>,
}

/// All that was checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The capture that was checked.
    pub capture: String,
    /// The capture it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Whether the measurement went to its end.
    pub complete: bool,
    /// Checks that were exceeded.
    pub exceeded: usize,
    /// Every check.
    pub checks: Vec<Check>,
    /// What a reader has to know of the comparison.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Sums up.
    pub fn new(capture: String, baseline: Option<String>, complete: bool, checks: Vec<Check>) -> Self {
        let exceeded = checks.iter().filter(|check| check.exceeded).count();
        Self {
            schema_version: SCHEMA_VERSION,
            capture,
            baseline,
            complete,
            exceeded,
            checks,
            notes: Vec::new(),
        }
    }

    /// The stable JSON output.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).map(|json| json + "\n").unwrap_or_default()
    }
}

/// Holds a recording to limits, after the step `only` or after the worst step of each.
///
/// Errors: there is no such step, or the value was not measured.
pub fn against_limits(
    recording: &Recording,
    limits: &[(Measure, Limit)],
    only: Option<&str>,
) -> Result<Vec<Check>> {
    let judge = |&(measure, limit): &(Measure, Limit)| {
        let readings = readings(recording, measure, only)?;
        // The worst is the one that exceeds the limit by most: a share has a base of its own.
        let excess = |reading: &Reading| (i128::from(reading.pages), -i128::from(limit.bytes(reading.whole)));
        let worst = readings
            .iter()
            .max_by_key(|reading| {
                let (pages, allowed) = excess(reading);
                pages * i128::from(crate::units::PAGE_SIZE) + allowed
            })
            .ok_or_else(nobody_lived)?;
        let allowed = limit.bytes(worst.whole);
        let told = match limit {
            Limit::Bytes(_) => limit.to_string(),
            Limit::Share(_) => format!("{limit} of {}", measure.whole()),
        };
        check(recording, measure, worst, allowed, told, None)
    };
    limits.iter().map(judge).collect()
}

/// The last reason to distrust a recording: it did not go to its end, or a worker did not.
pub fn incomplete(recording: &Recording) -> Option<String> {
    if !recording.about.complete {
        let told = recording.findings.iter().find(|finding| finding.code == "FP902");
        return Some(told.map_or("the measurement ended early".into(), |finding| finding.evidence.clone()));
    }
    recording.workers.iter().find_map(|info| {
        let worker = info.worker;
        match &info.fate {
            Fate::Finished | Fate::Exited { code: 0, .. } => None,
            // What a server does to workers it replaces.
            Fate::Killed { signal, .. } if signal == "SIGTERM" => None,
            Fate::Exited { code, step } => {
                Some(format!("worker {worker} left with exit status {code} in step '{step}'"))
            }
            Fate::Killed { signal, step } => {
                Some(format!("worker {worker} was killed by {signal} in step '{step}'"))
            }
            Fate::Failed { message, step } => {
                Some(format!("step '{step}' raised in worker {worker}: {message}"))
            }
            Fate::Hung { step } => Some(format!("worker {worker} hung in step '{step}'")),
        }
    })
}

/// Judges one reading. A ghost count that is only a lower bound judges nothing it might exceed.
fn check(
    recording: &Recording,
    measure: Measure,
    reading: &Reading,
    allowed_bytes: u64,
    limit: String,
    baseline_bytes: Option<u64>,
) -> Result<Check> {
    let measured_bytes = Bytes::of_pages(reading.pages).0;
    let exceeded = measured_bytes > allowed_bytes;
    if !exceeded && Bytes::of_pages(reading.pages + reading.unsure).0 > allowed_bytes {
        return Err(Error::new(format!("cannot check {}", measure.name()))
            .location(format!("step '{}'", reading.step))
            .why(format!(
                "the fork-time bytes of {} broken pages could not be read: they may be ghosts or not",
                reading.unsure
            ))
            .fix("limit --max-broken instead, or measure where `forkprint doctor` finds that memory can be read"));
    }
    let step = recording.steps.iter().find(|step| step.name == reading.step);
    Ok(Check {
        measure,
        step: reading.step.clone(),
        worker: reading.worker,
        measured_bytes,
        allowed_bytes,
        limit,
        baseline_bytes,
        exceeded,
        excess_bytes: measured_bytes.saturating_sub(allowed_bytes),
        regions: step.filter(|_| exceeded).map(|step| most_broken(step, measure)).unwrap_or_default(),
    })
}

fn most_broken(step: &Step, measure: Measure) -> Vec<(String, u64)> {
    let counts = match measure {
        Measure::Fresh => &step.fresh_regions,
        _ => &step.regions,
    };
    let mut regions: Vec<(String, u64)> =
        counts.iter().map(|(name, &pages)| (name.clone(), Bytes::of_pages(pages).0)).collect();
    regions.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    regions.truncate(3);
    regions
}

/// Every value of a measure, one a step and worker.
fn readings(recording: &Recording, measure: Measure, only: Option<&str>) -> Result<Vec<Reading>> {
    if measure == Measure::Unexplained && recording.about.witness == Witness::None {
        return Err(Error::new("cannot check unexplained")
            .why("the capture was made without a witness of writes, so nothing in it is explained")
            .fix("`forkprint doctor` says which witnesses this machine allows; then measure again"));
    }
    let is_meant = |step: &&Step| only.is_none_or(|name| step.name == name);
    let steps: Vec<&Step> = recording.steps.iter().filter(is_meant).collect();
    if let (Some(name), true) = (only, steps.is_empty()) {
        return Err(no_such_step(recording, name));
    }
    let zygote = recording.zygote.private_pages;
    Ok(steps
        .into_iter()
        .filter(|step| !step.workers.is_empty())
        .flat_map(|step| of_step(step, measure, zygote))
        .collect())
}

fn of_step(step: &Step, measure: Measure, zygote: u64) -> Vec<Reading> {
    let whole_family =
        |pages, whole| vec![Reading { step: step.name.clone(), worker: None, pages, whole, unsure: 0 }];
    match measure {
        Measure::Family => whole_family(step.ledger.distinct_frames, zygote),
        Measure::Unexplained => {
            let pages = step.causes.get(Cause::Unexplained.name()).copied().unwrap_or(0);
            whole_family(pages, step.workers.iter().map(|worker| worker.broken).sum())
        }
        Measure::Broken | Measure::Ghost | Measure::Fresh => {
            step.workers.iter().map(|worker| of_worker(step, worker, measure)).collect()
        }
    }
}

fn of_worker(step: &Step, worker: &WorkerStep, measure: Measure) -> Reading {
    let (pages, unsure) = match measure {
        Measure::Ghost => (Split::of(worker).ghost, Split::of(worker).uncompared),
        Measure::Fresh => (worker.fresh, 0),
        _ => (worker.broken, 0),
    };
    let (step, whole) = (step.name.clone(), worker.inherited);
    Reading { step, worker: Some(worker.worker), pages, whole, unsure }
}

fn no_such_step(recording: &Recording, name: &str) -> Error {
    let names: Vec<&str> = recording.steps.iter().map(|step| step.name.as_str()).collect();
    Error::new(format!("there is no step '{name}'")).fix(format!("--step with one of: {}", names.join(", ")))
}

fn nobody_lived() -> Error {
    Error::new("cannot check the capture").why("no worker lived long enough to be measured")
}

#[cfg(test)]
mod tests;
