//! Runs cells beside each other until all are done, or an interrupt comes.

use super::LabOptions;
use super::cell;
use super::model::Inputs;
use super::policy::PolicySpec;
use super::programs::ProgramFile;
use crate::error::Result;
use crate::interrupt;
use crate::record::progress::Progress;
use crate::report::matrix::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A cell, and what its program says of itself.
pub(super) struct Measured {
    pub(super) cell: Cell,
    pub(super) description: String,
}

/// What came of all the work.
pub(super) struct Results {
    /// By program, then by policy; nothing where an interrupt came first.
    pub(super) outcomes: Vec<Option<Result<Measured>>>,
    /// By program; nothing where it could not be profiled.
    pub(super) inputs: Vec<Option<Inputs>>,
}

/// One thing to do.
enum Job<'a> {
    Profile(&'a ProgramFile),
    Measure(&'a ProgramFile, PolicySpec),
}

enum Done {
    Profile(Option<Box<Inputs>>),
    Measure(Result<Measured>),
}

/// Profiles every program and measures every cell, so many at once.
pub(super) fn run(programs: &[ProgramFile], options: &LabOptions, progress: &Progress) -> Results {
    let cells = programs
        .iter()
        .flat_map(|program| options.policies.iter().map(move |&spec| Job::Measure(program, spec)));
    let jobs: Vec<Job<'_>> = programs.iter().map(Job::Profile).chain(cells).collect();
    let mut done = work_off(&jobs, options, progress);
    let outcomes = done.split_off(programs.len());
    Results {
        outcomes: outcomes
            .into_iter()
            .map(|done| match done {
                Some(Done::Measure(outcome)) => Some(outcome),
                _ => None,
            })
            .collect(),
        inputs: done
            .into_iter()
            .map(|done| match done {
                Some(Done::Profile(inputs)) => inputs.map(|inputs| *inputs),
                _ => None,
            })
            .collect(),
    }
}

/// Does all jobs, in order of their start; answers in their order. After an interrupt none begins.
fn work_off(jobs: &[Job<'_>], options: &LabOptions, progress: &Progress) -> Vec<Option<Done>> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let answers: Mutex<Vec<Option<Done>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index).filter(|_| interrupt::check().is_ok()) else { return };
            progress.now(format!(
                "{} ({} of {})",
                job.name(),
                finished.load(Ordering::Relaxed) + 1,
                jobs.len()
            ));
            let done = job.run(options);
            finished.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut answers) = answers.lock() {
                answers[index] = Some(done);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..options.jobs.clamp(1, jobs.len().max(1)) {
            scope.spawn(worker);
        }
        worker();
    });
    answers.into_inner().unwrap_or_default()
}

impl Job<'_> {
    fn name(&self) -> String {
        match self {
            Self::Profile(program) => format!("{}: profile", program.name),
            Self::Measure(program, spec) => format!("{}: {spec}", program.name),
        }
    }

    fn run(&self, options: &LabOptions) -> Done {
        match self {
            Self::Profile(program) => {
                Done::Profile(Inputs::within(&program.path, &options.policies, options.timeout).map(Box::new))
            }
            Self::Measure(program, spec) => {
                let measured = cell::measure(program, *spec, options);
                Done::Measure(
                    measured
                        .map(|(cell, recording)| Measured { cell, description: recording.about.description }),
                )
            }
        }
    }
}
