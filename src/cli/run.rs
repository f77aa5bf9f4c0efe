//! `forkprint run`: one workload under the supervisor.

use super::Invocation;
use super::evidence::{self, Evidence};
use super::output::OutputArgs;
use super::toy::ToyArgs;
use crate::error::Result;
use crate::family::{Rung, Witness};
use crate::record::progress::Progress;
use crate::record::{RunOptions, RunOutcome, run as measure};
use crate::runtimes::Workload;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  forkprint run workloads/python/refcount_iteration.py
  forkprint run workloads/python/gc_collect.py -w 4 -o gc.html
  forkprint run workloads/toy/gc_marks.toy --gc mark-header --format json -o -

A Python workload is a module: its top level builds the data in the zygote, and every function
marked @forkprint.step runs in each worker, in order. A toy workload has 'step' blocks.";

/// Run one workload in a zygote and its forked workers, and see which pages they stop sharing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The program; its ending names the runtime (.py, .toy)
    workload: PathBuf,
    /// Workers to fork
    #[arg(short, long, default_value_t = 2, value_name = "N")]
    workers: usize,
    /// Longest wait for the load and for each step, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Evidence to use, for pages and for single writes; may be given for both [default: the best that works here]
    #[arg(long, value_name = "RUNG", value_parser = evidence::parser(&[Rung::Pfn, Rung::Scan, Rung::Exclusive]))]
    rung: Vec<Evidence>,
    /// How to witness single writes [default: the best that works here]
    #[arg(long, value_name = "WITNESS", value_parser = evidence::witnesses())]
    witness: Option<Witness>,
    #[command(flatten)]
    toy: ToyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the verb.
pub fn run(mut args: RunArgs, invocation: &Invocation) -> Result<i32> {
    args.output.document.quiet = invocation.quiet;
    args.output.check()?;
    let (rung, witness) = evidence::choose(&args.rung, args.witness)?;
    let toy = args.toy.options();
    let options = RunOptions {
        workload: Workload { toy, ..Workload::new(args.workload) },
        workers: args.workers,
        timeout: Duration::from_secs(args.timeout),
        rung,
        witness,
        self_command: invocation.self_command.clone(),
        command: invocation.command_line(),
        mute: invocation.quiet,
    };
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    let RunOutcome { recording, error, .. } = measure(&options, &progress)?;
    progress.done();
    super::conclude(&recording, error, &args.output)
}
