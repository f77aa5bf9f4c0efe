//! `forkprint completions` and `forkprint man`: generated from the command tree.

use crate::error::{Context, EXIT_OK, Error, Result};
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

/// Print the manual page of forkprint, or of one of its verbs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  forkprint man | man -l -\n  forkprint man run | man -l -")]
pub struct ManArgs {
    /// Which verb
    verb: Option<String>,
}

/// Runs `completions`.
pub fn completions(args: &CompletionsArgs) -> i32 {
    clap_complete::generate(args.shell, &mut super::command(), "forkprint", &mut io::stdout());
    EXIT_OK
}

/// Runs `man`.
pub fn man(args: &ManArgs) -> Result<i32> {
    let mut command = super::command();
    command.build();
    if let Some(verb) = &args.verb {
        let found = command.find_subcommand(verb).filter(|found| !found.is_hide_set()).cloned();
        let unknown = || Error::new(format!("there is no verb '{verb}'")).fix("forkprint --help lists them");
        command = found.ok_or_else(unknown)?;
    }
    clap_mangen::Man::new(command).render(&mut io::stdout()).doing("cannot print the manual page")?;
    Ok(EXIT_OK)
}
