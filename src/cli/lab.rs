//! `forkprint lab`: programs × policies of the toy runtime.

use super::Invocation;
use super::output::{self, DocumentArgs, Format};
use super::toy;
use crate::error::{EXIT_OK, Error, Result};
use crate::family::Rung;
use crate::lab::{LabOptions, PolicySpec, run as measure};
use crate::record::progress::Progress;
use crate::report::matrix::{Matrix, html, text};
use crate::report::shell_word;
use crate::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode};
use clap::Args;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  forkprint lab                                     every built-in toy program, 20 policies
  forkprint lab -o matrix.html                      the same as a report to read
  forkprint lab --program gc_marks --gc mark-header,mark-bitmap --jit patch,off
  forkprint lab --program mine.toy --policies refcount,refcount+freeze,copying+off --captures cells

A policy is words joined by +: memory, allocation order, what is done at the fork, compiler; what is
not said is as by default. `mark-bitmap+freeze` is `forkprint run --gc mark-bitmap --at-fork freeze`.";

/// Run the same toy programs under every policy, and see which policy keeps the most memory shared
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LabArgs {
    /// A built-in program or a .toy file; may be repeated [default: every built-in one]
    #[arg(short, long = "program", value_name = "PROGRAM")]
    programs: Vec<String>,
    /// Policies to compare: `default`, `all`, or a list like mark-bitmap,refcount+freeze [default: default]
    #[arg(long, value_name = "LIST", conflicts_with_all = ["gc", "alloc", "at_fork", "jit"])]
    policies: Option<String>,
    /// Memory policies to combine with the other axes
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = toy::memory_policies())]
    gc: Vec<GcPolicy>,
    /// Allocation orders to combine with the other axes
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = toy::allocation_orders())]
    alloc: Vec<AllocOrder>,
    /// What is done at the fork, to combine with the other axes
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = toy::things_at_fork())]
    at_fork: Vec<AtFork>,
    /// Compiler modes to combine with the other axes
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = toy::compiler_modes())]
    jit: Vec<JitMode>,
    /// Workers of each family
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// Families that run at once [default: one a processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Longest wait for the load and for each step, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Evidence to use: pfn, scan, exclusive [default: the best that works here]
    #[arg(long, value_name = "RUNG", value_parser = super::evidence::page_rungs())]
    rung: Option<Rung>,
    /// Keep the measurement of every cell in this folder, for `forkprint report`; times then include
    /// that of witnessing every write
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    captures: Option<PathBuf>,
    #[command(flatten)]
    document: DocumentArgs,
}

/// Runs the verb.
pub fn run(mut args: LabArgs, invocation: &Invocation) -> Result<i32> {
    args.document.quiet = invocation.quiet;
    args.document.check()?;
    let options = LabOptions {
        policies: args.policies()?,
        programs: args.programs,
        workers: args.workers,
        jobs: args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
        timeout: Duration::from_secs(args.timeout),
        rung: args.rung,
        captures: args.captures,
        force: args.document.force,
        self_command: invocation.self_command.clone(),
        command: invocation.command_line(),
    };
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    let matrix = measure(&options, &progress)?;
    progress.done();
    emit(&matrix, &args.document)?;
    if matrix.complete { Ok(EXIT_OK) } else { Err(Error::interrupted()) }
}

impl LabArgs {
    /// The policies that the flags name, each once.
    fn policies(&self) -> Result<Vec<PolicySpec>> {
        let mut specs = match self.policies.as_deref() {
            Some("all") => PolicySpec::all(),
            Some("default") => PolicySpec::defaults(),
            Some(list) => list.split(',').map(parse).collect::<Result<Vec<_>>>()?,
            None if self.names_an_axis() => self.product(),
            None => PolicySpec::defaults(),
        };
        let mut seen = std::collections::HashSet::new();
        specs.retain(|spec| seen.insert(*spec));
        Ok(specs)
    }

    fn names_an_axis(&self) -> bool {
        !(self.gc.is_empty() && self.alloc.is_empty() && self.at_fork.is_empty() && self.jit.is_empty())
    }

    fn product(&self) -> Vec<PolicySpec> {
        PolicySpec::product(
            &or_default(&self.gc),
            &or_default(&self.alloc),
            &or_default(&self.at_fork),
            &or_default(&self.jit),
        )
    }
}

fn or_default<T: Copy + Default>(words: &[T]) -> Vec<T> {
    if words.is_empty() { vec![T::default()] } else { words.to_vec() }
}

fn parse(text: &str) -> Result<PolicySpec> {
    text.parse().map_err(|why: String| {
        Error::new(format!("cannot read the policy '{text}'"))
            .why(why)
            .fix("write it like mark-bitmap, refcount+indirect or copying+freeze+off")
    })
}

fn emit(matrix: &Matrix, args: &DocumentArgs) -> Result<()> {
    let next = next_command(matrix);
    let document = match args.form()? {
        Format::Text => text::render(matrix, output::terminal_width(), args.is_coloured(), &next),
        Format::Json => matrix.to_json(),
        Format::Html => html::render(matrix)?,
    };
    output::deliver(&document, args, |path| match args.form() {
        Ok(Format::Html) => format!("xdg-open {}", shell_word(&path.to_string_lossy())),
        _ => next,
    })
}

/// What to type after the matrix: the report of the cell with most private pages, or the whole as HTML.
fn next_command(matrix: &Matrix) -> String {
    let capture = matrix
        .cells
        .iter()
        .filter_map(|cell| Some((cell.steps.last()?.private, cell.capture.as_ref()?)))
        .max_by_key(|(private, _)| *private);
    match capture {
        Some((_, capture)) => format!("forkprint report {} -o cell.html", shell_word(capture)),
        None => format!("{} -o matrix.html", matrix.command),
    }
}
