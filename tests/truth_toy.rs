//! What is known beforehand of toy programs, against what the built program measures.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/cross_check.rs"]
mod cross_check;
#[path = "common/skip.rs"]
mod skip;

use bench::Bench;
use forkprint::family::recording::Recording;
use std::collections::BTreeMap;

const RUNGS: [&str; 3] = ["pfn", "scan", "exclusive"];

/// Measures a workload with one worker on a rung, or skips.
fn measure(workload: &str, rung: &str, arguments: &[&str]) -> Option<Recording> {
    let bench = Bench::new();
    let path = format!("{}/workloads/toy/{workload}", env!("CARGO_MANIFEST_DIR"));
    let common = ["run", &path, "-w", "1", "-o", "out.txt", "--capture", "out.forkprint", "--rung", rung];
    let outcome = bench.forkprint(&[&common[..], arguments].concat());
    if !outcome.status.success() && outcome.stderr.contains("does not work here") {
        skip::skip(outcome.stderr.trim().replace('\n', " "));
        return None;
    }
    assert!(outcome.status.success(), "{}", outcome.stderr);
    Some(forkprint::capture::read(&bench.path("out.forkprint")).unwrap())
}

/// Inherited pages of a region.
fn inherited(recording: &Recording, region: &str) -> u64 {
    let of_region = |name: &u32| recording.pages.regions[*name as usize] == region;
    recording.pages.runs.iter().filter(|run| of_region(&run.region)).map(|run| u64::from(run.len)).sum()
}

fn broken(recording: &Recording, step: &str, region: &str) -> u64 {
    let step = recording.steps.iter().find(|found| found.name == step).unwrap();
    step.regions.get(region).copied().unwrap_or(0)
}

#[test]
fn marks_in_headers_break_the_live_heap() {
    for rung in RUNGS {
        let Some(found) = measure("gc_marks.toy", rung, &["--gc", "mark-header"]) else { continue };
        let live = inherited(&found, "object heap");
        // 2^19 - 1 records of 48 bytes.
        assert!((6144..6300).contains(&live), "{live}");
        assert_eq!(broken(&found, "iterate", "object heap"), 0, "rung {rung}");
        let marked = broken(&found, "collect", "object heap");
        assert!(marked * 100 >= live * 95, "{marked} of {live}, rung {rung}");
        assert_eq!(broken(&found, "collect_again", "object heap"), marked, "rung {rung}");
    }
}

/// Freezing writes to every count, but before the fork and before anything is compared with it.
#[test]
fn what_is_frozen_at_the_fork_is_not_counted_after_it() {
    for rung in RUNGS {
        let arguments = ["--gc", "refcount", "--at-fork", "freeze"];
        let Some(found) = measure("gc_marks.toy", rung, &arguments) else { continue };
        for step in ["fork", "iterate", "collect"] {
            assert_eq!(broken(&found, step, "object heap"), 0, "step {step}, rung {rung}");
        }
    }
}

#[test]
fn every_order_breaks_what_its_objects_lie_on() {
    let Some(bump) = measure("mutate.toy", "pfn", &["--alloc", "bump"]) else { return };
    let Some(scattered) = measure("mutate.toy", "pfn", &["--alloc", "scattered"]) else { return };
    // One record of 1,000 is changed: 200 in all, each of them on a page of its own, or nearly so.
    for found in [&bump, &scattered] {
        let some = broken(found, "every_1000th", "object heap");
        assert!((190..=201).contains(&some), "{some} pages");
    }
    // One of 50: that is on nearly every page of records in a row, and on 4,000 pages of many more.
    let [packed, spread] = [&bump, &scattered].map(|found| broken(found, "every_50th", "object heap"));
    let records = 200_000 * 48 / 4096;
    assert!(packed.abs_diff(records) < records / 20, "{packed} of {records} pages");
    assert!(spread > packed * 5 / 4, "{spread} pages, {packed} where records stand in a row");
}

#[test]
fn marks_in_a_bitmap_break_the_bitmap_alone() {
    for rung in RUNGS {
        let Some(found) = measure("gc_marks.toy", rung, &["--gc", "mark-bitmap"]) else { continue };
        for step in ["fork", "iterate", "collect", "collect_again"] {
            assert_eq!(broken(&found, step, "object heap"), 0, "step {step}, rung {rung}");
        }
        assert_eq!(broken(&found, "iterate", "mark bitmap"), 0, "rung {rung}");
        // One page for each 512 KiB of heap: a bit for 16 bytes.
        let expected = inherited(&found, "object heap").div_ceil(128);
        let bitmap = broken(&found, "collect", "mark bitmap");
        assert!(bitmap.abs_diff(expected) <= 1, "{bitmap} of {expected}, rung {rung}");
        assert_eq!(broken(&found, "collect_again", "mark bitmap"), bitmap, "rung {rung}");
    }
}

#[test]
fn patches_break_pages_of_code_once() {
    for rung in RUNGS {
        let Some(found) = measure("jit_patch.toy", rung, &[]) else { continue };
        for part in ["hot code", "cold code"] {
            let code = inherited(&found, part);
            assert_eq!(broken(&found, "fork", part), 0, "{part}, rung {rung}");
            let patched = broken(&found, "warm_up", part);
            assert!(patched > 4 && patched <= code, "{patched} of {code}, {part}, rung {rung}");
            assert_eq!(broken(&found, "run_again", part), patched, "{part}, rung {rung}");
        }
        for (jit, kept) in [
            ("side-counters", &["cold code"][..]),
            ("indirect", &["hot code", "cold code"]),
            ("warm", &["hot code", "cold code", "inline-cache data"]),
            ("off", &["hot code", "cold code"]),
        ] {
            let Some(found) = measure("jit_patch.toy", rung, &["--jit", jit]) else { continue };
            for part in kept {
                assert_eq!(broken(&found, "run_again", part), 0, "{part}, {jit}, rung {rung}");
            }
        }
    }
}

/// The rungs that need no frames tell the same of every region.
#[test]
fn all_rungs_agree_on_every_region_of_the_runtime() {
    let mut answers: Vec<(&str, BTreeMap<String, u64>)> = Vec::new();
    for rung in RUNGS {
        let Some(found) = measure("mutate.toy", rung, &[]) else { continue };
        let own =
            ["object heap", "mark bitmap", "allocation bitmap", "hot code", "cold code", "global variables"];
        let last = found.steps.last().unwrap();
        let counts = own.map(|region| (region.to_owned(), broken(&found, &last.name, region)));
        answers.push((rung, counts.into()));
    }
    assert!(answers.windows(2).all(|pair| pair[0].1 == pair[1].1), "{answers:#?}");
    assert!(answers.iter().all(|(_, counts)| counts["object heap"] > 100), "{answers:#?}");
}

/// One test for each workload, run with these arguments.
macro_rules! every_workload {
    ($arguments:expr) => {
        crate::totals_agree_with_the_kernel!(
            "toy",
            ".toy",
            $arguments,
            [
                churn,
                closures,
                gc_marks,
                isolation,
                iterate,
                jit_patch,
                mutate,
                numeric,
                persistent,
                read_copy_update,
                shapes,
            ]
        );
    };
}

mod workloads {
    every_workload!(&[]);
}

mod workloads_with_marks_in_headers {
    every_workload!(&["--gc", "mark-header"]);
}
