//! From a configuration to a recording: lint it, start it, drive it, look at every milestone.

mod family;
mod watch;

use self::family::Family;
use crate::error::{Error, Result};
use crate::family::recording::{About, Finding};
use crate::record::progress::Progress;
use crate::record::run::about_this_machine;
use crate::record::{MeasureOptions, Recording, RunOutcome};
use crate::servers::gunicorn::{Invocation, Settings, lint};
use crate::servers::load::{Driver, Plan, Tally};
use crate::units::Bytes;
use std::path::Path;
use std::time::{Duration, Instant};

/// A request may take this much longer than gunicorn's own timeout, which should strike first.
const REQUEST_MARGIN: Duration = Duration::from_secs(10);
/// The longest request where gunicorn has no timeout.
const ENDLESS_REQUEST: Duration = Duration::from_secs(600);

/// The finding about requests that failed; it comes first, as it puts all others in doubt.
const FAILED_REQUESTS: &str = "FP901";

/// What to analyze, and how.
#[derive(Debug, Clone)]
pub struct AnalyzeOptions {
    /// The configuration and the interpreter.
    pub invocation: Invocation,
    /// What to send.
    pub plan: Plan,
    /// How to measure.
    pub measure: MeasureOptions,
    /// How long the application and its workers may take to load.
    pub patience: Duration,
    /// The command line that repeats this, for the report.
    pub command: String,
}

/// Lints a configuration without running its application.
pub fn lint_only(invocation: &Invocation, command: &str) -> Result<Recording> {
    let settings = Settings::load(invocation)?;
    let mut about = about(invocation, &settings, command);
    about.complete = true;
    Ok(Recording { about, findings: lint(&settings, None), ..Recording::default() })
}

/// Runs a configuration's server under its load and measures its family at each milestone.
///
/// Errors: it could not be started, so that nothing was measured. What happens later ends the
/// measurement, but keeps what it found; so does a load that mostly failed.
pub fn analyze(options: &AnalyzeOptions, progress: &Progress) -> Result<RunOutcome> {
    progress.now("reading the configuration");
    let invocation = &options.invocation;
    let settings = Settings::load(invocation)?;
    check_drivable(&settings, invocation)?;
    let about = about(invocation, &settings, &options.command);
    progress.now(format!("starting gunicorn with {} workers", settings.workers));
    let mut family = Family::boot(invocation, &settings, about, &options.measure, options.patience)?;
    let findings = lint(&settings, Some(family.at_fork()));
    family.add_findings(findings);
    family.snapshot(0)?;

    let mut driver = Driver::new(options.plan.clone(), family.address(), request_timeout(&settings));
    let mut busy = Duration::ZERO;
    let end = drive(&mut family, &mut driver, &options.plan, progress, &mut busy);
    family.add_findings(failed_requests(driver.tally()));
    let error = end.err();
    family.add_findings(error.as_ref().map(|error| cut_short(error, driver.tally())));
    progress.now("explaining the writes");
    let course = family.course(driver.tally().sent, busy);
    let mut recording = family.stop(error.is_none());
    weigh_missing_preload(&mut recording);
    recording.findings.sort_by_key(|finding| finding.code != FAILED_REQUESTS);
    Ok(RunOutcome { recording, error: error.or_else(|| mostly_failed(driver.tally())), course })
}

/// Sends the whole load; `busy` is the time that requests took.
fn drive(
    family: &mut Family,
    driver: &mut Driver,
    plan: &Plan,
    progress: &Progress,
    busy: &mut Duration,
) -> Result<()> {
    for &milestone in &plan.milestones {
        let fatal_before = driver.tally().perhaps_fatal();
        family.enter_step(&step_name(milestone));
        let began = Instant::now();
        driver.run_until(milestone, |tally| {
            progress.now(format!("{} of {} requests", tally.sent, plan.count));
            family.watch()
        })?;
        *busy += began.elapsed();
        progress.now(format!("reading the family after {milestone} requests"));
        family.await_endings(driver.tally().perhaps_fatal() - fatal_before)?;
        family.snapshot(milestone)?;
    }
    Ok(())
}

fn step_name(requests: u64) -> String {
    if requests == 1 { "1 request".into() } else { format!("{requests} requests") }
}

fn about(invocation: &Invocation, settings: &Settings, command: &str) -> About {
    let (major, minor, patch) = settings.python;
    let mut notes = Vec::new();
    if settings.tls {
        notes.push("TLS was left out: requests were sent as plain HTTP".into());
    }
    if settings.dirty_workers > 0 {
        notes.push(format!("the dirty arbiter and its {} workers were not measured", settings.dirty_workers));
    }
    About {
        title: title(invocation),
        description: settings.description.split("\n\n").next().unwrap_or_default().to_owned(),
        command: command.to_owned(),
        runtime: "server".into(),
        runtime_version: format!(
            "gunicorn {} ({}), {} {major}.{minor}.{patch}",
            settings.gunicorn_version, settings.worker_class, settings.implementation
        ),
        notes,
        ..about_this_machine()
    }
}

/// The name of the folder a configuration lies in, or of its module.
fn title(invocation: &Invocation) -> String {
    let Some(file) = invocation.config_file() else { return invocation.config.clone() };
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent().and_then(Path::file_name);
    folder.unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned()
}

