//! `forkprint completions` and `forkprint man`: generated from the command tree.

use crate::error::{Context, EXIT_OK, Result};
use clap::Args;
use clap_complete::Shell;
use std::io;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  forkprint completions bash > ~/.local/share/bash-completion/completions/forkprint"
)]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  forkprint man | man -l -")]
pub struct ManArgs {}

/// Runs `completions`.
pub fn completions(args: &CompletionsArgs) -> i32 {
    clap_complete::generate(args.shell, &mut super::command(), "forkprint", &mut io::stdout());
    EXIT_OK
}

/// Runs `man`.
pub fn man(_: &ManArgs) -> Result<i32> {
    clap_mangen::Man::new(super::command())
        .render(&mut io::stdout())
        .doing("cannot print the manual page")?;
    Ok(EXIT_OK)
}
