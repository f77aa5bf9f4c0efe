//! `forkprint toy`: runs, prints and disassembles toy programs, and talks to whoever types one.

use super::repl;
use super::toy::ToyArgs;
use crate::error::{Context, EXIT_OK, Error, Result};
use crate::runtimes::Runtime;
use crate::runtimes::toy::{ToyRuntime, disassemble_file, format_source, read_source};
use clap::Args;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Exit code of `--check` when a file is not formatted.
const EXIT_DIFFERS: i32 = 1;

/// Stands for the standard input.
const STDIN: &str = "-";

const EXAMPLES: &str = "Examples:
  forkprint toy                                        type a program, line by line
  echo 'print(6 * 7);' | forkprint toy                 the same without a terminal
  forkprint toy workloads/toy/closures.toy             module level and steps, in one process
  forkprint toy --format workloads/toy/*.toy           rewrite the files in their one form
  forkprint toy --format --check workloads/toy/*.toy   only tell which would change (exit code 1)
  forkprint toy --format - < a.toy                     print what the file would become
  forkprint toy --disassemble a.toy                    the bytecode of every function

Nothing is forked or measured here; `forkprint run FILE` does that.";

/// Run, format or disassemble toy programs, or type one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ToyCommandArgs {
    /// Programs; without any, what is typed or piped in is run
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Rewrite the files as the printer prints them; `-` prints the standard input instead
    #[arg(long, requires = "files", conflicts_with = "disassemble")]
    format: bool,
    /// With --format, write nothing and fail if a file would change
    #[arg(long, requires = "format")]
    check: bool,
    /// Show the bytecode of the files
    #[arg(long, requires = "files")]
    disassemble: bool,
    #[command(flatten)]
    toy: ToyArgs,
}

/// Runs the verb.
pub fn run(args: &ToyCommandArgs) -> Result<i32> {
    if args.format {
        return format(args);
    }
    if args.disassemble {
        for file in &args.files {
            print(&disassemble_file(file)?.join("\n"))?;
        }
        return Ok(EXIT_OK);
    }
    match args.files.as_slice() {
        [] => repl::run(&args.toy.options()),
        [file] => execute(file, args),
        _ => Err(Error::new("one program runs at a time")
            .why(format!("{} were named", args.files.len()))
            .fix("name one file")),
    }
}

/// Runs the module level and then all steps.
fn execute(file: &Path, args: &ToyCommandArgs) -> Result<i32> {
    let mut runtime = ToyRuntime::load(file, args.toy.options())?;
    for (index, name) in runtime.steps().iter().enumerate() {
        let finished = runtime.run_step(index);
        finished.map_err(|failure| Error::new(format!("step '{name}' failed")).why(failure.message))?;
    }
    Ok(EXIT_OK)
}

fn format(args: &ToyCommandArgs) -> Result<i32> {
    let mut differ = false;
    for file in &args.files {
        if file.as_os_str() == STDIN {
            let mut source = String::new();
            std::io::stdin().read_to_string(&mut source).doing("cannot read the standard input")?;
            let formatted = format_source("standard input", &source)?;
            if args.check {
                differ |= formatted != source;
            } else {
                print(&formatted)?;
            }
            continue;
        }
        let source = read_source(file)?;
        let formatted = format_source(&file.display().to_string(), &source)?;
        if formatted == source {
            continue;
        }
        differ = true;
        if args.check {
            anstream::eprintln!("{} would change", file.display());
        } else {
            std::fs::write(file, formatted).at("cannot write the formatted program", file)?;
            anstream::eprintln!("formatted {}", file.display());
        }
    }
    Ok(if args.check && differ { EXIT_DIFFERS } else { EXIT_OK })
}

/// Prints, and takes it for the end when nobody reads any more.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(why).doing("cannot write to the standard output")
        }
        _ => Ok(()),
    }
}
