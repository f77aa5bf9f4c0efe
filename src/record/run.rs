//! One workload under the supervisor: load, fork, then one snapshot after each step.

use super::measure::Measurement;
use super::options::{Baseline, MeasureOptions};
use super::progress::Progress;
use super::trace::Trace;
use super::watch::Watch;
use crate::cpython::offsets::Offsets;
use crate::error::{Error, Result};
use crate::explain::toy::Collector;
use crate::family::recording::{About, Fate, Finding, Recording};
use crate::family::{Rung, Witness};
use crate::kernel::caps::{self, Caps, kernel_release, machine};
use crate::kernel::remote::SharedMemory;
use crate::runtimes::toy::GcPolicy;
use crate::runtimes::{StepFailure, Workload};
use crate::servers::gunicorn::AtFork;
use crate::supervisor::Family;
use crate::supervisor::family::{StepOutcome, tell};
use crate::supervisor::protocol::{Loaded, Watching, ranges};
use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The program and the options of its runtime.
    pub workload: Workload,
    /// Number of workers to fork, at least one.
    pub workers: usize,
    /// Longest wait for the load, a fork, or a step.
    pub timeout: Duration,
    /// Evidence to use; the best one otherwise.
    pub rung: Option<Rung>,
    /// How to witness breaks; the best way otherwise.
    pub witness: Option<Witness>,
    /// Re-executes this program.
    pub self_command: Vec<OsString>,
    /// The command line that repeats the measurement, for the report.
    pub command: String,
    /// Throw away what the workload prints; it goes to stderr otherwise.
    pub mute: bool,
}

/// What was measured, and why it ended early if it did.
#[derive(Debug)]
pub struct RunOutcome {
    /// Everything up to the end or the failure.
    pub recording: Recording,
    /// The failure.
    pub error: Option<Error>,
    /// How it went, apart from memory.
    pub course: Course,
}

/// How a measurement went, apart from memory.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Course {
    /// Seconds from the start until the zygote could fork.
    pub startup_seconds: f64,
    /// Requests, or steps of one worker, a second; without the time that looking took.
    pub throughput: Option<f64>,
    /// Threads of the zygote at the fork.
    pub zygote_threads: usize,
    /// What a gunicorn master showed at its first fork.
    pub at_fork: Option<AtFork>,
}

/// What a memory policy of the toy runtime does to objects that are there already.
const fn collector(policy: GcPolicy) -> Collector {
    match policy {
        GcPolicy::MarkHeader => Collector::Marks,
        GcPolicy::Refcount => Collector::Counts,
        GcPolicy::Copying | GcPolicy::Compacting | GcPolicy::Generational => Collector::Moves,
        GcPolicy::MarkBitmap | GcPolicy::RefcountSide | GcPolicy::None => Collector::Beside,
    }
}

/// Runs a workload to its end.
///
/// Errors: it could not be loaded or forked, so that nothing was measured. What happens later ends
/// the measurement, but keeps what it found.
pub fn run(options: &RunOptions, progress: &Progress) -> Result<RunOutcome> {
    if options.workers == 0 {
        return Err(Error::new("cannot measure a family without workers").fix("use -w 1 or more"));
    }
    caps::ensure_page_size()?;
    let measure = MeasureOptions { rung: options.rung, witness: options.witness, code_in_worker: true };
    let rung = measure.choose_rung(Caps::get())?;
    let watch = Watch::prepare(&measure)?;
    progress.now(format!("loading {}", options.workload.path.display()));
    let began = Instant::now();
    let (mut family, loaded) = Family::start(
        &options.self_command,
        &options.workload,
        options.workers,
        options.timeout,
        options.mute,
        watch.agent(),
    )?;
    let mut course = Course {
        startup_seconds: began.elapsed().as_secs_f64(),
        zygote_threads: threads(family.zygote_pid())?,
        ..Course::default()
    };
    let frozen = family.freeze(rung == Rung::Scan)?;
    let baseline = Baseline {
        zygote_pid: family.zygote_pid(),
        reference_pid: Some(frozen.pid),
        regions: frozen.regions,
        collector: collector(options.workload.toy.gc),
        instrument: ranges(&frozen.instrument),
        tracked: ranges(&frozen.tracked),
        python: loaded.python,
    };
    progress.now("reading the zygote");
    let trace = begin(watch, family.zygote_pid(), &frozen.watched, loaded.python)?;
    let mut measurement = Measurement::begin(about(options, &loaded), baseline, &measure, trace)?;
    for _ in 0..options.workers {
        measurement.add_still_worker(family.fork()?)?;
    }
    let measured = measure_steps(&mut family, &mut measurement, &loaded, progress);
    let error = measured.unwrap_or_else(|error| {
        measurement.add_finding(cut_short(&error));
        Some(error)
    });
    progress.now("explaining the writes");
    let recording = measurement.finish(error.is_none());
    family.stop();
    course.throughput = steps_a_second(&recording);
    Ok(RunOutcome { recording, error, course })
}

