//! Captures: what is read is what was written, and damage is one clear error.

mod random;

use forkprint::capture;
use forkprint::family::breaks::{Breaks, Witness};
use forkprint::family::recording::{Fate, PageHistory, Recording, Step, WorkerInfo};
use forkprint::family::synthetic::{Shape, recording};
use proptest::prelude::*;
use random::any_history_with_breaks;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BREAK_TABLES: [&str; 5] =
    ["breaks.parquet", "owners.parquet", "writers.parquet", "functions.parquet", "frames.parquet"];
const SMALL: Shape = Shape { pages: 3000, workers: 3, steps: 4, server: false, seed: 7 };

fn written() -> (tempfile::TempDir, PathBuf, Recording) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.forkprint");
    let recording = recording(SMALL);
    capture::write(&recording, &path, false).unwrap();
    (folder, path, recording)
}

#[test]
fn a_capture_reads_back_as_it_was_recorded() {
    let (folder, path, recording) = written();
    assert!(recording.steps.last().unwrap().workers[0].broken > 100, "the example has something to lose");
    assert_eq!(capture::read(&path).unwrap(), recording);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary folder is left");
}

#[test]
fn a_capture_without_transitions_reads_as_having_none() {
    let (_folder, path, mut recording) = written();
    assert!(recording.pages.workers.iter().all(|worker| worker.earlier.len() > 10));
    edit_manifest(&path, |manifest| {
        manifest["tables"].as_object_mut().unwrap().remove("transitions.parquet").unwrap();
    });
    fs::remove_file(path.join("transitions.parquet")).unwrap();
    recording.pages.workers.iter_mut().for_each(|worker| worker.earlier.clear());
    assert_eq!(capture::read(&path).unwrap(), recording);
}

#[test]
fn a_capture_without_breaks_reads_as_having_none() {
    let (_folder, path, mut recording) = written();
    assert!(recording.breaks.rows.len() > 100 && !recording.breaks.frames.is_empty());
    edit_manifest(&path, |manifest| {
        for table in BREAK_TABLES {
            manifest["tables"].as_object_mut().unwrap().remove(table).unwrap();
        }
        for names in ["type_names", "field_names"] {
            manifest.as_object_mut().unwrap().remove(names).unwrap();
        }
        manifest["about"].as_object_mut().unwrap().remove("witness").unwrap();
    });
    BREAK_TABLES.iter().for_each(|table| fs::remove_file(path.join(table)).unwrap());
    recording.breaks = Breaks::default();
    recording.about.witness = Witness::None;
    assert_eq!(capture::read(&path).unwrap(), recording);
}

fn edit_manifest(path: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let file = path.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(&file, manifest.to_string()).unwrap();
}

/// What a reader without our code finds in the table of breaks.
#[test]
fn breaks_name_what_they_refer_to() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{UInt32Type, UInt64Type};
    let (_folder, path, recording) = written();
    let breaks = &recording.breaks;
    let opened = fs::File::open(path.join("breaks.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(opened)
        .unwrap()
        .with_batch_size(breaks.rows.len())
        .build()
        .unwrap();
    let batch = reader.into_iter().next().unwrap().unwrap();
    let text = |column: &str| {
        let array = batch.column_by_name(column).unwrap();
        let plain = texts_of(array);
        assert_eq!(plain.len(), breaks.rows.len(), "{column}");
        plain
    };
    let (owners, causes, types, functions) = (text("owner"), text("cause"), text("type"), text("function"));
    let addresses = batch.column_by_name("address").unwrap().as_primitive::<UInt64Type>();
    let lines = batch.column_by_name("line").unwrap().as_primitive::<UInt32Type>();
    let pages: Vec<u64> =
        recording.pages.runs.iter().flat_map(|run| run.first..run.first + u64::from(run.len)).collect();
    for (at, row) in breaks.rows.iter().enumerate() {
        assert_eq!(owners[at].clone().unwrap_or_default(), breaks.owner_path(row.owner));
        assert_eq!(causes[at].as_deref(), Some(row.cause.name()));
        assert_eq!(types[at].as_ref(), breaks.types.get(row.ty as usize));
        let innermost = breaks.stack(row.frame).next();
        let function = innermost.map(|frame| breaks.functions[frame.function as usize].name.clone());
        let line = lines.iter().nth(at).unwrap();
        assert_eq!((&functions[at], line), (&function, innermost.map(|frame| frame.line)));
        assert_eq!(addresses.value(at), pages[row.page as usize] * 4096 + u64::from(row.offset));
    }
}

/// The texts of a dictionary column.
fn texts_of(array: &dyn arrow_array::Array) -> Vec<Option<String>> {
    use arrow_array::cast::AsArray;
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values().as_string::<i32>();
    let keys = dictionary.normalized_keys();
    (0..array.len()).map(|row| array.is_valid(row).then(|| values.value(keys[row]).to_owned())).collect()
}

#[test]
fn a_recording_without_pages_is_a_capture_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, recording) in [
        ("empty", Recording::default()),
        ("rollup", Recording { pages: PageHistory::default(), ..recording(SMALL) }),
    ] {
        let path = folder.path().join(name);
        capture::write(&recording, &path, false).unwrap();
        assert_eq!(capture::read(&path).unwrap(), recording);
    }
}

