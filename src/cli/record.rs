//! `forkprint record`: any program that forks.

use super::Invocation;
use super::evidence::{self, Evidence};
use super::output::OutputArgs;
use crate::error::{Error, Result};
use crate::family::{Rung, Witness};
use crate::record::command::{RecordOptions, record};
use crate::record::progress::Progress;
use crate::record::{MeasureOptions, RunOutcome};
use clap::Args;
use std::ffi::OsString;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  forkprint record -- python server.py                 until it ends, or Ctrl-C
  forkprint record --duration 30 -o server.html -- sh start.sh
  forkprint record --zygote worker_pool -- ./deploy --local
  forkprint record -- celery -A shop worker -c 4

The program runs as it is, with a small library preloaded. The first process whose forked children stay
is measured; a shell that only starts programs is not. Workers are looked at when the first is forked,
at ages that double (1 s, 2 s, 4 s...), and before they end. What the program prints goes to stderr.

Exit codes: 0 it was measured (its own exit status is told in a note), 2 it could not be measured.";

/// Run any program that forks, and see which pages its workers stop sharing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM", required_unless_present = "pid", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// A process that runs already (not yet: its fork-time memory is gone)
    #[arg(short, long, value_name = "PID", conflicts_with = "command")]
    pid: Option<u32>,
    /// Text in the command line of the process that forks the workers [default: told by itself]
    #[arg(long, value_name = "TEXT")]
    zygote: Option<String>,
    /// Age of the workers at the first look, in seconds; later ages double
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,
    /// Stop the program after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Evidence to use, for pages and for single writes; may be given for both [default: the best that works here]
    #[arg(long, value_name = "RUNG", value_parser = evidence::parser(&[Rung::Pfn, Rung::Exclusive]))]
    rung: Vec<Evidence>,
    /// How to witness single writes [default: the best that works here]
    #[arg(long, value_name = "WITNESS", value_parser = evidence::witnesses())]
    witness: Option<Witness>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the verb.
pub fn run(mut args: RecordArgs, invocation: &Invocation) -> Result<i32> {
    args.output.document.quiet = invocation.quiet;
    args.output.check()?;
    if let Some(pid) = args.pid {
        return Err(Error::new("cannot record a process that runs already")
            .pid(pid)
            .why("what its workers shared at their forks was not kept, so that no page can be called broken")
            .fix("start it under forkprint: forkprint record -- PROGRAM"));
    }
    let (rung, witness) = evidence::choose(&args.rung, args.witness)?;
    let options = RecordOptions {
        command: args.command,
        zygote: args.zygote,
        interval: args.interval,
        duration: args.duration,
        measure: MeasureOptions { rung, witness, code_in_worker: false },
        command_line: without_arguments(invocation).command_line(),
    };
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    let RunOutcome { recording, error, .. } = record(&options, &progress)?;
    progress.done();
    super::conclude(&recording, error, &args.output)
}

/// Arguments of the program may hold passwords: recordings keep its name only.
fn without_arguments(invocation: &Invocation) -> Invocation {
    let mut hidden = invocation.clone();
    if let Some(end) = hidden.arguments.iter().position(|argument| argument == "--") {
        let more = hidden.arguments.len() > end + 2;
        hidden.arguments.truncate(end + 2);
        hidden.arguments.extend(more.then(|| "...".into()));
    }
    hidden
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("'{text}' is not a number of seconds"))?;
    if seconds <= 0.0 {
        return Err("it must be more than nothing".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_program_stay_out_of_the_command() {
        let line = |words: &[&str]| {
            let arguments = words.iter().map(OsString::from).collect();
            let invocation = Invocation { self_command: Vec::new(), arguments, quiet: true };
            without_arguments(&invocation).command_line()
        };
        assert_eq!(
            line(&["record", "--interval", "2", "--", "psql", "--password=hunter2"]),
            "forkprint record --interval 2 -- psql ..."
        );
        assert_eq!(line(&["record", "--", "./serve"]), "forkprint record -- ./serve");
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "soon", "1e30", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
