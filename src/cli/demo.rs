//! `forkprint demo`: every built-in workload, one report each, and a gallery of them.

use super::output::write_file;
use super::{Invocation, interpreter};
use crate::error::{Context, EXIT_OK, Error, Result};
use crate::interrupt;
use crate::lab::{self, LabOptions, PolicySpec};
use crate::record::progress::Progress;
use crate::record::server::{AnalyzeOptions, analyze};
use crate::record::{MeasureOptions, RunOptions, RunOutcome, run as measure};
use crate::report::{gallery, html, matrix};
use crate::runtimes::Workload;
use crate::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions};
use crate::servers::gunicorn;
use crate::servers::load::Plan;
use crate::variant::Variant;
use clap::Args;
use include_dir::{Dir, include_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The workloads, carried along so that the demo needs no checkout.
static WORKLOADS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workloads");

const TIMEOUT: Duration = Duration::from_secs(300);

const EXAMPLES: &str = "Examples:
  forkprint demo                                  everything, into reports/
  forkprint demo --only gc --only jit             what has gc or jit in its name
  forkprint demo --python .venv/bin/python        an interpreter that has gunicorn and flask
  forkprint demo --export workloads               only write the workloads, to read and change them";

/// Measure every built-in workload and write a gallery of reports
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Folder for the reports and their index.html
    #[arg(short, long, default_value = "reports", value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    output: PathBuf,
    /// Only workloads whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Workers of each family
    #[arg(short, long, default_value_t = 2, value_name = "N")]
    workers: usize,
    /// The interpreter that has gunicorn and flask; by default the one forkprint is installed in, or
    /// for the plain binary that of the active virtual environment or of PATH
    #[arg(long, value_name = "PATH", default_value = interpreter::ON_PATH)]
    python: PathBuf,
    /// Replace reports of an earlier demo
    #[arg(long)]
    force: bool,
    /// Write the workloads to this folder and measure nothing
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    export: Option<PathBuf>,
}

/// One exhibit: how to measure it, and what to call its report.
struct Exhibit {
    name: String,
    /// The verb and its arguments, as a person would type them.
    command: String,
    kind: Kind,
}

enum Kind {
    Run(PathBuf, ToyOptions),
    Server {
        config: PathBuf,
        load: PathBuf,
    },
    /// The matrix of all toy programs and the default policies.
    Lab,
}

/// Runs the verb.
pub fn run(args: &DemoArgs, invocation: &Invocation) -> Result<i32> {
    if let Some(folder) = &args.export {
        return export(folder, args.force);
    }
    let scratch = tempfile::tempdir().doing("cannot make a temporary folder")?;
    WORKLOADS.extract(scratch.path()).at("cannot unpack the workloads", scratch.path())?;
    let exhibits: Vec<Exhibit> =
        exhibits(args.workers).into_iter().filter(|exhibit| chosen(exhibit, &args.only)).collect();
    if exhibits.is_empty() {
        return Err(Error::new("no built-in workload has that in its name")
            .fix("forkprint demo --export FOLDER shows them all"));
    }
    let index = args.output.join("index.html");
    refuse_to_overwrite(args, &exhibits, &index)?;

    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for (position, exhibit) in exhibits.iter().enumerate() {
        interrupt::check()?;
        progress.now(format!("{} ({} of {})", exhibit.name, position + 1, exhibits.len()));
        match show(exhibit, args, scratch.path(), invocation) {
            Ok(entry) => entries.push(entry),
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => failures.push((exhibit.name.as_str(), error)),
        }
    }
    progress.done();
    if !entries.is_empty() {
        write_file(&index, gallery::render(&entries)?.as_bytes(), args.force)?;
    }
    conclude((!invocation.quiet).then_some(&index), entries.len(), failures)
}

/// Measures one exhibit and writes its report. One that ended early is an error, and no report.
fn show(
    exhibit: &Exhibit,
    args: &DemoArgs,
    workloads: &Path,
    invocation: &Invocation,
) -> Result<gallery::Entry> {
    let href = format!("{}.html", exhibit.name);
    let (document, entry) = if let Kind::Lab = exhibit.kind {
        let matrix = lab::run(&laboratory(exhibit, invocation), &Progress::silent())?;
        (matrix::html::render(&matrix)?, gallery::Entry::of_matrix(&matrix, &exhibit.name, href.clone()))
    } else {
        let RunOutcome { mut recording, error, .. } = measure_family(exhibit, args, workloads, invocation)?;
        error.map_or(Ok(()), Err)?;
        recording.about.title.clone_from(&exhibit.name);
        (html::render(&recording)?, gallery::Entry::of(&recording, href.clone()))
    };
    write_file(&args.output.join(href), document.as_bytes(), args.force)?;
    Ok(entry)
}

fn laboratory(exhibit: &Exhibit, invocation: &Invocation) -> LabOptions {
    LabOptions {
        policies: PolicySpec::defaults(),
        programs: Vec::new(),
        workers: 1,
        jobs: thread::available_parallelism().map_or(1, usize::from),
        timeout: TIMEOUT,
        rung: None,
        captures: None,
        force: false,
        self_command: invocation.self_command.clone(),
        command: exhibit.command.clone(),
    }
}

