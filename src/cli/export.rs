//! `forkprint export`: turns a capture into what other tools read.

use super::output::{DocumentArgs, Format, deliver};
use crate::capture;
use crate::error::{EXIT_OK, Error, Result};
use crate::family::recording::Recording;
use crate::report::{folded, json, shell_word, speedscope};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  forkprint export app.forkprint -f speedscope -o app.speedscope.json
                                                   a flame graph of broken bytes, for speedscope.app
  forkprint export app.forkprint -f folded | flamegraph.pl --countname bytes > app.svg
  forkprint export app.forkprint -f json | jq .explained.by_line";

/// What other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Folded stacks, for flamegraph.pl and inferno: a line a stack, with its broken bytes
    Folded,
    /// A flame graph of broken bytes, for <https://www.speedscope.app>
    Speedscope,
    /// The stable JSON contract, as `report --format json` writes it
    Json,
}

/// Turn a capture into what other tools read
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// The folder that `--capture` has written
    #[arg(value_name = "CAPTURE", value_hint = clap::ValueHint::DirPath)]
    pub capture: PathBuf,

    /// Form of the output
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: ExportFormat,

    /// Write to this file; `-` is standard output [default: -]
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Replace an earlier file of the same name
    #[arg(long)]
    pub force: bool,
}

/// Reads the capture and writes it in another form. Gives the exit code.
pub fn run(args: ExportArgs, quiet: bool) -> Result<i32> {
    let ExportArgs { capture, format, output, force } = args;
    let document = DocumentArgs { output, format: Some(Format::Text), force, quiet };
    document.check()?;
    let recording = capture::read(&capture)?;
    let text = match format {
        ExportFormat::Json => json::render(&recording),
        ExportFormat::Folded => folded::render(with_breaks(&recording, &capture)?),
        ExportFormat::Speedscope => speedscope::render(with_breaks(&recording, &capture)?),
    };
    deliver(&text, &document, |path| next(format, path))?;
    Ok(EXIT_OK)
}

/// Refuses to draw a flame graph of nothing.
fn with_breaks<'a>(recording: &'a Recording, capture: &Path) -> Result<&'a Recording> {
    if !recording.breaks.rows.is_empty() {
        return Ok(recording);
    }
    let witness = recording.about.witness;
    Err(Error::new("there are no stacks to export")
        .path(capture)
        .why(format!("the capture names no writer of a page; its witness of writes was: {witness}"))
        .fix("`forkprint doctor` says which witnesses this machine allows; then measure again"))
}

/// What to do with the file.
fn next(format: ExportFormat, path: &Path) -> String {
    let file = shell_word(&path.to_string_lossy());
    match format {
        ExportFormat::Folded => format!("flamegraph.pl --countname bytes {file} > flame.svg"),
        ExportFormat::Speedscope => {
            format!("npx speedscope {file}, or drop it on https://www.speedscope.app")
        }
        ExportFormat::Json => format!("jq .explained {file}"),
    }
}
