//! Made-up evidence for tests of edge cases; the truth is measured in `tests/advise_rules`.

use super::{Change, Evidence, Judgement, Target};
use crate::family::recording::{Recording, Step, WorkerStep};
use std::path::Path;

/// A workload and what was measured with it: two workers and a step that broke nothing.
pub struct Sample {
    pub recording: Recording,
    pub text: String,
}

impl Sample {
    pub fn python(text: &str) -> Self {
        let mut recording = Recording::default();
        recording.about.runtime_version = "CPython 3.12.1".into();
        let workers = vec![WorkerStep { inherited: 10_000, ..WorkerStep::default() }; 2];
        let step = |name: &str| Step { name: name.into(), workers: workers.clone(), ..Step::default() };
        recording.steps = vec![step("fork"), step("serve")];
        Self { recording, text: text.into() }
    }

    pub fn with<T>(&self, judge: impl Fn(&Evidence<'_>) -> T) -> T {
        let target = Target::Python { path: Path::new("work.py"), text: &self.text };
        judge(&Evidence { target, recording: &self.recording, zygote_threads: 1, paths: &[] })
    }
}

pub const fn applies(judgement: &Judgement) -> bool {
    matches!(judgement, Judgement::Applies { .. })
}

/// The variables of a change, `NAME=VALUE`.
pub fn variables(change: &Change) -> Vec<String> {
    change.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
}