fn measure_family(
    exhibit: &Exhibit,
    args: &DemoArgs,
    workloads: &Path,
    invocation: &Invocation,
) -> Result<RunOutcome> {
    let progress = Progress::silent();
    match &exhibit.kind {
        Kind::Run(path, toy) => measure(
            &RunOptions {
                workload: Workload { toy: toy.clone(), ..Workload::new(workloads.join(path)) },
                workers: args.workers,
                timeout: TIMEOUT,
                rung: None,
                witness: None,
                self_command: invocation.self_command.clone(),
                command: exhibit.command.clone(),
                mute: true,
            },
            &progress,
        ),
        Kind::Server { config, load } => analyze(
            &AnalyzeOptions {
                invocation: gunicorn::Invocation {
                    python: args.python.clone(),
                    config: workloads.join(config).display().to_string(),
                    extra: Vec::new(),
                    variant: Variant::default(),
                },
                plan: Plan::read(&workloads.join(load))?,
                measure: MeasureOptions::default(),
                patience: TIMEOUT,
                command: exhibit.command.clone(),
            },
            &progress,
        ),
        Kind::Lab => Err(Error::new("a matrix is no family")),
    }
}

fn exhibits(workers: usize) -> Vec<Exhibit> {
    let mut exhibits = Vec::new();
    let run = |path: &Path, suffix: &str, options: &str, toy: ToyOptions| Exhibit {
        name: format!("{}{suffix}", path.file_stem().unwrap_or_default().to_string_lossy()),
        command: format!("forkprint run workloads/{} -w {workers}{options}", path.display()),
        kind: Kind::Run(path.to_owned(), toy),
    };
    for path in files("python", "py") {
        exhibits.push(run(path, "", "", ToyOptions::default()));
    }
    for path in files("toy", "toy") {
        if path.file_stem().is_some_and(|stem| stem == "gc_marks") {
            let header = ToyOptions { gc: GcPolicy::MarkHeader, ..ToyOptions::default() };
            exhibits.push(run(path, "_in_headers", " --gc mark-header", header));
            exhibits.push(run(path, "_in_a_bitmap", " --gc mark-bitmap", ToyOptions::default()));
        } else if path.file_stem().is_some_and(|stem| stem == "persistent") {
            let scattered = ToyOptions { alloc: AllocOrder::Scattered, ..ToyOptions::default() };
            let bump = ToyOptions { alloc: AllocOrder::Bump, ..ToyOptions::default() };
            exhibits.push(run(path, "_one_after_the_other", " --alloc bump", bump));
            exhibits.push(run(path, "_scattered", " --alloc scattered", scattered));
        } else {
            exhibits.push(run(path, "", "", ToyOptions::default()));
        }
    }
    exhibits.push(Exhibit {
        name: "laboratory".into(),
        command: "forkprint lab -o laboratory.html".into(),
        kind: Kind::Lab,
    });
    let shop = Path::new("servers/gunicorn_shop");
    exhibits.push(Exhibit {
        name: "gunicorn_shop".into(),
        command: format!(
            "forkprint analyze workloads/{0}/gunicorn.conf.py --load workloads/{0}/load.toml",
            shop.display()
        ),
        kind: Kind::Server { config: shop.join("gunicorn.conf.py"), load: shop.join("load.toml") },
    });
    exhibits
}

/// The workloads of one runtime, by name.
fn files(folder: &str, ending: &str) -> Vec<&'static Path> {
    let dir = WORKLOADS.get_dir(folder);
    let mut paths: Vec<_> = dir.into_iter().flat_map(Dir::files).map(include_dir::File::path).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    paths
}

fn chosen(exhibit: &Exhibit, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|text| exhibit.name.contains(text.as_str()))
}

fn refuse_to_overwrite(args: &DemoArgs, exhibits: &[Exhibit], index: &Path) -> Result<()> {
    let reports = exhibits.iter().map(|exhibit| args.output.join(format!("{}.html", exhibit.name)));
    match reports.chain([index.to_owned()]).find(|path| path.exists()) {
        Some(path) if !args.force => Err(Error::new("refusing to overwrite a report")
            .path(path)
            .fix("add --force to replace it, or name another folder with -o")),
        _ => Ok(()),
    }
}

/// Tells what became of all of them; fails if any could not be shown.
fn conclude(index: Option<&PathBuf>, shown: usize, failures: Vec<(&str, Error)>) -> Result<i32> {
    if let Some(index) = index.filter(|_| shown > 0) {
        anstream::eprintln!(
            "wrote {0} and {shown} {1}\nnext: xdg-open {0}",
            index.display(),
            if shown == 1 { "report" } else { "reports" }
        );
    }
    let missing =
        failures.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("\n");
    match failures.into_iter().next() {
        None => Ok(EXIT_OK),
        Some((_, first)) => {
            let error = Error::new("some built-in workloads could not be measured").why(missing);
            Err(first.suggested_fix().map_or(error.clone(), |fix| error.clone().fix(fix)))
        }
    }
}

fn export(folder: &Path, force: bool) -> Result<i32> {
    if folder.exists() && !force {
        return Err(Error::new("refusing to overwrite a folder")
            .path(folder)
            .fix("name another one, or add --force"));
    }
    fs::create_dir_all(folder).at("cannot make the folder", folder)?;
    WORKLOADS.extract(folder).at("cannot write the workloads", folder)?;
    anstream::eprintln!(
        "wrote {}\nnext: forkprint run {}",
        folder.display(),
        folder.join("python/refcount_iteration.py").display()
    );
    Ok(EXIT_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_an_exhibit_with_a_name_of_its_own() {
        let exhibits = exhibits(2);
        let names: std::collections::BTreeSet<_> = exhibits.iter().map(|exhibit| &exhibit.name).collect();
        assert_eq!(names.len(), exhibits.len());
        assert_eq!(exhibits.len(), files("python", "py").len() + files("toy", "toy").len() + 4);
        assert!(files("python", "py").len() >= 12 && files("toy", "toy").len() >= 5);
    }
}
