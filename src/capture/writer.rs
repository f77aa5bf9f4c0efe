//! Writes a capture: all of it, or nothing.

use super::breaks;
use super::manifest::{self, Manifest, Stamp};
use super::tables;
use crate::error::{Context, Error, Result};
use crate::family::Breaks;
use crate::family::recording::{PageHistory, Recording, SCHEMA_VERSION};
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const WHAT: &str = "cannot write the capture";

/// Writes `recording` as the capture folder `path`.
///
/// The folder is filled under a temporary name beside `path` and renamed at the end, so a failure
/// (a full disk, an interrupt) leaves no half-written capture, and an earlier one as it was.
/// With `force`, an earlier capture is replaced; anything else at `path` never is.
pub fn write(recording: &Recording, path: &Path, force: bool) -> Result<()> {
    check_destination(path, force)?;
    let parent = parent_of(path);
    fs::create_dir_all(parent).at(WHAT, parent)?;
    let staging = tempfile::Builder::new().prefix(".forkprint-").tempdir_in(parent).at(WHAT, parent)?;
    let folder = staging.path().join("new");
    fs::create_dir(&folder).at(WHAT, &folder)?;
    fill(recording, &folder)
        .map_err(|error| error.path(path).fix("free some space or name another folder with --capture"))?;
    replace(&folder, path, &staging.path().join("old")).at(WHAT, path)
}

/// Refuses a destination that [`write()`] would refuse; to be asked before a long measurement.
pub fn check_destination(path: &Path, force: bool) -> Result<()> {
    if path.file_name().is_none() {
        return Err(Error::new(WHAT)
            .path(path)
            .why("the path has no name")
            .fix("name a folder, like app.forkprint"));
    }
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let is_capture = path.join(manifest::FILE).is_file();
    match (is_capture, force) {
        (true, true) => Ok(()),
        (true, false) => Err(Error::new("refusing to overwrite a capture")
            .path(path)
            .fix("add --force to replace it, or name another folder")),
        (false, _) => Err(Error::new("refusing to overwrite what is not a capture")
            .path(path)
            .why("it exists and holds no manifest.json")
            .fix("name another folder")),
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Moves `new` to `path`, keeping what was there at `old` until that has worked.
fn replace(new: &Path, path: &Path, old: &Path) -> std::io::Result<()> {
    let replaces = fs::symlink_metadata(path).is_ok();
    if replaces {
        fs::rename(path, old)?;
    }
    fs::rename(new, path).inspect_err(|_| {
        if replaces {
            let _ = fs::rename(old, path);
        }
    })
}

fn fill(recording: &Recording, folder: &Path) -> Result<()> {
    let history = &recording.pages;
    let step_names: Vec<String> = recording.steps.iter().map(|step| step.name.clone()).collect();
    let pages: Vec<_> = history
        .workers
        .iter()
        .map(|worker| tables::pages(history, worker, &step_names))
        .collect::<Result<_, _>>()
        .doing(WHAT)?;
    let mut stamps = BTreeMap::new();
    let mut put = |name: &str, groups: &[RecordBatch]| -> Result<()> {
        let path = folder.join(name);
        let stamp = write_table(&path, groups).map_err(|why| Error::new(WHAT).path(&path).why(why))?;
        stamps.insert(name.to_owned(), stamp);
        Ok(())
    };
    put(tables::PROCESSES, &[tables::processes(recording).doing(WHAT)?])?;
    put(tables::REGIONS, &[tables::regions(history).doing(WHAT)?])?;
    put(tables::STEPS, &[tables::steps(recording).doing(WHAT)?])?;
    put(tables::FRESH, &[tables::fresh(history).doing(WHAT)?])?;
    put(tables::TRANSITIONS, &[tables::transitions(history, &step_names).doing(WHAT)?])?;
    for (name, table) in breaks::tables(recording, &step_names).doing(WHAT)? {
        put(name, &[table])?;
    }
    if !pages.is_empty() {
        put(tables::PAGES, &pages)?;
    }
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        region_names: history.regions.clone(),
        page_workers: history.workers.iter().map(|worker| worker.worker).collect(),
        type_names: recording.breaks.types.clone(),
        field_names: recording.breaks.fields.clone(),
        tables: stamps,
        recording: without_tables(recording),
    };
    manifest.write(folder)
}

/// What the manifest repeats of a recording: all but what its tables hold.
fn without_tables(recording: &Recording) -> Recording {
    let Recording { about, zygote, workers, steps, reconciliation, findings, .. } = recording;
    Recording {
        about: about.clone(),
        zygote: zygote.clone(),
        workers: workers.clone(),
        steps: steps.clone(),
        reconciliation: reconciliation.clone(),
        findings: findings.clone(),
        pages: PageHistory::default(),
        breaks: Breaks::default(),
    }
}

/// Writes a table, one row group for each batch, so that the reader can decode them side by side.
fn write_table(path: &PathBuf, groups: &[RecordBatch]) -> Result<Stamp, String> {
    let Some(first) = groups.first() else { return Err("a table needs a schema".into()) };
    let mut writer =
        ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties())).map_err(|e| e.to_string())?;
    for group in groups {
        writer.write(group).map_err(|e| e.to_string())?;
        writer.flush().map_err(|e| e.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|e| e.to_string())?;
    fs::write(path, &bytes).map_err(|e| e.to_string())?;
    let rows = groups.iter().map(|group| group.num_rows() as u64).sum();
    Ok(Stamp::of(rows, &bytes))
}

fn properties() -> WriterProperties {
    let address = || ColumnPath::from("address");
    WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_column_dictionary_enabled(address(), false)
        .set_column_encoding(address(), Encoding::DELTA_BINARY_PACKED)
        .build()
}
