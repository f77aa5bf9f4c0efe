//! `forkprint record`: any program that forks, started with the agent preloaded in record mode.
//!
//! `session` listens to what its processes report and finds the zygote; `family` measures it.

mod family;
mod program;
mod schedule;
mod session;
mod worker;

use self::program::Program;
use self::session::{End, Session};
use super::options::{Baseline, MeasureOptions};
use super::progress::Progress;
use super::run::about_this_machine;
use super::{Course, Measurement, RunOutcome, Trace};
use crate::cpython::offsets::Offsets;
use crate::error::{Error, Result};
use crate::family::Witness;
use crate::family::recording::{About, Finding};
use crate::kernel::agent::{Agent, Letter, Post};
use crate::kernel::caps::{self, Caps};
use crate::kernel::spawn::{ProcessGroup, adopt_orphans, describe_exit};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long processes may take to end when the recording is over.
const GRACE: Duration = Duration::from_secs(5);

/// What to record, and how.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Text in the command line of the process that forks the workers; told by itself otherwise.
    pub zygote: Option<String>,
    /// Age of the workers at the first look; later ages double.
    pub interval: Duration,
    /// When to stop; otherwise when the program ends, or the user interrupts.
    pub duration: Option<Duration>,
    /// How to measure.
    pub measure: MeasureOptions,
    /// The command line that repeats this, for the report.
    pub command_line: String,
}

/// Runs a program and measures the family of the process in it that forks workers.
///
/// Errors: it could not be started, or no process of it kept forked children.
pub fn record(options: &RecordOptions, progress: &Progress) -> Result<RunOutcome> {
    caps::ensure_page_size()?;
    options.measure.choose_rung(Caps::get())?;
    options.measure.choose_witness(Caps::get())?;
    let agent = Agent::prepare().and_then(Agent::that_can_be_named)?;
    let post = Post::open()?;
    let [program, arguments @ ..] = &options.command[..] else {
        return Err(Error::new("there is no program to record").fix("forkprint record -- PROGRAM"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if std::io::stdin().is_terminal() {
        // In a group of its own it may not read from our terminal.
        command.stdin(Stdio::null());
    }
    command.stdout(std::io::stderr());
    post.preload(&mut command, agent.library());
    adopt_orphans()?;
    let group = ProcessGroup::spawn(command, Vec::new())?;
    progress.now("waiting for a process that forks");
    let mut session = Session::new(options, progress, post, group);
    let ended = session.run();
    progress.now("explaining the writes");
    let measured = session.take_family().filter(family::Family::had_workers);
    let others = std::mem::take(&mut session.others);
    let outcome = match (ended, measured) {
        (Ok(end), Some(mut family)) => {
            note_end(&mut family, end, &others);
            let (recording, error) = family.finish(true);
            Ok(RunOutcome { recording, error, course: Course::default() })
        }
        (Err(error), Some(mut family)) => {
            family.cut_short(&error);
            let (recording, _) = family.finish(false);
            Ok(RunOutcome { recording, error: Some(error), course: Course::default() })
        }
        (Ok(end), None) => Err(nobody_stayed(end, &others)),
        (Err(error), None) => Err(error),
    };
    session.stop(GRACE);
    outcome
}

fn note_end(family: &mut family::Family, end: End, others: &[Program]) {
    match end {
        End::Ended(status) => family.note(format!("the command ended with {}", describe_exit(status))),
        End::Time => family.note("the command was stopped when its time was over"),
        End::Interrupt => family.note("the command was stopped by an interrupt"),
    }
    let mut names: Vec<&str> = others
        .iter()
        .filter(|other| other.pid != family.zygote.pid && !family.zygote.is_image_of(other.pid))
        .map(|other| other.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        family.note(format!(
            "{} forked too and was not measured; --zygote TEXT chooses by command line",
            names.join(", ")
        ));
    }
}

fn nobody_stayed(end: End, others: &[Program]) -> Error {
    let how = match end {
        End::Ended(status) => format!("it ended with {}", describe_exit(status)),
        End::Time => "its time was over".into(),
        End::Interrupt => return Error::interrupted(),
    };
    let error = Error::new("the command kept no forked child");
    if others.is_empty() {
        error.why(format!("{how}, and no process of it called fork(), or the agent could not be preloaded into it (a static program, or one that drops LD_PRELOAD)")).fix("record the program that forks its workers itself; for one workload: forkprint run")
    } else {
        error.why(format!("{how}; the children of {} processes ended or executed other programs at once, or were not chosen", others.len())).fix("name the process that forks the workers: --zygote TEXT-OF-ITS-COMMAND-LINE")
    }
}

/// Reads a zygote that stands still, about to fork. Also gives whether it is to watch itself.
fn begin(
    options: &RecordOptions,
    zygote: &Program,
    reference: u32,
    frames: bool,
    letters: Vec<Letter>,
) -> Result<(Measurement, bool)> {
    let (witness, weaker) = options.measure.choose_witness(Caps::get())?;
    let mut agent = Agent::prepare()?;
    for letter in letters {
        agent.deliver(letter);
    }
    let mut trace = match witness {
        Witness::Sigtrap => Trace::agent(agent),
        Witness::Ring => Trace::ring(zygote.pid, Some(agent))?,
        Witness::None => Trace::none(),
    };
    if let Some(note) = weaker {
        trace.note(note);
    }
    let python = (zygote.python_minor > 0).then_some((3, zygote.python_minor));
    match python.map(Offsets::of_version) {
        Some(Ok(offsets)) => trace.read_python_with(offsets),
        Some(Err(error)) => trace.note(format!("lines and objects have no names: {}", error.what())),
        None => {}
    }
    if python.is_some() && !frames && witness == Witness::Sigtrap {
        trace.note("breaks have no lines: the agent finds frames elsewhere than this Python says they are");
    }
    let baseline =
        Baseline { zygote_pid: zygote.pid, reference_pid: Some(reference), python, ..Baseline::default() };
    let measurement = Measurement::begin(about(options, zygote), baseline, &options.measure, trace)?;
    Ok((measurement, witness == Witness::Sigtrap))
}

fn about(options: &RecordOptions, zygote: &Program) -> About {
    let program = options.command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    About {
        title: program.to_string_lossy().into_owned(),
        command: options.command_line.clone(),
        runtime: "command".into(),
        runtime_version: zygote.runtime(),
        ..about_this_machine()
    }
}

/// Why a recording ends early; the steps before it are kept.
fn cut_short(error: &Error) -> Finding {
    Finding {
        code: "FP902".into(),
        title: "The recording ended early".into(),
        evidence: error.to_string(),
        fix: error.suggested_fix().unwrap_or("run it again to the end").to_owned(),
    }
}
