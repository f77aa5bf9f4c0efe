//! One cell: one program under one policy, measured by the supervisor.

use super::LabOptions;
use super::policy::PolicySpec;
use super::programs::ProgramFile;
use crate::capture;
use crate::error::{Error, Result};
use crate::family::Witness;
use crate::family::recording::{Recording, Step};
use crate::record::progress::Progress;
use crate::record::{RunOptions, RunOutcome, run};
use crate::report::matrix::{Cell, CellStep, RegionPages};
use crate::runtimes::Workload;
use std::path::{Path, PathBuf};

/// Measures a cell, and keeps its capture where that was asked for.
///
/// Errors: the runtime refused the policy or the program, or a step failed.
pub(super) fn measure(
    program: &ProgramFile,
    spec: PolicySpec,
    options: &LabOptions,
) -> Result<(Cell, Recording)> {
    // A signal at every break would be measured as the time of the step: only captures ask who wrote.
    let witness = options.captures.is_none().then_some(Witness::None);
    let outcome = run(
        &RunOptions {
            workload: Workload { toy: spec.options(), ..Workload::new(&program.path) },
            workers: options.workers,
            timeout: options.timeout,
            rung: options.rung,
            witness,
            self_command: options.self_command.clone(),
            command: format!("forkprint run {} -w {} {}", program.shown, options.workers, spec.flags()),
            mute: true,
        },
        &Progress::silent(),
    )?;
    let RunOutcome { mut recording, error, .. } = outcome;
    error.map_or(Ok(()), Err)?;
    recording.about.title = format!("{} {spec}", program.name);
    let mut cell = Cell {
        program: program.name.clone(),
        policy: spec.to_string(),
        inherited: recording.zygote.runtime_regions.values().sum(),
        capture: None,
        steps: recording.steps.iter().skip(1).map(|step| step_of(step, &recording)).collect(),
    };
    if let Some(folder) = &options.captures {
        let path = capture_path(folder, &program.name, spec);
        capture::write(&recording, &path, options.force)?;
        cell.capture = Some(path.display().to_string());
    }
    Ok((cell, recording))
}

/// Where the capture of a cell is kept.
pub(super) fn capture_path(folder: &Path, program: &str, spec: PolicySpec) -> PathBuf {
    folder.join(format!("{program}--{spec}.{}", capture::EXTENSION))
}

/// Refuses captures that would be refused after everything was measured.
pub(super) fn check_captures(
    programs: &[ProgramFile],
    policies: &[PolicySpec],
    options: &LabOptions,
) -> Result<()> {
    let Some(folder) = &options.captures else { return Ok(()) };
    if folder.is_file() {
        return Err(Error::new("cannot keep captures there")
            .path(folder)
            .why("it is a file")
            .fix("name a folder"));
    }
    for program in programs {
        for spec in policies {
            capture::check_destination(&capture_path(folder, &program.name, *spec), options.force)?;
        }
    }
    Ok(())
}

/// One step, in pages of the mean worker.
fn step_of(step: &Step, recording: &Recording) -> CellStep {
    let workers = step.workers.len().max(1) as u64;
    let mean = |sum: Option<&u64>| sum.copied().unwrap_or(0).div_ceil(workers);
    let regions: Vec<RegionPages> = recording
        .zygote
        .runtime_regions
        .iter()
        .map(|(name, &inherited)| RegionPages {
            name: name.clone(),
            inherited,
            broken: mean(step.regions.get(name)),
            fresh: mean(step.fresh_regions.get(name)),
            bytes_changed: mean(step.changed_regions.get(name)),
            predicted: None,
        })
        .collect();
    let total = |of: fn(&RegionPages) -> u64| regions.iter().map(of).sum();
    CellStep {
        step: step.name.clone(),
        broken: total(|region| region.broken),
        fresh: total(|region| region.fresh),
        gone: mean(Some(&step.workers.iter().map(|worker| worker.gone).sum())),
        bytes_changed: total(|region| region.bytes_changed),
        nanoseconds: mean(Some(&step.workers.iter().map(|worker| worker.nanoseconds).sum())),
        regions,
        ..CellStep::default()
    }
    .with_totals()
}
