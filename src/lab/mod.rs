//! The laboratory: the same programs under every policy of the toy runtime, measured and predicted.
//!
//! A *cell* is one program under one policy, run under the supervisor like any workload (`cell`). Cells
//! run beside each other, each a family of its own (`schedule`). What the [`model`] expects of a cell is
//! computed from profiles of the program and the policy's definition, and never from a measurement.

mod cell;
pub mod model;
mod policy;
mod programs;
mod schedule;

pub use policy::PolicySpec;
pub use programs::{ProgramFile, Programs};

use crate::error::{Error, Result};
use crate::family::Rung;
use crate::family::recording::About;
use crate::kernel::Caps;
use crate::record::MeasureOptions;
use crate::record::progress::Progress;
use crate::record::run::about_this_machine;
use crate::report::matrix::{Cell, Failure, Matrix, Policy, Program, SCHEMA_VERSION};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to measure, and how.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Built-in programs by name, or files; none means every built-in one.
    pub programs: Vec<String>,
    /// The policies to compare.
    pub policies: Vec<PolicySpec>,
    /// Workers of each family.
    pub workers: usize,
    /// Cells that are measured at once.
    pub jobs: usize,
    /// Longest wait for the load, a fork, or a step.
    pub timeout: Duration,
    /// Evidence to use; the best one otherwise.
    pub rung: Option<Rung>,
    /// Folder for the capture of every cell.
    pub captures: Option<PathBuf>,
    /// Replace captures that are there.
    pub force: bool,
    /// Re-executes this program.
    pub self_command: Vec<OsString>,
    /// The command line that repeats the matrix.
    pub command: String,
}

/// Measures every program under every policy.
///
/// An interrupt ends it early: the matrix then holds what was measured until then, and says so. Errors:
/// the request makes no sense, or not a single cell could be measured.
pub fn run(options: &LabOptions, progress: &Progress) -> Result<Matrix> {
    let programs = Programs::choose(&options.programs)?;
    check(options)?;
    cell::check_captures(&programs.files, &options.policies, options)?;
    let began = Instant::now();
    let measure = MeasureOptions { rung: options.rung, witness: None, code_in_worker: true };
    let about = About { rung: measure.choose_rung(Caps::get())?, ..about_this_machine() };
    let results = schedule::run(&programs.files, options, progress);
    let mut matrix = assemble(&programs, options, about, results);
    matrix.seconds = began.elapsed().as_secs_f64();
    if let (true, Some(failure)) = (matrix.cells.is_empty(), matrix.failures.first()) {
        return Err(Error::new("no cell of the matrix could be measured")
            .why(format!("{} on {}: {}", failure.policy, failure.program, failure.why))
            .fix("try one cell first: forkprint run PROGRAM --gc POLICY"));
    }
    if matrix.cells.is_empty() {
        return Err(Error::interrupted());
    }
    Ok(matrix)
}

fn check(options: &LabOptions) -> Result<()> {
    if options.policies.is_empty() {
        return Err(
            Error::new("there is no policy to compare").fix("name some: --policies mark-bitmap,mark-header")
        );
    }
    if options.workers == 0 {
        return Err(Error::new("cannot measure a family without workers").fix("use -w 1 or more"));
    }
    Ok(())
}

/// The matrix of the results, in the order of programs and policies.
fn assemble(programs: &Programs, options: &LabOptions, about: About, results: schedule::Results) -> Matrix {
    let mut described = Vec::new();
    let mut cells: Vec<Cell> = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    let mut complete = true;
    let mut outcomes = results.outcomes.into_iter();
    for (file, inputs) in programs.files.iter().zip(&results.inputs) {
        let mut program = Program { name: file.name.clone(), description: String::new(), steps: Vec::new() };
        for (spec, outcome) in options.policies.iter().zip(outcomes.by_ref()) {
            let failed = |why| Failure { program: file.name.clone(), policy: spec.to_string(), why };
            match outcome {
                Some(Ok(mut measured)) => {
                    if let Some(inputs) = inputs {
                        model::fill_in(&mut measured.cell, inputs, *spec);
                    }
                    program.description = measured.description;
                    program.steps = measured.cell.steps.iter().map(|step| step.step.clone()).collect();
                    cells.push(measured.cell);
                }
                Some(Err(error)) if error.is_interrupt() => complete = false,
                Some(Err(error)) => failures.push(failed(error.in_one_line())),
                None => complete = false,
            }
        }
        described.push(program);
    }
    let policy = |spec: &PolicySpec| Policy { name: spec.to_string(), description: spec.description() };
    Matrix {
        schema_version: SCHEMA_VERSION,
        command: options.command.clone(),
        created_unix: about.created_unix,
        forkprint_version: about.forkprint_version,
        kernel: about.kernel,
        machine: about.machine,
        rung: about.rung,
        page_size: about.page_size,
        workers: options.workers,
        seconds: 0.0,
        complete,
        policies: options.policies.iter().map(policy).collect(),
        programs: described,
        cells,
        failures,
    }
}
