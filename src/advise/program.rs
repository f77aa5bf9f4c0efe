//! What is to be advised on: a gunicorn configuration under a load, or a Python workload.

use super::patch::Source;
use super::rules::{Evidence, Target};
use crate::error::{Context, Error, Result};
use crate::family::recording::{Fate, Recording};
use crate::family::{Rung, Witness};
use crate::record::progress::Progress;
use crate::record::server::{AnalyzeOptions, analyze};
use crate::record::{Course, MeasureOptions, RunOptions, RunOutcome, run};
use crate::runtimes::Workload;
use crate::servers::gunicorn::{Invocation, Settings};
use crate::servers::load::Plan;
use crate::variant::Variant;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program and how to measure it.
#[derive(Debug, Clone)]
pub struct Program {
    /// Which program.
    pub kind: Kind,
    /// Its file, as it is shown to people.
    pub file: PathBuf,
    /// Text of the file.
    pub source: Source,
    /// Paths that the load requests with GET, the most frequent first.
    pub paths: Vec<String>,
    /// How to measure.
    pub how: How,
}

/// Which program it is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A gunicorn configuration.
    Gunicorn(Box<Server>),
    /// A Python workload.
    Python {
        /// Workers to fork.
        workers: usize,
    },
}

/// A gunicorn configuration under a load.
#[derive(Debug, Clone)]
pub struct Server {
    /// The configuration and the interpreter.
    pub invocation: Invocation,
    /// What gunicorn makes of it.
    pub settings: Settings,
    /// What to send.
    pub plan: Plan,
}

/// How to measure a program.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Evidence to use; the best one otherwise.
    pub rung: Option<Rung>,
    /// How to witness breaks in the runs that look for causes; the best way otherwise.
    pub witness: Option<Witness>,
    /// Longest wait for the program to load, and for a step.
    pub timeout: Duration,
    /// Re-executes this program.
    pub self_command: Vec<OsString>,
    /// Throw away what a workload prints.
    pub mute: bool,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Which writes broke the pages.
    Causes,
    /// Memory and time, which witnesses would lengthen.
    Figures,
}

/// A run that went as far as it should.
#[derive(Debug)]
pub struct Measured {
    /// What was measured.
    pub recording: Recording,
    /// How it went, apart from memory.
    pub course: Course,
}

impl Program {
    /// A gunicorn configuration: its settings and its text are read.
    pub fn gunicorn(invocation: Invocation, plan: Plan, how: How) -> Result<Self> {
        const WHAT: &str = "cannot read the text of the configuration";
        let settings = Settings::load(&invocation)?;
        let found = settings.config_file.as_deref().ok_or_else(|| {
            Error::new(WHAT)
                .location(&invocation.config)
                .why("it was loaded from no file")
                .fix("name a file: forkprint advise gunicorn.conf.py")
        })?;
        let source = read_source(found, &invocation.python)?;
        let file = invocation.config_file().map_or_else(|| found.to_owned(), Path::to_owned);
        Ok(Self {
            paths: paths(&plan),
            kind: Kind::Gunicorn(Box::new(Server { invocation, settings, plan })),
            file,
            source,
            how,
        })
    }

    /// A Python workload, whose source `python` parses.
    pub fn python(path: &Path, python: &Path, workers: usize, how: How) -> Result<Self> {
        let source = read_source(path, python)?;
        Ok(Self { kind: Kind::Python { workers }, file: path.to_owned(), source, paths: Vec::new(), how })
    }

    /// The program as rules see it.
    pub fn evidence<'a>(&'a self, measured: &'a Measured) -> Evidence<'a> {
        let target = match &self.kind {
            Kind::Gunicorn(server) => Target::Gunicorn {
                settings: &server.settings,
                at_fork: measured.course.at_fork.as_ref(),
                text: self.source.text(),
            },
            Kind::Python { .. } => Target::Python { path: &self.file, text: self.source.text() },
        };
        Evidence {
            target,
            recording: &measured.recording,
            zygote_threads: measured.course.zygote_threads,
            paths: &self.paths,
        }
    }