#[test]
fn an_earlier_capture_is_replaced_only_by_force() {
    let (folder, path, _) = written();
    let other = Recording::default();
    let refusal = capture::write(&other, &path, false).unwrap_err();
    assert!(refusal.to_string().contains("--force"), "{refusal}");
    assert_ne!(capture::read(&path).unwrap(), other);
    capture::write(&other, &path, true).unwrap();
    assert_eq!(capture::read(&path).unwrap(), other);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_not_a_capture_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let refusal = capture::write(&Recording::default(), folder.path(), true).unwrap_err();
    assert!(refusal.to_string().contains("not a capture"), "{refusal}");
    assert!(folder.path().join("thesis.tex").exists());
}

#[test]
fn damaged_files_are_told_by_name() {
    let tables = ["pages.parquet", "regions.parquet", "fresh.parquet", "transitions.parquet"];
    for name in tables.into_iter().chain(BREAK_TABLES) {
        for damage in [cut as fn(&Path), flip, remove, empty] {
            let (_folder, path, _) = written();
            damage(&path.join(name));
            let error = capture::read(&path).unwrap_err().to_string();
            assert!(error.starts_with("cannot read the capture\n") && error.contains(name), "{error}");
        }
    }
    for damage in [cut as fn(&Path), remove, empty] {
        let (_folder, path, _) = written();
        damage(&path.join("manifest.json"));
        let error = capture::read(&path).unwrap_err().to_string();
        assert!(error.contains("manifest") && error.contains("fix:"), "{error}");
    }
}

/// The writer of a capture trusts its recording; the reader of a capture trusts nobody.
#[test]
fn indices_that_lead_nowhere_are_damage() {
    type Damage = fn(&mut Breaks);
    let cases: [(&str, Damage); 8] = [
        ("breaks.parquet", |breaks| breaks.rows[7].page = 3000),
        ("breaks.parquet", |breaks| breaks.rows.swap(3, 4)),
        ("breaks.parquet", |breaks| breaks.rows[7].ty = 99_999),
        ("breaks.parquet", |breaks| breaks.owners.truncate(1)),
        ("breaks.parquet", |breaks| breaks.rows[7].frame = 99_999),
        ("frames.parquet", |breaks| breaks.frames[1].function = 99_999),
        ("frames.parquet", |breaks| breaks.frames[1].parent = 1),
        ("owners.parquet", |breaks| breaks.owners[0].parent = 2),
    ];
    for (name, damage) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.forkprint");
        let mut recording = recording(SMALL);
        damage(&mut recording.breaks);
        capture::write(&recording, &path, false).unwrap();
        let error = capture::read(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the capture\n") && error.contains(name), "{error}");
    }
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn remove(file: &Path) {
    fs::remove_file(file).unwrap();
}

fn empty(file: &Path) {
    fs::write(file, "").unwrap();
}

#[test]
fn a_newer_capture_asks_for_a_newer_program() {
    let (_folder, path, _) = written();
    let manifest = path.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"schema_version\": 1", "\"schema_version\": 99", 1)).unwrap();
    let error = capture::read(&path).unwrap_err().to_string();
    assert!(error.contains("newer forkprint") && error.contains("99"), "{error}");
}

/// A file system of 64 KiB, unmounted when dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(folder.path())
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_earlier_capture_and_nothing_else() {
    let Some(disk) = TinyDisk::mount() else {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let path = disk.0.path().join("app.forkprint");
    let earlier = Recording::default();
    capture::write(&earlier, &path, false).unwrap();
    let large = recording(Shape { pages: 100_000, ..SMALL });
    let error = capture::write(&large, &path, true).unwrap_err().to_string();
    assert!(error.contains("No space left") && error.contains("app.forkprint"), "{error}");
    assert_eq!(capture::read(&path).unwrap(), earlier);
    assert_eq!(fs::read_dir(disk.0.path()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_history_survives((pages, breaks) in any_history_with_breaks(), names in prop::collection::vec(".{0,6}", 0..4), seconds in 0.0..1e9_f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.forkprint");
        let steps = names.iter().map(|name| Step { name: name.clone(), seconds, ..Step::default() }).collect();
        let fate = Fate::Failed { message: names.concat(), step: String::new() };
        let recording = Recording { pages, breaks, steps, workers: vec![WorkerInfo { worker: 0, pid: 1, fate }], ..Recording::default() };
        capture::write(&recording, &path, false).unwrap();
        prop_assert_eq!(capture::read(&path).unwrap(), recording);
    }
}

/// Names in the first column of the tables of a Markdown text, under the heading of each file.
fn documented(markdown: &str) -> Vec<(String, Vec<String>)> {
    let sections = markdown.split("\n## `").skip(1);
    let names = |line: &str| {
        let first = line.strip_prefix("| ")?.split(" |").next()?;
        let names = first.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'));
        Some(names.map(str::to_owned).collect::<Vec<_>>())
    };
    sections
        .map(|section| {
            let file = section.split('`').next().unwrap().to_owned();
            (file, section.lines().filter_map(names).flatten().collect())
        })
        .collect()
}

#[test]
fn every_table_and_column_is_documented() {
    let (_folder, path, _) = written();
    let documented = documented(include_str!("../../docs/capture.md"));
    let files = fs::read_dir(&path).unwrap().filter_map(|file| file.unwrap().file_name().into_string().ok());
    assert_eq!(files.filter(|file| file.ends_with(".parquet")).count(), documented.len());
    for (file, columns) in documented {
        let opened = fs::File::open(path.join(&file)).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(opened).unwrap();
        let stored: Vec<&String> = reader.schema().fields().iter().map(|field| field.name()).collect();
        assert_eq!(stored, columns.iter().collect::<Vec<_>>(), "{file}");
    }
}
