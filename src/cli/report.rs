//! `forkprint report`: draws a capture again, in any form.

use super::output::{DocumentArgs, emit_document};
use crate::capture;
use crate::error::{EXIT_OK, Result};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  forkprint report app.forkprint                   the verdict and its numbers in the terminal
  forkprint report app.forkprint -o app.html       a report for the browser
  forkprint report app.forkprint --format json     the same as JSON
  forkprint report app.forkprint -o app.html --force";

/// Draw the report of a capture
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// The folder that `--capture` has written
    #[arg(value_name = "CAPTURE", value_hint = clap::ValueHint::DirPath)]
    pub capture: PathBuf,

    /// The document.
    #[command(flatten)]
    pub document: DocumentArgs,
}

/// Reads the capture and writes the document. Gives the exit code.
pub fn run(mut args: ReportArgs, quiet: bool) -> Result<i32> {
    args.document.quiet = quiet;
    args.document.check()?;
    let recording = capture::read(&args.capture)?;
    emit_document(&recording, &args.document, Some(&args.capture))?;
    Ok(EXIT_OK)
}
