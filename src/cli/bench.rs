//! `forkprint bench`: what this machine takes for what forkprint is about.

use super::Invocation;
use super::output::{DocumentArgs, Format, deliver};
use crate::error::{Context, EXIT_OK, Error, Result};
use crate::kernel::fork_cost::{Spec, measure};
use crate::record::fork_cost::{ForkCostOptions, run as measure_forks};
use crate::record::progress::Progress;
use crate::report::fork_cost::{html, text};
use crate::report::shell_word;
use crate::units::Bytes;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "Examples:
  forkprint bench fork
  forkprint bench fork --max-size 1GiB -o fork.html
  forkprint bench fork --rounds 50 --format json | jq .small_pages.slope";

/// Measure what this machine takes for a fork
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Fork(ForkArgs),
}

/// Measure fork, vfork, clone and `posix_spawn` against the memory of the process that calls them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct ForkArgs {
    /// The largest process [default: a quarter of the available memory, at most 4 GiB]
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Bytes>,
    /// Times that every call is made in every process
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// A program that ends at once
    #[arg(long, default_value = "/bin/true", value_name = "PATH")]
    program: String,
    #[command(flatten)]
    document: DocumentArgs,
}

/// Measures and writes. Gives the exit code.
pub fn run(args: BenchArgs, invocation: &Invocation) -> Result<i32> {
    let What::Fork(mut args) = args.what;
    args.document.quiet = invocation.quiet;
    args.document.check()?;
    let options = ForkCostOptions {
        max_size: args.max_size,
        rounds: args.rounds,
        program: args.program,
        self_command: invocation.self_command.clone(),
        command: invocation.command_line(),
    };
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    let cost = measure_forks(&options, &progress)?;
    progress.done();
    let form = args.document.form()?;
    let document = match form {
        Format::Text => text::render(&cost, args.document.is_coloured()),
        Format::Json => cost.to_json(),
        Format::Html => html::render(&cost)?,
    };
    deliver(&document, &args.document, |path| match form {
        Format::Html => format!("xdg-open {}", shell_word(&path.to_string_lossy())),
        _ => format!("{} -o fork.html", options.command),
    })?;
    Ok(EXIT_OK)
}

/// The throw-away process: measures what it is told and prints it.
pub fn throw_away(spec: &str) -> Result<i32> {
    let spec: Spec = serde_json::from_str(spec)
        .map_err(|error| Error::new("this verb is for forkprint itself").why(error))?;
    let samples = measure(&spec)?;
    println!("{}", serde_json::to_string(&samples).doing("cannot tell what was measured")?);
    Ok(EXIT_OK)
}
