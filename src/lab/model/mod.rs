//! What a cell should come to: pages that a worker writes, computed from a profile of the program and
//! the definition of the policy. `docs/lab.md` derives the formulas.
//!
//! Its `inputs` are runs of the program in one process, that nobody measures. They say which objects it
//! makes, which of them live and which it uses, and how large the code is that the compiler makes of it;
//! they know nothing of addresses. For each policy the model lays the objects out by the sizes alone
//! (`places`), and counts the pages that the policy has to write (`memory`, `code`, `fixed`).
//! Nothing here runs a collector or a fork, and nothing is fitted to a measurement.

mod code;
mod fixed;
mod inputs;
mod memory;
mod pages;
mod places;

pub use inputs::Inputs;

use super::policy::PolicySpec;
use crate::report::matrix::{Cell, RegionPages};
use crate::runtimes::toy::GcPolicy;
use std::collections::BTreeMap;

/// Pages that one worker writes in each region, after each step.
pub fn predict(inputs: &Inputs, spec: PolicySpec) -> Vec<BTreeMap<&'static str, u64>> {
    let profile = inputs.profile(spec.gc);
    let parts = [
        memory::predict(profile, spec),
        code::predict(profile, &inputs.code(spec), spec.jit),
        fixed::predict(profile, spec.gc == GcPolicy::Copying),
    ];
    (0..profile.steps.len())
        .map(|step| parts.iter().flat_map(|part| part[step].iter().copied()).collect())
        .collect()
}

/// Writes what is expected beside what was measured.
pub(super) fn fill_in(cell: &mut Cell, inputs: &Inputs, spec: PolicySpec) {
    for (step, expected) in cell.steps.iter_mut().zip(predict(inputs, spec)) {
        step.predicted = Some(to_number(expected.values().sum()));
        for (name, pages) in expected {
            match step.regions.iter_mut().find(|region| region.name == name) {
                Some(region) => region.predicted = Some(to_number(pages)),
                None => step.regions.push(RegionPages {
                    name: name.to_owned(),
                    predicted: Some(to_number(pages)),
                    ..RegionPages::default()
                }),
            }
        }
        for region in &mut step.regions {
            region.predicted.get_or_insert(0.0);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "page counts stay far below 2^52")]
fn to_number(pages: u64) -> f64 {
    pages as f64
}
