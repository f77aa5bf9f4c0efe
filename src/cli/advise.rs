//! `forkprint advise`: try the remedies on a program, and say what each gives back.

use super::evidence::{self, Evidence};
use super::output::{self, DocumentArgs, Format};
use super::{Invocation, analyze, interpreter};
use crate::advise::experiment::Effort;
use crate::advise::program::{How, Program};
use crate::advise::rules::RULES;
use crate::advise::{AdviseOutcome, advise};
use crate::capture;
use crate::error::{EXIT_OK, Error, Result};
use crate::family::{Rung, Witness};
use crate::record::progress::Progress;
use crate::report::advice::{Advice, html, text};
use crate::report::{shell_word, wrap};
use crate::servers::gunicorn;
use crate::servers::load::Plan;
use crate::variant::Variant;
use clap::Args;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  forkprint advise gunicorn.conf.py --load load.toml -o advice.html
  forkprint advise gunicorn.conf.py --only FP002,FP003 --rounds 5 --patch better.diff
  forkprint advise workloads/python/gc_collect.py
  forkprint advise --list                                  every remedy, in a sentence each

The program is run as it is, and once more with each remedy that applies and with combinations of them;
all of it again in every round. The file is never modified: what to change comes as a diff.";

/// Try the remedies on a program, and see what each one gives back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AdviseArgs {
    /// A gunicorn configuration, as gunicorn -c takes it, or a Python workload (a file with @forkprint.step)
    #[arg(required_unless_present = "list", value_name = "CONFIG|WORKLOAD")]
    program: Option<String>,
    /// List the remedies
    #[arg(long, conflicts_with_all = ["program", "load", "workers", "only", "patch", "captures"])]
    list: bool,
    /// Requests to send to a server and milestones to look at (TOML) [default: 1000 times GET /]
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Workers [default: the configuration's; 2 of a workload]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// How often each variant is measured; more rounds tell smaller differences apart
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    rounds: u16,
    /// Only try these remedies
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = code)]
    only: Vec<&'static str>,
    /// The interpreter that has gunicorn and the application, and that reads the program's source; by default
    /// the one forkprint is installed in, or for the plain binary that of the active virtual environment or of PATH
    #[arg(long, value_name = "PATH", default_value = interpreter::ON_PATH)]
    python: PathBuf,
    /// Longest wait for the program to load and for a step, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Evidence to use, for pages and for single writes; may be given for both [default: the best that works here]
    #[arg(long, value_name = "RUNG", value_parser = evidence::parser(&[Rung::Pfn, Rung::Exclusive]))]
    rung: Vec<Evidence>,
    /// How to witness single writes [default: the best that works here]
    #[arg(long, value_name = "WITNESS", value_parser = evidence::witnesses())]
    witness: Option<Witness>,
    /// Write the recommended change to this file, as a diff
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    patch: Option<PathBuf>,
    /// Keep the first measurement of every variant in this folder, for `forkprint report`
    #[arg(long, alias = "capture", value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    captures: Option<PathBuf>,
    #[command(flatten)]
    document: DocumentArgs,
    /// More arguments of gunicorn
    #[arg(last = true, value_name = "GUNICORN ARGUMENTS")]
    extra: Vec<String>,
}

/// Runs the verb.
pub fn run(mut args: AdviseArgs, invocation: &Invocation) -> Result<i32> {
    args.document.quiet = invocation.quiet;
    args.document.check()?;
    if args.list {
        return list(&args.document);
    }
    if let Some(patch) = args.patch.as_deref().filter(|patch| patch.exists() && !args.document.force) {
        return Err(Error::new("refusing to overwrite a file")
            .path(patch)
            .fix("add --force to replace it, or name another file"));
    }
    if let Some(folder) = &args.captures {
        capture::check_destination(&folder.join("today.forkprint"), args.document.force)?;
    }
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    progress.now("reading the program");
    let program = args.program(invocation)?;
    let effort =
        Effort { rounds: args.rounds.into(), captures: args.captures.clone(), force: args.document.force };
    let rules: Vec<_> = RULES.to_vec();
    let wanted = |code: &str| args.only.is_empty() || args.only.contains(&code);
    let AdviseOutcome { mut advice, error } =
        advise(&program, &rules, |rule| wanted(rule.code), &effort, &progress)?;
    progress.done();
    advice.command = analyze::without_secrets(invocation).command_line();
    if let Some(path) = &args.patch {
        write_patch(&advice, path, &args)?;
    }
    emit(&advice, &args.document)?;
    error.map_or(Ok(EXIT_OK), Err)
}

