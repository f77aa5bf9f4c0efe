//! Measuring one exhibit and writing its report.

use super::exhibits::{Exhibit, FAMILIES, Kind, ROUNDS, Server, TRIED};
use super::{DemoArgs, Invocation};
use crate::advise::experiment::Effort;
use crate::advise::program::{How, Program};
use crate::advise::rules::RULES;
use crate::advise::{AdviseOutcome, advise};
use crate::cli::output::write_file;
use crate::error::Result;
use crate::forecast::{Lives, Question, forecast};
use crate::lab::{self, LabOptions, PolicySpec};
use crate::record::progress::Progress;
use crate::record::server::{AnalyzeOptions, analyze};
use crate::record::{MeasureOptions, RunOptions, RunOutcome, run as measure};
use crate::report::{advice, forecast as forecasts, gallery, html, matrix};
use crate::runtimes::Workload;
use crate::runtimes::toy::ToyOptions;
use crate::servers::gunicorn;
use crate::servers::load::Plan;
use crate::variant::Variant;
use std::path::Path;
use std::thread;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(300);

/// What measuring an exhibit needs beside the exhibit itself.
pub(super) struct Studio<'a> {
    pub(super) args: &'a DemoArgs,
    /// Where the workloads were unpacked.
    pub(super) workloads: &'a Path,
    pub(super) invocation: &'a Invocation,
}

/// A report, and its card.
type Shown = (String, gallery::Entry);

impl Studio<'_> {
    /// Measures one exhibit and writes its report. One that ended early is an error, and no report.
    pub(super) fn show(&self, exhibit: &Exhibit) -> Result<gallery::Entry> {
        let href = format!("{}.html", exhibit.name);
        let path = self.args.output.join(&href);
        let (document, entry) = match &exhibit.kind {
            Kind::Run(program, toy) => family(exhibit, self.run(exhibit, program, toy)?, href)?,
            Kind::Server(server) => family(exhibit, self.serve(exhibit, server)?, href)?,
            Kind::Advice(server) => self.advice(exhibit, server, href)?,
            Kind::Forecast(server) => self.forecast(exhibit, server, href)?,
            Kind::Lab => self.matrix(exhibit, href)?,
        };
        write_file(&path, document.as_bytes(), self.args.force)?;
        Ok(entry)
    }

    fn advice(&self, exhibit: &Exhibit, server: &Server, href: String) -> Result<Shown> {
        let how = How {
            timeout: TIMEOUT,
            self_command: self.invocation.self_command.clone(),
            mute: true,
            ..How::default()
        };
        let program = Program::gunicorn(self.target(server), self.plan(server)?, how)?;
        let effort = Effort { rounds: ROUNDS.into(), ..Effort::default() };
        let AdviseOutcome { mut advice, error } =
            advise(&program, RULES, |rule| TRIED.contains(&rule.code), &effort, &Progress::silent())?;
        error.map_or(Ok(()), Err)?;
        advice.title.clone_from(&exhibit.name);
        advice.command.clone_from(&exhibit.command);
        // The unpacked file is gone when the report is read.
        let shown = Path::new("workloads").join(&server.config).display().to_string();
        if let Some(recommended) = &mut advice.recommended {
            recommended.diff = recommended.diff.replace(&advice.file, &shown);
        }
        advice.file = shown;
        Ok((advice::html::render(&advice)?, gallery::Entry::of_advice(&advice, href)))
    }

    fn forecast(&self, exhibit: &Exhibit, server: &Server, href: String) -> Result<Shown> {
        let RunOutcome { recording, error, .. } = self.serve(exhibit, server)?;
        error.map_or(Ok(()), Err)?;
        let lives = Lives::of(&[recording])?;
        let question = Question {
            workers: FAMILIES.collect(),
            age: None,
            limit: None,
            command: exhibit.command.clone(),
        };
        let mut found = forecast(&lives, &question);
        found.title.clone_from(&exhibit.name);
        Ok((forecasts::html::render(&found)?, gallery::Entry::of_forecast(&found, href)))
    }

    fn matrix(&self, exhibit: &Exhibit, href: String) -> Result<Shown> {
        let options = LabOptions {
            policies: PolicySpec::defaults(),
            programs: Vec::new(),
            workers: 1,
            jobs: thread::available_parallelism().map_or(1, usize::from),
            timeout: TIMEOUT,
            rung: None,
            captures: None,
            force: false,
            self_command: self.invocation.self_command.clone(),
            command: exhibit.command.clone(),
        };
        let matrix = lab::run(&options, &Progress::silent())?;
        Ok((matrix::html::render(&matrix)?, gallery::Entry::of_matrix(&matrix, &exhibit.name, href)))
    }

    fn run(&self, exhibit: &Exhibit, program: &Path, toy: &ToyOptions) -> Result<RunOutcome> {
        let options = RunOptions {
            workload: Workload { toy: toy.clone(), ..Workload::new(self.workloads.join(program)) },
            workers: self.args.workers,
            timeout: TIMEOUT,
            rung: None,
            witness: None,
            self_command: self.invocation.self_command.clone(),
            command: exhibit.command.clone(),
            mute: true,
        };
        measure(&options, &Progress::silent())
    }

    fn serve(&self, exhibit: &Exhibit, server: &Server) -> Result<RunOutcome> {
        let options = AnalyzeOptions {
            invocation: self.target(server),
            plan: self.plan(server)?,
            measure: MeasureOptions::default(),
            patience: TIMEOUT,
            command: exhibit.command.clone(),
        };
        analyze(&options, &Progress::silent())
    }

    fn target(&self, server: &Server) -> gunicorn::Invocation {
        gunicorn::Invocation {
            python: self.args.python.clone(),
            config: self.workloads.join(&server.config).display().to_string(),
            extra: Vec::new(),
            variant: Variant::default(),
        }
    }

    fn plan(&self, server: &Server) -> Result<Plan> {
        Plan::read(&self.workloads.join(&server.load))
    }
}

fn family(exhibit: &Exhibit, outcome: RunOutcome, href: String) -> Result<Shown> {
    let RunOutcome { mut recording, error, .. } = outcome;
    error.map_or(Ok(()), Err)?;
    recording.about.title.clone_from(&exhibit.name);
    Ok((html::render(&recording)?, gallery::Entry::of(&recording, href)))
}
