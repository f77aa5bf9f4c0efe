//! Limits that an earlier recording sets: its own values and a tolerance.

use super::{Check, Measure, Percent, Reading, check, no_such_step, nobody_lived, readings};
use crate::error::{Error, Result};
use crate::family::recording::Recording;
use crate::units::Bytes;

/// Pages by which any two runs may differ: allocators and loaders place things as chance has it.
const NOISE_PAGES: u64 = 32;

/// How much more than the baseline is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance(pub Percent);

impl Tolerance {
    fn allows(self, baseline_bytes: u64) -> u64 {
        baseline_bytes + self.0.of(baseline_bytes).max(Bytes::of_pages(NOISE_PAGES).0)
    }
}

/// Holds every step of a recording to the step of the same name of an earlier one. Gives remarks as well.
///
/// Errors: a step of either is missing in the other, so that a change could go unseen.
pub fn against_baseline(
    recording: &Recording,
    baseline: &Recording,
    tolerance: Tolerance,
    only: Option<&str>,
) -> Result<(Vec<Check>, Vec<String>)> {
    let names = step_names(recording, only)?;
    let theirs = step_names(baseline, only).map_err(|error| error.location("the baseline"))?;
    let missing = |from: &[String], of: &[String]| of.iter().find(|name| !from.contains(name)).cloned();
    if let Some(step) = missing(&names, &theirs) {
        return Err(differ(format!("step '{step}' of the baseline is not in the capture")));
    }
    if let Some(step) = missing(&theirs, &names) {
        return Err(differ(format!("step '{step}' of the capture is not in the baseline")));
    }
    let mut notes = Vec::new();
    let as_many = recording.workers.len() == baseline.workers.len();
    if !as_many {
        notes.push(format!(
            "the baseline has {} workers and the capture {}: the family's memory is not compared",
            baseline.workers.len(),
            recording.workers.len()
        ));
    }
    if recording.about.rung != baseline.about.rung {
        notes.push(format!(
            "the baseline rests on evidence '{}' and the capture on '{}'",
            baseline.about.rung.name(),
            recording.about.rung.name()
        ));
    }
    let measures = Measure::COMPARED.into_iter().filter(|&measure| as_many || measure != Measure::Family);
    let mut checks = Vec::new();
    for measure in measures {
        for name in &names {
            let (Some(now), Some(before)) =
                (worst(recording, measure, name)?, worst(baseline, measure, name)?)
            else {
                continue;
            };
            let before = Bytes::of_pages(before.pages).0;
            let limit = format!("baseline {} + {}", Bytes(before), tolerance.0);
            checks.push(check(recording, measure, &now, tolerance.allows(before), limit, Some(before))?);
        }
    }
    if checks.is_empty() { Err(nobody_lived()) } else { Ok((checks, notes)) }
}

/// Names of the steps, each once, in order.
fn step_names(recording: &Recording, only: Option<&str>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for step in &recording.steps {
        if only.is_none_or(|name| name == step.name) && !names.contains(&step.name) {
            names.push(step.name.clone());
        }
    }
    match only {
        Some(name) if names.is_empty() => Err(no_such_step(recording, name)),
        _ => Ok(names),
    }
}

fn worst(recording: &Recording, measure: Measure, step: &str) -> Result<Option<Reading>> {
    Ok(readings(recording, measure, Some(step))?.into_iter().max_by_key(|reading| reading.pages))
}

fn differ(why: String) -> Error {
    Error::new("cannot compare the capture with the baseline")
        .why(why)
        .fix("measure the baseline again, or compare one step with --step")
}