    /// The program as rules see it where a variant of it was measured: its settings are the variant's, its
    /// text is the user's, which edits are made to.
    pub fn with_settings_of(&self, variant: &Variant) -> Result<Self> {
        let mut program = self.clone();
        if let Kind::Gunicorn(server) = &mut program.kind {
            let invocation = Invocation { variant: variant.clone(), ..server.invocation.clone() };
            server.settings = Settings::load(&invocation)?;
        }
        Ok(program)
    }

    /// Runs a variant of the program under the load.
    ///
    /// Errors: it could not be started, or not be measured to its end.
    pub fn measure(&self, variant: &Variant, purpose: Purpose, progress: &Progress) -> Result<Measured> {
        let witness = match purpose {
            Purpose::Causes => self.how.witness,
            Purpose::Figures => Some(Witness::None),
        };
        let outcome = match &self.kind {
            Kind::Gunicorn(server) => {
                let Server { invocation, plan, .. } = &**server;
                let options = AnalyzeOptions {
                    invocation: Invocation { variant: variant.clone(), ..invocation.clone() },
                    plan: plan.clone(),
                    measure: MeasureOptions { rung: self.how.rung, witness, code_in_worker: false },
                    patience: self.how.timeout,
                    command: self.repeat(),
                };
                analyze(&options, progress)
            }
            Kind::Python { workers } => {
                let options = RunOptions {
                    workload: Workload { variant: variant.clone(), ..Workload::new(&self.file) },
                    workers: *workers,
                    timeout: self.how.timeout,
                    rung: self.how.rung,
                    witness,
                    self_command: self.how.self_command.clone(),
                    command: self.repeat(),
                    mute: self.how.mute,
                };
                run(&options, progress)
            }
        };
        let RunOutcome { recording, error, course } = outcome?;
        error.map_or(Ok(Measured { recording, course }), Err)
    }

    /// The command that measures the program as it is.
    fn repeat(&self) -> String {
        let verb = if matches!(self.kind, Kind::Python { .. }) { "run" } else { "analyze" };
        format!("forkprint {verb} {}", self.file.display())
    }
}

/// Findings that say that the program did not do its work.
const TROUBLE: [&str; 3] = ["FP900", "FP901", "FP902"];

/// Why a variant's run shows that it does not work, though the program as it is does.
pub fn trouble(variant: &Recording, today: &Recording) -> Option<String> {
    let failed =
        |recording: &Recording, code: &str| recording.findings.iter().any(|found| found.code == code);
    let finding = variant
        .findings
        .iter()
        .find(|found| TROUBLE.contains(&found.code.as_str()) && !failed(today, &found.code));
    let raised = || {
        variant.workers.iter().find_map(|worker| match &worker.fate {
            Fate::Failed { message, step } => Some(format!("step '{step}' raised {message}")),
            _ => None,
        })
    };
    finding.map(|found| format!("{}: {}", found.title, found.evidence)).or_else(|| {
        let failing = today.workers.iter().any(|worker| matches!(worker.fate, Fate::Failed { .. }));
        if failing { None } else { raised() }
    })
}

/// What a load gets, the most frequent first.
fn paths(plan: &Plan) -> Vec<String> {
    let mut got: Vec<_> = plan.requests.iter().filter(|request| request.method == "GET").collect();
    got.sort_by_key(|request| std::cmp::Reverse(request.weight));
    got.into_iter().map(|request| request.path.clone()).collect()
}

fn read_source(path: &Path, python: &Path) -> Result<Source> {
    let text = fs::read_to_string(path).at("cannot read the program", path).map_err(|error| {
        error.fix("check the path: `forkprint advise` takes a gunicorn configuration or a Python workload, in UTF-8")
    })?;
    Source::read(text, python).map_err(|error| {
        let why = error.in_one_line();
        Error::new("cannot read the program").path(path).why(why)
    })
}
