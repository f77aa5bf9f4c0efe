//! Python workloads: exactly the rules that each was written for apply to it.

use crate::bench::Bench;
use crate::{Judged, assert_applying, evidence, judge, mebibytes, reason, witness};
use forkprint::advise::rules::{Change, Edit, Evidence, Judgement, Target};
use forkprint::capture;
use forkprint::family::recording::Recording;
use std::fs;
use std::path::Path;

/// Workloads and the rules that apply to them on CPython 3.12 and 3.13.
pub const EXPECTED: &[(&str, &[&str])] = &[
    ("python/refcount_iteration.py", &["FP003", "FP010"]),
    ("python/packed_buffer.py", &[]),
    ("python/gc_collect.py", &["FP002"]),
    ("python/gc_freeze_collect.py", &[]),
    ("python/cold_functions.py", &["FP004", "FP005"]),
    ("python/interpreter_shutdown.py", &["FP009"]),
    ("remedies/data_built_in_steps.py", &["FP001"]),
    ("remedies/hash_of_tuple.py", &["FP004"]),
    ("remedies/holes_between_data.py", &["FP006"]),
    ("remedies/huge_pages.py", &["FP007"]),
    ("remedies/automatic_collections.py", &["FP002", "FP013"]),
    ("remedies/spawned.py", &["FP012"]),
    ("remedies/thread_at_import.py", &["FP011"]),
];

/// A measured workload, judged.
struct Measured {
    judged: Judged,
    recording: Recording,
    text: String,
    version: (u8, u8),
}

/// Measures and judges; `None`, and a skip, where writes cannot be witnessed.
fn measured(workload: &str, zygote_threads: usize) -> Option<Measured> {
    if !witness::can_be_had() {
        return None;
    }
    let bench = Bench::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(workload);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(bench.path("work.py"), &text).unwrap();
    let outcome = bench.forkprint(&[
        "run",
        "work.py",
        "-w",
        "2",
        "--format",
        "json",
        "-o",
        "out.json",
        "--capture",
        "out.forkprint",
    ]);
    assert!(outcome.status.success(), "{outcome:?}");
    let recording = capture::read(&bench.path("out.forkprint")).unwrap();
    let path = bench.path("work.py");
    let target = Target::Python { path: &path, text: &text };
    let judged = judge(&Evidence { target, recording: &recording, zygote_threads, paths: &[] });
    let version = recording.about.runtime_version.strip_prefix("CPython 3.").unwrap();
    let minor = version.split('.').next().unwrap().parse().unwrap();
    Some(Measured { judged, recording, text, version: (3, minor) })
}

/// The same; exactly the expected rules apply.
fn as_expected(workload: &str) -> Option<Measured> {
    let measured = measured(workload, 1)?;
    let (_, codes) = EXPECTED.iter().find(|(name, _)| *name == workload).unwrap();
    let can_be_immortal = matches!(measured.version, (3, 12 | 13));
    let codes: Vec<&str> = codes.iter().copied().filter(|code| can_be_immortal || *code != "FP003").collect();
    assert_applying(&measured.judged, &codes);
    Some(measured)
}

impl Measured {
    /// `work.py:16 iterate`, with the line of some code.
    fn place(&self, code: &str, function: &str) -> String {
        format!("work.py:{} {function}", self.line(code))
    }

    /// The number of the last line that ends so.
    fn line(&self, code: &str) -> usize {
        let numbered = self.text.lines().enumerate().filter(|(_, line)| line.ends_with(code));
        numbered.last().unwrap().0 + 1
    }
}

/// The version decides what can be done about the same ghosts.
#[test]
fn only_some_interpreters_have_immortal_objects() {
    let Some(Measured { mut recording, text, .. }) = measured("python/refcount_iteration.py", 1) else {
        return;
    };
    let mut told = |version: &str| {
        recording.about.runtime_version = version.into();
        let target = Target::Python { path: Path::new("work.py"), text: &text };
        let judged = judge(&Evidence { target, recording: &recording, zygote_threads: 1, paths: &[] });
        judged["FP003"].clone()
    };
    for version in ["CPython 3.12.1", "CPython 3.13.0"] {
        let Judgement::Applies { evidence, change: Some(change) } = told(version) else {
            panic!("{version}")
        };
        assert!((29.0..33.0).contains(&mebibytes(&evidence)), "{evidence}");
        let lines = ["import forkprint", "forkprint.prepare_fork()"].map(str::to_owned).into();
        assert_eq!(change, Change { edits: vec![Edit::AtEnd { lines }], environment: Vec::new() });
    }
    for version in ["CPython 3.9.18", "CPython 3.11.7", "CPython 3.14.0", "PyPy 7.3.17"] {
        assert!(matches!(told(version), Judgement::DoesNot(_)), "{version}");
    }
}

fn change<'a>(measured: &'a Measured, code: &str) -> Option<&'a Change> {
    match &measured.judged[code] {
        Judgement::Applies { change, .. } => change.as_ref(),
        Judgement::DoesNot(why) => panic!("{code} does not apply: {why}"),
    }
}

fn at_end(measured: &Measured, code: &str) -> Vec<String> {
    let change = change(measured, code).unwrap();
    let [Edit::AtEnd { lines }] = &change.edits[..] else { panic!("{change:?}") };
    lines.clone()
}

