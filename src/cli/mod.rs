//! The command line: one file a verb, flags turned into plain structs.

mod advise;
mod analyze;
mod bench;
mod check;
mod demo;
mod doctor;
mod evidence;
mod export;
mod forecast;
mod interpreter;
mod lab;
pub mod output;
mod pages;
mod record;
mod repl;
mod report;
mod run;
mod spelling;
mod toy;
mod toy_command;

use self::output::OutputArgs;
use crate::error::{EXIT_FAILED, EXIT_OK, Error, Result};
use crate::family::recording::Recording;
use crate::interrupt;
use crate::report::printable_lines;
use crate::supervisor::zygote::{ZygoteSpec, serve};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::IsTerminal;

#[derive(Debug, Parser)]
#[command(name = "forkprint", version, propagate_version = true, about = ABOUT, long_about = LONG_ABOUT)]
#[command(after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Say more of what is done (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

const ABOUT: &str = "See what fork() shares, who broke it, and what that costs.";

const LONG_ABOUT: &str = "See what fork() shares, who broke it, and what that costs.

After fork(), parent and child share every page until one of them writes. forkprint finds the
pages that pre-forked workers stopped sharing, and draws them.";

const EXAMPLES: &str = "Examples:
  forkprint demo                                    every built-in workload, a gallery in reports/
  forkprint run workloads/python/gc_collect.py      one workload, two workers, text on the terminal
  forkprint analyze gunicorn.conf.py -o shop.html   a real gunicorn under load
  forkprint advise gunicorn.conf.py                 which remedy gives memory back, and how much
  forkprint record -- python server.py              any program that forks
  forkprint toy                                     try the toy language
  forkprint lab                                     toy programs under every policy of their runtime
  forkprint forecast app.forkprint -w 8..64         memory for so many workers over their age
  forkprint doctor                                  what this machine lets us see

Exit codes: 0 fine, 1 a limit of `check` was exceeded, 2 it could not be measured or the usage was wrong.";

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Analyze(analyze::AnalyzeArgs),
    Advise(advise::AdviseArgs),
    Record(record::RecordArgs),
    Lab(lab::LabArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Check(check::CheckArgs),
    Bench(bench::BenchArgs),
    /// One process of `bench fork`; started by forkprint itself.
    #[command(name = "__fork_cost", hide = true)]
    ForkCost {
        spec: String,
    },
    Forecast(forecast::ForecastArgs),
    Toy(toy_command::ToyCommandArgs),
    Doctor(doctor::DoctorArgs),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
    /// The measured side of a run; started by forkprint itself.
    #[command(name = "__zygote", hide = true)]
    Zygote {
        spec: String,
    },
}

/// What every verb may need to know of how forkprint was started.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Re-executes this program.
    pub self_command: Vec<OsString>,
    /// The arguments, without the program.
    pub arguments: Vec<OsString>,
    /// Whether progress may be shown.
    pub quiet: bool,
}

impl Invocation {
    /// The command line as a person would type it again.
    pub fn command_line(&self) -> String {
        let words =
            output::without_outputs(&self.arguments).map(|argument| quote(&argument.to_string_lossy()));
        std::iter::once("forkprint".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// Runs the command line `arguments` (without the program) and returns the exit code.
///
/// `self_command` is how the supervisor re-executes this program.
pub fn main(arguments: Vec<OsString>, self_command: Vec<OsString>) -> i32 {
    let program = OsString::from("forkprint");
    let words = std::iter::once(program).chain(arguments.iter().cloned());
    let mut command = interpreter::with_default(command(), &self_command);
    let parsed = command.try_get_matches_from_mut(words).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let error = spelling::suggest_verb(error, &command);
            let _closed_pipe = error.print();
            return if error.use_stderr() { EXIT_FAILED } else { EXIT_OK };
        }
    };
    if let Verb::Zygote { spec } = &cli.verb {
        return zygote(spec);
    }
    init_tracing(cli.verbose);
    let invocation = Invocation { self_command, arguments, quiet: cli.quiet };
    let handled = match &cli.verb {
        Verb::Toy(_) => interrupt::end_at_once(),
        _ => interrupt::install(),
    };
    let result = handled.and_then(|()| dispatch(cli.verb, &invocation));
    result.unwrap_or_else(|error| {
        report(&error);
        EXIT_FAILED
    })
}

fn dispatch(verb: Verb, invocation: &Invocation) -> Result<i32> {
    match verb {
        Verb::Demo(args) => demo::run(&args, invocation),
        Verb::Run(args) => run::run(args, invocation),
        Verb::Analyze(args) => analyze::run(args, invocation),
        Verb::Advise(args) => advise::run(args, invocation),
        Verb::Record(args) => record::run(args, invocation),
        Verb::Lab(args) => lab::run(args, invocation),
        Verb::Report(args) => report::run(args, invocation.quiet),
        Verb::Export(args) => export::run(args, invocation.quiet),
        Verb::Check(args) => check::run(&args, invocation.quiet),
        Verb::Bench(args) => bench::run(args, invocation),
        Verb::ForkCost { spec } => bench::throw_away(&spec),
        Verb::Forecast(args) => forecast::run(args, invocation),
        Verb::Toy(args) => toy_command::run(&args),
        Verb::Doctor(args) => Ok(doctor::run(&args)),
        Verb::Completions(args) => Ok(pages::completions(&args)),
        Verb::Man(args) => pages::man(&args),
        Verb::Zygote { .. } => Err(Error::new("the zygote verb is for forkprint itself")),
    }
}

/// Writes what was measured; an error that ended the measurement early is told after it.
fn conclude(recording: &Recording, error: Option<Error>, output: &OutputArgs) -> Result<i32> {
    output::emit(recording, output)?;
    error.map_or(Ok(EXIT_OK), Err)
}

/// Prints an error for people: red only on a terminal.
pub fn report(error: &Error) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error:{style:#} {}", printable_lines(&error.to_string()));
}

fn zygote(spec: &str) -> i32 {
    match serde_json::from_str::<ZygoteSpec>(spec) {
        Ok(spec) => serve(spec),
        Err(error) => {
            report(&Error::new("the zygote verb is for forkprint itself").why(error));
            EXIT_FAILED
        }
    }
}

fn init_tracing(verbose: u8) {
    let level = ["warn", "forkprint=info", "forkprint=debug"][usize::from(verbose.min(2))];
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("FORKPRINT_LOG").unwrap_or_else(|_| level.into());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .finish();
    // In a host interpreter a second call finds the subscriber of the first.
    let _already_set = tracing::subscriber::set_global_default(subscriber);
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The whole command tree, for completions, the manual page and tests.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let arguments = ["run", "my file.py", "-w", "2"].map(OsString::from).to_vec();
        let invocation = Invocation { self_command: Vec::new(), arguments, quiet: false };
        assert_eq!(invocation.command_line(), "forkprint run 'my file.py' -w 2");
        let outputs =
            ["-o", "a.html", "--force", "--capture=x", "--format", "json", "-ob.html"].map(OsString::from);
        let arguments = [&invocation.arguments[..], &outputs].concat();
        assert_eq!(Invocation { arguments, ..invocation.clone() }.command_line(), invocation.command_line());
    }
}
