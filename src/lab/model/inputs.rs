//! What the model computes from: profiles of one program, taken once for all policies.

use crate::error::{Error, Result};
use crate::interrupt;
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{CodeProfile, GcPolicy, JitMode, Profile, ToyOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Profiles of one program.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Where the dead stay until a collection.
    traced: Profile,
    /// Where references are counted, if a policy does that.
    counted: Option<Profile>,
    /// What the compiler makes, by what its code depends on.
    code: BTreeMap<(&'static str, &'static str), CodeProfile>,
}

impl Inputs {
    /// Runs a program as often as these policies need.
    ///
    /// Errors: the program cannot be read or compiled, or fails.
    pub fn of(path: &Path, policies: &[PolicySpec]) -> Result<Self> {
        let mut inputs = Self { traced: Profile::of(path, GcPolicy::default())?, ..Self::default() };
        for spec in policies {
            if counts(spec.gc) && inputs.counted.is_none() {
                inputs.counted = Some(Profile::of(path, GcPolicy::Refcount)?);
            }
            if !matches!(spec.jit, JitMode::Off | JitMode::Warm) && !inputs.code.contains_key(&key(*spec)) {
                let options = ToyOptions { gc: barriers_of(spec.gc), jit: spec.jit, ..ToyOptions::default() };
                inputs.code.insert(key(*spec), CodeProfile::of(path, options)?);
            }
        }
        Ok(inputs)
    }

    /// The same; nothing if the program fails or takes too long, which its cells will tell.
    ///
    /// A program that never ends is left to its thread: the cells of the matrix have their own deadline.
    pub(in crate::lab) fn within(path: &Path, policies: &[PolicySpec], limit: Duration) -> Option<Self> {
        let (sender, receiver) = channel();
        let (file, policies) = (path.to_owned(), policies.to_owned());
        let run = move || {
            let inputs = Self::of(&file, &policies);
            let inputs = inputs.map_err(|error: Error| tracing::info!(%error, "no profile"));
            let _nobody_waits_any_more = sender.send(inputs.ok());
        };
        thread::Builder::new().name("profile".into()).spawn(run).ok()?;
        let began = Instant::now();
        loop {
            match receiver.recv_timeout(interrupt::POLL) {
                Ok(inputs) => return inputs,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if interrupt::check().is_err() || began.elapsed() > limit => {
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The objects' lives under this policy.
    pub(super) fn profile(&self, gc: GcPolicy) -> &Profile {
        self.counted.as_ref().filter(|_| counts(gc)).unwrap_or(&self.traced)
    }

    /// The code that this policy compiles to; none where nothing is compiled.
    pub(super) fn code(&self, spec: PolicySpec) -> CodeProfile {
        self.code.get(&key(spec)).cloned().unwrap_or_default()
    }
}

/// Whether objects die with the last reference to them.
const fn counts(gc: GcPolicy) -> bool {
    matches!(gc, GcPolicy::Refcount | GcPolicy::RefcountSide)
}

/// A policy whose compiled code does as much at writes of references.
const fn barriers_of(gc: GcPolicy) -> GcPolicy {
    match gc {
        GcPolicy::Refcount | GcPolicy::RefcountSide | GcPolicy::Generational => gc,
        _ => GcPolicy::MarkBitmap,
    }
}

fn key(spec: PolicySpec) -> (&'static str, &'static str) {
    (barriers_of(spec.gc).word(), spec.jit.word())
}