fn check_drivable(settings: &Settings, invocation: &Invocation) -> Result<()> {
    if settings.wsgi_app.is_none() {
        return Err(Error::new("gunicorn has no application to run")
            .location(&invocation.config)
            .why("the configuration does not set wsgi_app")
            .fix(
                "wsgi_app = \"module:app\" in the configuration, or after the other arguments: -- module:app",
            ));
    }
    if settings.protocol != "http" {
        return Err(Error::new(format!("cannot drive a server that speaks {}", settings.protocol))
            .location(&invocation.config)
            .fix("-- --protocol http"));
    }
    if settings.workers == 0 {
        return Err(Error::new("there are no workers to measure").location(&invocation.config).fix("-w 2"));
    }
    Ok(())
}

fn request_timeout(settings: &Settings) -> Duration {
    match settings.timeout {
        0 => ENDLESS_REQUEST,
        seconds => (Duration::from_secs(seconds) + REQUEST_MARGIN).min(ENDLESS_REQUEST),
    }
}

/// A load of which half failed or more says little about the application when it works.
fn mostly_failed(tally: &Tally) -> Option<Error> {
    let first = tally.first_failure.as_ref().filter(|_| 2 * tally.failed() >= tally.sent)?;
    let body = first.first_line().map(|line| format!("\n{line}")).unwrap_or_default();
    Some(
        Error::new(format!(
            "the application served {} of {} requests",
            tally.sent - tally.failed(),
            tally.sent
        ))
        .location(&first.request)
        .why(format!("{}; the first got {}{body}", failures(tally), first.answer))
        .fix("describe requests it serves in a load file: --load load.toml"),
    )
}

/// How requests failed, and how many in each way.
fn failures(tally: &Tally) -> String {
    let mut kinds: Vec<String> =
        tally.refused.iter().map(|(status, count)| format!("{count} with status {status}")).collect();
    if tally.unanswered > 0 {
        kinds.push(format!("{} without an answer", tally.unanswered));
    }
    kinds.join(", ")
}

fn failed_requests(tally: &Tally) -> Option<Finding> {
    let first = tally.first_failure.as_ref()?;
    Some(Finding {
        code: FAILED_REQUESTS.into(),
        title: format!("{} of {} requests failed", tally.failed(), tally.sent),
        evidence: format!("{}; the first was {}: {}", failures(tally), first.request, first.answer),
        fix: "correct the load file, or the application: pages touched by failures are counted too".into(),
    })
}

/// Why a measurement ends early; the steps before it are kept.
fn cut_short(error: &Error, tally: &Tally) -> Finding {
    let fix = match error.suggested_fix() {
        Some(fix) => fix,
        None if error.is_interrupt() => "run it again to the end",
        None => "run gunicorn alone under the same load and read its error log",
    };
    Finding {
        code: "FP902".into(),
        title: format!("The measurement ended after {} requests", tally.sent),
        evidence: error.to_string(),
        fix: fix.into(),
    }
}

/// Adds to FP001 what the workers really hold for themselves.
fn weigh_missing_preload(recording: &mut Recording) {
    let Some(step) = recording.steps.last() else { return };
    let fresh = step.workers.iter().map(|worker| worker.fresh).min().unwrap_or(0);
    for finding in recording.findings.iter_mut().filter(|finding| finding.code == "FP001") {
        let inherited = Bytes::of_pages(recording.zygote.private_pages);
        finding.evidence = format!(
            "{}; each holds at least {} of its own, and inherited {inherited}",
            finding.evidence,
            Bytes::of_pages(fresh)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::load::Failure;
    use std::collections::BTreeMap;

    fn tally(sent: u64, refused: u64) -> Tally {
        let first =
            Failure { request: "GET /".into(), answer: "status 500".into(), body: "<h1>oops</h1>".into() };
        Tally {
            sent,
            refused: BTreeMap::from([(500, refused)]),
            unanswered: 0,
            first_failure: (refused > 0).then_some(first),
        }
    }

    #[test]
    fn a_load_that_fails_by_half_is_an_error_and_one_that_fails_by_less_a_finding() {
        assert!(mostly_failed(&tally(0, 0)).is_none());
        assert!(mostly_failed(&tally(10, 4)).is_none());
        let error = mostly_failed(&tally(10, 5)).unwrap().to_string();
        assert!(error.starts_with("the application served 5 of 10 requests\n  where: GET /\n"), "{error}");
        assert!(error.contains("5 with status 500; the first got status 500\n         oops\n"), "{error}");
        assert!(failed_requests(&tally(10, 0)).is_none());
        let finding = failed_requests(&tally(10, 3)).unwrap();
        assert_eq!(finding.title, "3 of 10 requests failed");
        assert_eq!(finding.evidence, "3 with status 500; the first was GET /: status 500");
    }

    #[test]
    fn an_interrupt_is_no_finding() {
        assert_eq!(cut_short(&Error::interrupted(), &tally(5, 0)).evidence, "interrupted");
        assert!(cut_short(&Error::new("gone"), &tally(5, 0)).title.contains("5 requests"));
    }
}
