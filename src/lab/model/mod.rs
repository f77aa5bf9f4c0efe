//! What a cell should come to: pages that a worker writes, computed from a profile of the program and
//! the definition of the policy. `docs/lab.md` derives the formulas.
//!
//! A [`Profile`] says which objects a program makes, which of them live and which it uses; it knows
//! nothing of addresses. For each policy the model lays the objects out by the sizes alone
//! ([`places`]), and counts the pages that the policy has to write ([`memory`], [`code`], [`fixed`]).
//! Nothing here runs a collector, a compiler or a fork. Only the mean size of compiled instructions comes
//! from looking at what the runtime makes ([`code`]).

mod code;
mod fixed;
mod memory;
mod pages;
mod places;

use super::policy::PolicySpec;
use crate::error::Error;
use crate::interrupt;
use crate::report::matrix::{Cell, RegionPages};
use crate::runtimes::toy::{GcPolicy, Profile};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The profile of a program; nothing if it fails or takes too long, which its cells will tell.
///
/// A program that never ends is left to its thread: the cells of the matrix have their own deadline.
pub(super) fn profile_within(path: &Path, limit: Duration) -> Option<Profile> {
    let (sender, receiver) = channel();
    let file = path.to_owned();
    let run = move || {
        let profile = Profile::of(&file).map_err(|error: Error| tracing::info!(%error, "no profile"));
        let _nobody_waits_any_more = sender.send(profile.ok());
    };
    thread::Builder::new().name("profile".into()).spawn(run).ok()?;
    let began = Instant::now();
    loop {
        match receiver.recv_timeout(interrupt::POLL) {
            Ok(profile) => return profile,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if interrupt::check().is_err() || began.elapsed() > limit => {
                return None;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Pages that one worker writes in each region, after each step.
pub fn predict(profile: &Profile, spec: PolicySpec) -> Vec<BTreeMap<&'static str, u64>> {
    let parts = [
        memory::predict(profile, spec),
        code::predict(profile, spec),
        fixed::predict(profile, spec.gc == GcPolicy::Copying),
    ];
    (0..profile.steps.len())
        .map(|step| parts.iter().flat_map(|part| part[step].iter().copied()).collect())
        .collect()
}

/// Writes what is expected beside what was measured.
pub(super) fn fill_in(cell: &mut Cell, profile: &Profile, spec: PolicySpec) {
    for (step, expected) in cell.steps.iter_mut().zip(predict(profile, spec)) {
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
