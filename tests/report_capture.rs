//! Captures: what is read is what was written, and damage is one clear error.

use forkprint::capture;
use forkprint::family::PageState;
use forkprint::family::recording::Recording;
use forkprint::family::recording::{
    Content, Fate, NO_STEP, PageCell, PageHistory, PageRun, Step, Transition, WorkerInfo, WorkerPages,
};
use forkprint::family::synthetic::{Shape, recording};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let manifest = path.join("manifest.json");
    let mut value: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    value["tables"].as_object_mut().unwrap().remove("transitions.parquet").unwrap();
    fs::write(&manifest, value.to_string()).unwrap();
    fs::remove_file(path.join("transitions.parquet")).unwrap();
    recording.pages.workers.iter_mut().for_each(|worker| worker.earlier.clear());
    assert_eq!(capture::read(&path).unwrap(), recording);
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
    for name in ["pages.parquet", "regions.parquet", "fresh.parquet", "transitions.parquet"] {
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

fn any_cell() -> impl Strategy<Value = PageCell> {
    let content = prop::sample::select(vec![Content::NotCompared, Content::Equal, Content::Differs]);
    (prop::sample::select(PageState::ALL.to_vec()), 0..=NO_STEP, content, any::<u16>())
        .prop_map(|(state, step, content, bytes_changed)| PageCell { state, step, content, bytes_changed })
}

fn any_transitions(pages: usize) -> impl Strategy<Value = Vec<Transition>> {
    let key = (0..u32::try_from(pages.max(1)).unwrap(), 0..NO_STEP);
    let most = if pages == 0 { 0 } else { 9 };
    prop::collection::btree_map(key, any_cell(), 0..=most).prop_map(|transitions| {
        transitions
            .into_iter()
            .map(|((page, until), PageCell { state, content, .. })| Transition {
                page,
                until,
                state,
                content,
            })
            .collect()
    })
}

fn any_history() -> impl Strategy<Value = PageHistory> {
    let runs = prop::collection::vec((0_u64..5, 1_u32..20, 0_u32..3), 0..8);
    (runs, prop::collection::btree_set(any::<u32>(), 0..4)).prop_flat_map(|(runs, workers)| {
        let mut next = 0x7f00_0000;
        let runs: Vec<PageRun> = runs
            .into_iter()
            .map(|(gap, len, region)| {
                let first = next + gap;
                next = first + u64::from(len);
                PageRun { first, len, region }
            })
            .collect();
        let pages = runs.iter().map(|run| run.len as usize).sum::<usize>();
        let each = (
            prop::collection::vec(any_cell(), pages),
            any_transitions(pages),
            prop::collection::vec((0_u64..1 << 40, 1_u32..99), 0..4),
        );
        let count = workers.len();
        prop::collection::vec(each, count).prop_map(move |each| PageHistory {
            regions: vec!["heap".into(), "</script>".into(), String::new()],
            runs: runs.clone(),
            workers: workers
                .iter()
                .zip(each)
                .map(|(&worker, (cells, earlier, fresh))| WorkerPages { worker, cells, earlier, fresh })
                .collect(),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_history_survives(pages in any_history(), names in prop::collection::vec(".{0,6}", 0..4), seconds in 0.0..1e9_f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.forkprint");
        let steps = names.iter().map(|name| Step { name: name.clone(), seconds, ..Step::default() }).collect();
        let fate = Fate::Failed { message: names.concat(), step: String::new() };
        let recording = Recording { pages, steps, workers: vec![WorkerInfo { worker: 0, pid: 1, fate }], ..Recording::default() };
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
    let documented = documented(include_str!("../docs/capture.md"));
    let files = fs::read_dir(&path).unwrap().filter_map(|file| file.unwrap().file_name().into_string().ok());
    assert_eq!(files.filter(|file| file.ends_with(".parquet")).count(), documented.len());
    for (file, columns) in documented {
        let opened = fs::File::open(path.join(&file)).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(opened).unwrap();
        let stored: Vec<&String> = reader.schema().fields().iter().map(|field| field.name()).collect();
        assert_eq!(stored, columns.iter().collect::<Vec<_>>(), "{file}");
    }
}
