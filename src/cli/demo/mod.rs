//! `forkprint demo`: every built-in workload, one report each, and a gallery of them.

mod exhibits;
mod show;

use self::exhibits::{Exhibit, WORKLOADS, exhibits};
use self::show::Studio;
use super::output::write_file;
use super::{Invocation, interpreter};
use crate::error::{Context, EXIT_OK, Error, Result};
use crate::interrupt;
use crate::record::progress::Progress;
use crate::report::gallery;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

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
    let studio = Studio { args, workloads: scratch.path(), invocation };
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    for (position, exhibit) in exhibits.iter().enumerate() {
        interrupt::check()?;
        progress.now(format!("{} ({} of {})", exhibit.name, position + 1, exhibits.len()));
        match studio.show(exhibit) {
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