/// Threads of a process.
pub fn threads(pid: u32) -> Result<usize> {
    let tasks = format!("/proc/{pid}/task");
    let found = fs::read_dir(&tasks).map(Iterator::count);
    found.map_err(|error| Error::new("cannot count the zygote's threads").path(tasks).why(error))
}

/// Steps that a worker does in a second of its own clock, over all workers; `None` where nobody timed any.
fn steps_a_second(recording: &Recording) -> Option<f64> {
    let timed = recording.steps.iter().flat_map(|step| &step.workers).filter(|worker| worker.nanoseconds > 0);
    let (count, seconds) = timed.fold((0_u32, 0.0), |(count, seconds), worker| {
        (count + 1, seconds + Duration::from_nanos(worker.nanoseconds).as_secs_f64())
    });
    (count > 0).then(|| f64::from(count) / seconds)
}

/// Begins to watch a zygote, given what became of the agent in it.
fn begin(mut watch: Watch, zygote: u32, watched: &Watching, python: Option<(u8, u8)>) -> Result<Trace> {
    match watched {
        Watching::NotPreloaded => watch.go_without(
            "the agent could not be preloaded (is the folder for temporary files mounted noexec?)",
            Some("name another folder: TMPDIR=…".into()),
        )?,
        Watching::Since { refused: true, .. } => {
            let refused = watch.refusal(zygote)?;
            let why = refused.map_or_else(|| "the agent gave up".into(), |refused| refused.why());
            watch.fall_back(&why, refused.and_then(|refused| refused.raise()))?;
        }
        Watching::Since { refused: false, .. } | Watching::NotAsked => {}
    }
    let mut trace = watch.begin(zygote)?;
    let Some(version) = python else { return Ok(trace) };
    let offsets = match watched {
        Watching::Since { python: Some(Err(why)), .. } => Err(why.clone()),
        Watching::Since { python: Some(Ok(runtime)), .. } => offsets(zygote, version, *runtime),
        _ => offsets(zygote, version, None),
    };
    match offsets {
        Ok(offsets) => trace.read_python_with(offsets),
        Err(why) => trace.note(format!("lines and objects have no names: {why}")),
    }
    Ok(trace)
}

/// How the `CPython` of a zygote is laid out, given the address of its `_PyRuntime`.
fn offsets(zygote: u32, version: (u8, u8), runtime: Option<u64>) -> Result<Offsets, String> {
    let memory = SharedMemory::open(zygote).map_err(|error| error.to_string())?;
    Offsets::of_process(version, &memory, runtime).map_err(|error| error.what().to_owned())
}