impl AdviseArgs {
    fn program(&self, invocation: &Invocation) -> Result<Program> {
        let name = self.program.clone().unwrap_or_default();
        let path = Path::new(&name);
        let (rung, witness) = evidence::choose(&self.rung, self.witness)?;
        let how = How {
            rung,
            witness,
            timeout: Duration::from_secs(self.timeout),
            self_command: invocation.self_command.clone(),
            mute: invocation.quiet,
        };
        if path.extension().is_some_and(|ending| ending == "toy") {
            return Err(Error::new("a toy program has no remedies, but policies of its runtime")
                .path(path)
                .fix(format!("forkprint lab --program {}", shell_word(&name))));
        }
        if fs::read_to_string(path).is_ok_and(|text| is_workload(&text)) {
            if self.load.is_some() || !self.extra.is_empty() {
                return Err(Error::new("a workload takes no load and no arguments of gunicorn")
                    .path(path)
                    .why("what its workers do are its own steps")
                    .fix("leave out --load and what follows --"));
            }
            let workers = self.workers.unwrap_or(2) as usize;
            return Program::python(path, &self.python, workers, how);
        }
        let plan = self.load.as_deref().map(Plan::read).transpose()?.unwrap_or_default();
        let workers = self.workers.map(|workers| format!("--workers={workers}"));
        let target = gunicorn::Invocation {
            python: self.python.clone(),
            config: name,
            extra: workers.into_iter().chain(self.extra.iter().cloned()).collect(),
            variant: Variant::default(),
        };
        Program::gunicorn(target, plan, how)
    }
}

/// Whether a Python source marks steps; a configuration of gunicorn does not.
fn is_workload(text: &str) -> bool {
    let imports = |line: &str| line.starts_with("import forkprint") || line.starts_with("from forkprint");
    let marks = |line: &str| {
        let decorator = line.trim_start().strip_prefix('@').and_then(|line| line.split(['(', '#']).next());
        decorator.is_some_and(|name| name.trim_end().rsplit('.').next() == Some("step"))
    };
    text.lines().any(|line| imports(line.trim_start())) && text.lines().any(marks)
}

/// The code of a rule, as the rules spell it.
fn code(word: &str) -> Result<&'static str, String> {
    let found = RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(word));
    found.map(|rule| rule.code).ok_or_else(|| "no remedy has this code; see `forkprint advise --list`".into())
}

fn list(args: &DocumentArgs) -> Result<i32> {
    let document = match args.form()? {
        Format::Json => {
            let rules = RULES.iter().map(|rule| {
                serde_json::json!({
                    "code": rule.code, "title": rule.title, "summary": rule.summary, "caveats": rule.caveats,
                })
            });
            format!("{:#}\n", serde_json::Value::Array(rules.collect()))
        }
        Format::Text => list_text(output::terminal_width()),
        Format::Html => {
            return Err(Error::new("the list of remedies has no HTML form").fix("--format text or json"));
        }
    };
    let next = |_: &Path| "forkprint advise gunicorn.conf.py".into();
    output::deliver(&document, args, next)?;
    Ok(EXIT_OK)
}

fn list_text(width: usize) -> String {
    const INDENT: usize = 7;
    let mut text = String::new();
    for rule in RULES {
        let _ = writeln!(text, "{:INDENT$}{}", rule.code, rule.title);
        let summary = wrap(rule.summary, INDENT, INDENT, width);
        let _ = writeln!(text, "{:INDENT$}{summary}", "");
    }
    text
}

fn write_patch(advice: &Advice, path: &Path, args: &AdviseArgs) -> Result<()> {
    let diff = advice.recommended.as_ref().map(|recommended| recommended.diff.as_str());
    if let Some(diff) = diff.filter(|diff| !diff.is_empty()) {
        return output::write_file(path, diff.as_bytes(), args.document.force);
    }
    args.document.note(&format!("nothing to change in the file: {} was not written", path.display()));
    Ok(())
}

fn emit(advice: &Advice, args: &DocumentArgs) -> Result<()> {
    let next = format!("{} -o advice.html", advice.command);
    let document = match args.form()? {
        Format::Text => text::render(advice, output::terminal_width(), args.is_coloured()),
        Format::Json => {
            let json = serde_json::to_string_pretty(advice);
            json.map_err(|error| Error::new("cannot write the advice as JSON").why(error))? + "\n"
        }
        Format::Html => html::render(advice)?,
    };
    output::deliver(&document, args, |path| match args.form() {
        Ok(Format::Html) => format!("xdg-open {}", shell_word(&path.to_string_lossy())),
        _ => next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_told_from_a_configuration() {
        for text in [
            "import forkprint\n@forkprint.step\ndef f(): pass\n",
            "from forkprint import step\n@step  # first\ndef f(): pass\n",
            "import forkprint as fp\n@fp.step(finalize=True)\ndef f(): pass\n",
        ] {
            assert!(is_workload(text), "{text}");
        }
        let config = "import forkprint\nworkers = 2\n# @forkprint.step\ndef when_ready(server):\n    forkprint.prepare_fork()\n";
        assert!(!is_workload(config) && !is_workload("@step\ndef f(): pass\n"));
    }

    #[test]
    fn the_list_has_every_rule() {
        let text = list_text(60);
        assert!(RULES.iter().all(|rule| text.contains(rule.code) && text.contains(rule.title)));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(RULES.iter().all(|rule| code(&rule.code.to_lowercase()) == Ok(rule.code)));
        assert!(code("FP999").is_err());
    }
}
