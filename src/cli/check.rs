//! `forkprint check`: holds a capture to limits, for continuous integration.

use super::output::{DocumentArgs, Format, deliver};
use crate::capture;
use crate::error::{EXIT_OK, EXIT_THRESHOLD, Error, Result};
use crate::family::recording::Recording;
use crate::report::check::text::{annotation_of, annotations, render};
use crate::report::check::{
    Limit, Measure, Percent, Tolerance, Verdict, against_baseline, against_limits, incomplete,
};
use crate::report::shell_word;
use clap::{ArgGroup, Args, ValueEnum};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  forkprint run app.py --capture app.forkprint
  forkprint check app.forkprint --max-broken 20MiB --max-ghost 5%
  forkprint check app.forkprint --baseline main.forkprint --tolerance 10%
  forkprint check app.forkprint --step serve --max-fresh 8MiB --format json

A limit is a size like 20MiB or a percentage: of what a worker inherited, for --max-unexplained of
the broken pages, for --max-family of the zygote's private memory.

Exit codes: 0 within all limits, 1 a limit was exceeded, 2 it could not be checked.";

/// Form of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// One line a check
    Text,
    /// For programs
    Json,
    /// The text, and annotations of GitHub Actions before it
    Github,
}

/// Hold a capture to limits or to an earlier capture, for continuous integration
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("limits").required(true).multiple(true)
    .args(["max_broken", "max_ghost", "max_fresh", "max_unexplained", "max_family", "baseline"])))]
pub struct CheckArgs {
    /// The folder that `--capture` has written
    #[arg(value_name = "CAPTURE", value_hint = clap::ValueHint::DirPath)]
    capture: PathBuf,
    /// Most that any worker may have stopped sharing
    #[arg(long, value_name = "LIMIT")]
    max_broken: Option<Limit>,
    /// Most that any worker may have copied for nothing
    #[arg(long, value_name = "LIMIT")]
    max_ghost: Option<Limit>,
    /// Most that any worker may have made after the fork
    #[arg(long, value_name = "LIMIT")]
    max_fresh: Option<Limit>,
    /// Most of the broken pages, of all workers, that may be without a known cause
    #[arg(long, value_name = "LIMIT")]
    max_unexplained: Option<Limit>,
    /// Most private memory of zygote and workers together
    #[arg(long, value_name = "LIMIT")]
    max_family: Option<Limit>,
    /// Judge this step alone [default: each limit at the step where it is exceeded most]
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// An earlier capture: no step may break, waste or make more than its step of the same name
    #[arg(long, value_name = "CAPTURE", value_hint = clap::ValueHint::DirPath)]
    baseline: Option<PathBuf>,
    /// How much more than the baseline is allowed; 128 KiB always are
    #[arg(long, value_name = "PERCENT", default_value = "10%", requires = "baseline")]
    tolerance: Percent,
    /// Judge a measurement that ended early, or in which a worker failed
    #[arg(long)]
    allow_incomplete: bool,
    /// Form of the output [default: text; github where `GITHUB_ACTIONS` is true]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<CheckFormat>,
    /// Write to this file; `-` is standard output [default: -]
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Replace an earlier file of the same name
    #[arg(long)]
    force: bool,
}

/// Reads, judges and tells. Gives the exit code.
pub fn run(args: &CheckArgs, quiet: bool) -> Result<i32> {
    let in_action = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
    let default = if in_action { CheckFormat::Github } else { CheckFormat::Text };
    let format = args.format.unwrap_or(default);
    let (output, force) = (args.output.clone(), args.force);
    let document = DocumentArgs { output, format: Some(Format::Text), force, quiet };
    let checked = document.check().and_then(|()| judge(args));
    let verdict = checked.inspect_err(|error| {
        if format == CheckFormat::Github {
            anstream::eprint!("{}", annotation_of(error));
        }
    })?;
    let text = match format {
        CheckFormat::Json => verdict.to_json(),
        CheckFormat::Text => render(&verdict, document.is_coloured()),
        CheckFormat::Github => annotations(&verdict) + &render(&verdict, false),
    };
    let capture = shell_word(&args.capture.to_string_lossy());
    deliver(&text, &document, |_| format!("forkprint report {capture}"))?;
    Ok(if verdict.exceeded > 0 { EXIT_THRESHOLD } else { EXIT_OK })
}

fn judge(args: &CheckArgs) -> Result<Verdict> {
    let recording = read(&args.capture, args.allow_incomplete)?;
    let limits: Vec<(Measure, Limit)> = [
        (Measure::Broken, args.max_broken),
        (Measure::Ghost, args.max_ghost),
        (Measure::Fresh, args.max_fresh),
        (Measure::Unexplained, args.max_unexplained),
        (Measure::Family, args.max_family),
    ]
    .into_iter()
    .filter_map(|(measure, limit)| Some((measure, limit?)))
    .collect();
    let step = args.step.as_deref();
    let place = |error: Error| error.location(args.capture.display().to_string());
    let mut checks = against_limits(&recording, &limits, step).map_err(place)?;
    let mut notes = Vec::new();
    if let Some(path) = &args.baseline {
        let baseline = read(path, args.allow_incomplete)?;
        let (compared, remarks) = against_baseline(&recording, &baseline, Tolerance(args.tolerance), step)?;
        checks.extend(compared);
        notes.extend(remarks);
    }
    if let Some(why) = incomplete(&recording) {
        notes.push(format!("not complete: {why}"));
    }
    let baseline = args.baseline.as_ref().map(|path| path.display().to_string());
    let complete = incomplete(&recording).is_none();
    let verdict = Verdict::new(args.capture.display().to_string(), baseline, complete, checks);
    Ok(Verdict { notes, ..verdict })
}

/// Reads a capture whose counts can be trusted.
fn read(path: &Path, allow_incomplete: bool) -> Result<Recording> {
    let recording = capture::read(path)?;
    match incomplete(&recording) {
        Some(why) if !allow_incomplete => Err(Error::new("the measurement is not complete")
            .path(path)
            .why(why)
            .fix("measure again to the end, or add --allow-incomplete")),
        _ => Ok(recording),
    }
}