/// Snapshots at the fork and after each step; a worker that fails is a finding, and an error at the
/// end, but does not keep the others from being measured. Gives the first such failure; fails when the
/// measurement could not go on.
fn measure_steps(
    family: &mut Family,
    measurement: &mut Measurement,
    loaded: &Loaded,
    progress: &Progress,
) -> Result<Option<Error>> {
    measurement.snapshot("fork", None)?;
    let mut first_failure = None;
    for (index, name) in loaded.steps.iter().enumerate() {
        progress.now(format!("step {name} ({} of {})", index + 1, loaded.steps.len()));
        if loaded.zygote_steps.contains(&index) {
            if let Err(failure) = family.run_in_zygote(index)? {
                first_failure.get_or_insert(zygote_failed(measurement, failure, name));
            }
            measurement.snapshot(name, None)?;
            continue;
        }
        for (worker, outcome) in family.run_step(index, name)? {
            if let Some(error) = note_outcome(measurement, worker, outcome, name) {
                first_failure.get_or_insert(error);
            }
        }
        if let Some(how) = family.zygote_ended() {
            return Err(Error::new(format!("the zygote ended in step '{name}'"))
                .pid(family.zygote_pid())
                .why(format!("it ended with {how}, and its workers with it"))
                .fix("look for what ends it: a signal that a worker sends, or too little memory"));
        }
        if measurement.workers_alive() == 0 {
            break;
        }
        measurement.snapshot(name, None)?;
    }
    Ok(first_failure)
}

/// Notes that a step in the zygote did not finish. The family lives on.
fn zygote_failed(measurement: &mut Measurement, failure: StepFailure, step: &str) -> Error {
    let title = format!("step '{step}' raised in the zygote");
    let detail = failure.traceback.unwrap_or(failure.message);
    let fix = "run the step by itself in a plain interpreter first";
    measurement.add_finding(Finding {
        code: "FP900".into(),
        title: title.clone(),
        evidence: detail.clone(),
        fix: fix.into(),
    });
    Error::new(title).why(detail).fix(fix)
}

fn cut_short(error: &Error) -> Finding {
    Finding {
        code: "FP902".into(),
        title: "The measurement ended early".into(),
        evidence: error.to_string(),
        fix: error.suggested_fix().unwrap_or("run it again to the end").to_owned(),
    }
}

fn note_outcome(
    measurement: &mut Measurement,
    worker: usize,
    outcome: StepOutcome,
    step: &str,
) -> Option<Error> {
    let (fate, detail) = match outcome {
        StepOutcome::Done { nanoseconds } => {
            measurement.note_time(worker, nanoseconds);
            return None;
        }
        StepOutcome::Ended(fate) => (fate.clone(), tell(&fate)),
        StepOutcome::Failed(failure) => {
            let fate = Fate::Failed { message: failure.message.clone(), step: step.into() };
            (fate, failure.traceback.unwrap_or(failure.message))
        }
    };
    let title = match &fate {
        Fate::Failed { .. } => format!("step '{step}' raised in worker {worker}"),
        Fate::Hung { .. } => format!("worker {worker} hung in step '{step}'"),
        _ => format!("worker {worker} died in step '{step}'"),
    };
    let fix = match &fate {
        Fate::Hung { .. } => "raise --timeout if the step is only slow",
        _ => "run the step by itself in a plain interpreter first",
    };
    measurement.worker_ended(u32::try_from(worker).unwrap_or(u32::MAX), fate);
    measurement.add_finding(Finding {
        code: "FP900".into(),
        title: title.clone(),
        evidence: detail.clone(),
        fix: fix.into(),
    });
    Some(Error::new(title).why(detail).fix(fix))
}

fn about(options: &RunOptions, loaded: &Loaded) -> About {
    let file = options.workload.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    About {
        title: file.unwrap_or_default(),
        description: loaded.description.clone(),
        command: options.command.clone(),
        runtime: loaded.runtime.clone(),
        runtime_version: loaded.version.clone(),
        notes: loaded.notes.clone(),
        ..about_this_machine()
    }
}

/// The parts of [`About`] that every measurement on this machine shares.
pub fn about_this_machine() -> About {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    About {
        created_unix: now.map_or(0, |elapsed| elapsed.as_secs()),
        kernel: kernel_release(),
        machine: machine(),
        uid: nix::unistd::geteuid().as_raw(),
        ..About::default()
    }
}
