//! Accounts for every broken page: broken = explained + kernel writes + floor + unexplained.

use crate::family::Cause;
use crate::family::recording::{Reconciliation, Recording, step_number};
use std::collections::BTreeMap;

/// Counts the causes of the pages that are broken after each step, and the sum of the last one.
///
/// A recording without rows had no witness: what its first step broke is the floor, all else is
/// unexplained.
pub fn reconcile(recording: &mut Recording, lost_samples: u64) {
    let steps = recording.steps.len();
    let counts: Vec<BTreeMap<Cause, u64>> = (0..steps).map(|index| count(recording, index)).collect();
    for (step, counts) in recording.steps.iter_mut().zip(&counts) {
        step.causes = counts.iter().map(|(cause, &pages)| (cause.name().to_owned(), pages)).collect();
    }
    let last = counts.last().cloned().unwrap_or_default();
    let of = |cause: Cause| last.get(&cause).copied().unwrap_or(0);
    let broken: u64 = last.values().sum();
    let (kernel_writes, floor, unexplained) =
        (of(Cause::KernelWrite), of(Cause::Floor), of(Cause::Unexplained));
    recording.reconciliation = Reconciliation {
        broken,
        explained: broken - kernel_writes - floor - unexplained,
        kernel_writes,
        floor,
        unexplained,
        lost_samples,
    };
}

/// Pages broken after a step, by the cause of their first write.
fn count(recording: &Recording, index: usize) -> BTreeMap<Cause, u64> {
    let broken: u64 = recording.steps[index].workers.iter().map(|worker| worker.broken).sum();
    let mut counts = BTreeMap::new();
    let mut add = |cause: Cause, pages: u64| {
        if pages > 0 {
            *counts.entry(cause).or_insert(0) += pages;
        }
    };
    if recording.breaks.rows.is_empty() {
        let floor = recording.steps[0].workers.iter().map(|worker| worker.broken).sum::<u64>().min(broken);
        add(Cause::Floor, floor);
        add(Cause::Unexplained, broken - floor);
        return counts;
    }
    let mut told = 0;
    for pages in &recording.pages.workers {
        if !recording.steps[index].workers.iter().any(|worker| worker.worker == pages.worker) {
            continue;
        }
        let seen = pages.at_step(step_number(index));
        for row in recording.breaks.of_worker(pages.worker) {
            if seen.get(row.page as usize).is_some_and(|(state, _)| state.broken()) {
                add(row.cause, 1);
                told += 1;
            }
        }
    }
    // Steps beyond the last number share it: what cannot be told apart there is not explained.
    add(Cause::Unexplained, broken.saturating_sub(told));
    counts
}
