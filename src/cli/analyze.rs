//! `forkprint analyze`: a real server under load, from its own configuration.

use super::evidence::{self, Evidence};
use super::output::OutputArgs;
use super::{Invocation, interpreter};
use crate::error::Result;
use crate::family::{Rung, Witness};
use crate::record::progress::Progress;
use crate::record::server::{AnalyzeOptions, analyze, lint_only};
use crate::record::{Course, MeasureOptions, RunOutcome};
use crate::servers::gunicorn;
use crate::servers::load::Plan;
use crate::variant::Variant;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  forkprint analyze gunicorn.conf.py                       a thousand times GET /
  forkprint analyze gunicorn.conf.py --load load.toml -o shop.html
  forkprint analyze gunicorn.conf.py --no-run              only read the configuration
  forkprint analyze conf.py -w 8 --python .venv/bin/python -- --chdir app shop:app

gunicorn runs from the configuration as it is, but on a free loopback port, without TLS, and away
from the pid file, logs and sockets of a running deployment. A load file looks like this:

  [load]
  count = 1000
  concurrency = 1
  milestones = [1, 10, 100, 1000]
  [[request]]
  path = \"/search/99\"      # also: method, weight, headers, body";

/// Start the server of a gunicorn configuration, drive it, and see which pages its workers stop sharing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AnalyzeArgs {
    /// The configuration, as gunicorn -c takes it: a file, `file:PATH` or `python:MODULE`
    config: String,
    /// Requests to send and milestones to look at (TOML) [default: 1000 times GET /]
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// The interpreter that has gunicorn and the application; by default the one forkprint is installed in, or
    /// for the plain binary that of the active virtual environment or of PATH
    #[arg(long, value_name = "PATH", default_value = interpreter::ON_PATH)]
    python: PathBuf,
    /// Only read the configuration and apply the rules to it
    #[arg(long, conflicts_with_all = ["load", "rung", "witness", "timeout"])]
    no_run: bool,
    /// Workers, instead of the configuration's
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Longest wait for the application and its workers to load, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Evidence to use, for pages and for single writes; may be given for both [default: the best that works here]
    #[arg(long, value_name = "RUNG", value_parser = evidence::parser(&[Rung::Pfn, Rung::Exclusive]))]
    rung: Vec<Evidence>,
    /// How to witness single writes [default: the best that works here]
    #[arg(long, value_name = "WITNESS", value_parser = evidence::witnesses())]
    witness: Option<Witness>,
    #[command(flatten)]
    output: OutputArgs,
    /// More arguments of gunicorn
    #[arg(last = true, value_name = "GUNICORN ARGUMENTS")]
    extra: Vec<String>,
}

/// Runs the verb.
pub fn run(mut args: AnalyzeArgs, invocation: &Invocation) -> Result<i32> {
    args.output.document.quiet = invocation.quiet;
    args.output.check()?;
    let (rung, witness) = evidence::choose(&args.rung, args.witness)?;
    let plan = args.load.as_deref().map(Plan::read).transpose()?.unwrap_or_default();
    let workers = args.workers.map(|workers| format!("--workers={workers}"));
    let target = gunicorn::Invocation {
        python: args.python,
        config: args.config,
        extra: workers.into_iter().chain(args.extra).collect(),
        variant: Variant::default(),
    };
    let command = without_secrets(invocation).command_line();
    let RunOutcome { recording, error, .. } = if args.no_run {
        RunOutcome { recording: lint_only(&target, &command)?, error: None, course: Course::default() }
    } else {
        let options = AnalyzeOptions {
            invocation: target,
            plan,
            measure: MeasureOptions { rung, witness, code_in_worker: false },
            patience: Duration::from_secs(args.timeout),
            command,
        };
        let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
        let outcome = analyze(&options, &progress)?;
        progress.done();
        outcome
    };
    super::conclude(&recording, error, &args.output)
}

/// Leaves out the values of `--env NAME=VALUE`, which is how gunicorn is given passwords.
pub(super) fn without_secrets(invocation: &Invocation) -> Invocation {
    let mut hidden = invocation.clone();
    let mut after_env = false;
    for argument in &mut hidden.arguments {
        let text = argument.to_string_lossy().into_owned();
        let assignment = ["--env=", "-e"]
            .iter()
            .find_map(|flag| text.strip_prefix(flag))
            .filter(|rest| rest.contains('='));
        if after_env && text.contains('=') || assignment.is_some() {
            let kept = text.len() - assignment.unwrap_or(&text).len();
            let name = assignment.unwrap_or(&text).split('=').next().unwrap_or_default();
            *argument = format!("{}{name}=...", &text[..kept]).into();
        }
        after_env = text == "--env" || text == "-e";
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_environment_stay_out_of_the_command() {
        let arguments = [
            "analyze",
            "c.py",
            "--",
            "-e",
            "A=secret",
            "--env=B=secret",
            "-eC=secret",
            "--env",
            "D=secret=1",
            "shop:app",
        ];
        let invocation = Invocation {
            self_command: Vec::new(),
            arguments: arguments.map(Into::into).to_vec(),
            quiet: true,
        };
        let command = without_secrets(&invocation).command_line();
        assert_eq!(command, "forkprint analyze c.py -- -e A=... --env=B=... -eC=... --env D=... shop:app");
    }
}