#[test]
fn strings_that_are_only_read_call_for_immortality_and_for_packing() {
    let Some(measured) = as_expected("python/refcount_iteration.py") else { return };
    let packing = evidence(&measured.judged, "FP010");
    assert!(packing.contains("work.names (mostly str)") && packing.contains("mostly str"), "{packing}");
    // Both loops stand in the same words; the first one breaks the pages.
    assert!(packing.contains(" iterate;"), "{packing}");
    // 500,000 strings of 61 bytes in blocks of 64: 30.5 MiB.
    assert!((29.0..33.0).contains(&mebibytes(packing)), "{packing}");
    assert!(change(&measured, "FP010").is_none(), "only a person can");
    if measured.version >= (3, 12) {
        assert!((29.0..33.0).contains(&mebibytes(evidence(&measured.judged, "FP003"))));
        assert_eq!(at_end(&measured, "FP003"), ["import forkprint", "forkprint.prepare_fork()"]);
    } else {
        assert!(reason(&measured.judged, "FP003").contains("3.12 and 3.13 only"));
    }
}

#[test]
fn packed_data_needs_nothing() {
    as_expected("python/packed_buffer.py");
}

#[test]
fn a_collection_in_workers_calls_for_a_freeze_and_not_for_thresholds() {
    let Some(measured) = as_expected("python/gc_collect.py") else { return };
    // 350,000 lists of 72 bytes with their headers: some 5,700 pages or more.
    assert!((20.0..30.0).contains(&mebibytes(evidence(&measured.judged, "FP002"))));
    assert_eq!(at_end(&measured, "FP002"), ["import gc", "gc.collect()", "gc.freeze()"]);
    let why = reason(&measured.judged, "FP013");
    let asks = format!("line {} asks for collections", measured.line("    gc.collect()"));
    assert!(why.contains(&asks), "{why}");
}

#[test]
fn a_frozen_heap_is_not_frozen_again() {
    let Some(measured) = as_expected("python/gc_freeze_collect.py") else { return };
    let calls = format!("line {} calls gc.freeze() already", measured.line("gc.freeze()"));
    assert!(reason(&measured.judged, "FP002").contains(&calls));
}

#[test]
fn cold_code_calls_for_a_warm_up() {
    let Some(measured) = measured("python/cold_functions.py", 1) else { return };
    if measured.version >= (3, 11) {
        assert!(evidence(&measured.judged, "FP005").contains("the adaptive interpreter"));
        assert_eq!(at_end(&measured, "FP005"), ["first_call()", "warm_up()"]);
    } else {
        assert!(
            reason(&measured.judged, "FP005").contains("none of the"),
            "no code is rewritten before 3.11"
        );
    }
    assert!(matches!(measured.judged["FP009"], Judgement::DoesNot(_)));
}

#[test]
fn a_polite_end_calls_for_an_abrupt_one() {
    let Some(measured) = as_expected("python/interpreter_shutdown.py") else { return };
    let change = change(&measured, "FP009").unwrap();
    let [Edit::Lines { first, last, lines }] = &change.edits[..] else { panic!("{change:?}") };
    let replaced = measured.text.lines().nth(first - 1).unwrap();
    assert_eq!(
        (first, replaced, &lines[..]),
        (last, "@forkprint.step(finalize=True)", &["@forkprint.step".to_owned()][..])
    );
}

#[test]
fn data_that_every_worker_builds_belongs_before_the_fork() {
    let Some(measured) = as_expected("remedies/data_built_in_steps.py") else { return };
    let seen = evidence(&measured.judged, "FP001");
    assert!(seen.contains("'load'") && (15.0..30.0).contains(&mebibytes(seen)), "{seen}");
}

#[test]
fn hashes_that_workers_compute_call_for_warm_caches() {
    let Some(measured) = as_expected("remedies/hash_of_tuple.py") else { return };
    let seen = evidence(&measured.judged, "FP004");
    assert!(
        seen.starts_with("str.hash: ") && seen.contains(&measured.place("    hash(NAMES)", "hash_all")),
        "{seen}"
    );
}

#[test]
fn allocations_between_inherited_data_call_for_another_allocator() {
    let Some(measured) = as_expected("remedies/holes_between_data.py") else { return };
    let change = change(&measured, "FP006").unwrap();
    assert!(change.environment.contains(&("PYTHONMALLOC".into(), "malloc".into())), "{change:?}");
}

#[test]
fn huge_pages_of_workers_are_seen() {
    let mode = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if !mode.contains("[madvise]") {
        crate::skip::skip("transparent huge pages are not given to those who ask, and to nobody else");
        return;
    }
    let Some(measured) = as_expected("remedies/huge_pages.py") else { return };
    let seen = evidence(&measured.judged, "FP007");
    // 32 or 33 of 2 MiB in each of two workers; memory may be too fragmented for some.
    assert!((4.0..134.0).contains(&mebibytes(seen)), "{seen}");
}

#[test]
fn collections_that_nobody_asked_for_call_for_a_freeze_or_for_thresholds() {
    let Some(measured) = as_expected("remedies/automatic_collections.py") else { return };
    assert_eq!(at_end(&measured, "FP013")[1], "gc.set_threshold(*gc.get_threshold()[:2], 10_000)");
}

#[test]
fn processes_that_are_not_forked_are_read_in_the_source() {
    let Some(measured) = as_expected("remedies/spawned.py") else { return };
    let change = change(&measured, "FP012").unwrap();
    let [Edit::Lines { first, last, lines }] = &change.edits[..] else { panic!("{change:?}") };
    let line = measured.line("set_start_method(\"spawn\")");
    assert_eq!((*first, *last), (line, line));
    assert_eq!(lines[..], ["    multiprocessing.set_start_method(\"fork\")"]);
}

#[test]
fn a_second_thread_in_the_zygote_is_told() {
    let Some(alone) = measured("remedies/thread_at_import.py", 1) else { return };
    assert_applying(&alone.judged, &[]);
    let Some(measured) = measured("remedies/thread_at_import.py", 2) else { return };
    assert_applying(&measured.judged, &["FP011"]);
    assert!(evidence(&measured.judged, "FP011").contains("2 threads"));
}
