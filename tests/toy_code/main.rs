//! What each code policy writes after a fork, page by page, as the kernel sees it; and that no page
//! of code is writable and executable at any moment.
//!
//! Frame numbers are shown to root only; without them the test says that it skips.

#[path = "../common/skip.rs"]
mod skip;

mod program;
#[allow(dead_code, reason = "shared with tests of the heap")]
#[path = "../common/toy_worker.rs"]
mod worker;

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{JitMode, ToyRuntime};
use program::{COMPILE, MEET_MANY, MEET_ONE, load, load_workload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use worker::{Told, Worker, bounds, bytes, frames_are_hidden};

const CODE: [&str; 2] = ["hot code", "cold code"];
const DATA: &str = "inline-cache data";
const POLICIES: [JitMode; 4] = [JitMode::Patch, JitMode::SideCounters, JitMode::Indirect, JitMode::Warm];

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn every_code_policy_breaks_exactly_the_pages_it_says() {
    if frames_are_hidden(&load(JitMode::Patch)) {
        skip::skip("page frame numbers are hidden; run as root");
    } else {
        patches_break_exactly_the_pages_they_are_on();
        counters_beside_the_code_leave_more_of_it_alone();
        code_that_reads_a_table_is_never_written();
        what_is_warm_does_not_change();
        a_workload_breaks_what_its_policy_says();
    }
    no_patch_of_a_worker_is_seen_by_the_zygote();
    a_thread_that_watches_sees_no_page_writable_and_executable();
}

/// Broken pages of code, hot and cold.
fn broken_code(worker: &Worker, zygote: &ToyRuntime) -> BTreeSet<u64> {
    CODE.iter().flat_map(|region| worker.broken(zygote, region)).collect()
}

/// Broken pages of the table, but for the first one: it counts how hot functions are.
fn broken_data(worker: &Worker, zygote: &ToyRuntime) -> BTreeSet<u64> {
    let mut broken = worker.broken(zygote, DATA);
    broken.remove(&bounds(zygote, DATA).start);
    broken
}

/// Runs a step; whatever the worker said, the kernel must say the same of its pages.
fn run(worker: &mut Worker, zygote: &ToyRuntime, step: u8) -> Told {
    let told = worker.run(step);
    for site in &told.patched {
        assert_eq!(site % 4, 0, "{site:x} is not aligned");
    }
    assert_eq!(broken_code(worker, zygote), worker.inherited_pages(&told.patched));
    assert_eq!(broken_data(worker, zygote), worker.inherited_pages(&told.written));
    told
}

fn report(jit: JitMode, told: &Told, worker: &Worker, zygote: &ToyRuntime) {
    let stats = zygote.code_stats();
    println!(
        "{jit}: {} KiB hot, {} KiB cold; {} patches, {} words: hot {}, cold {}, table {} pages broken",
        stats.hot_bytes / 1024,
        stats.cold_bytes / 1024,
        told.patched.len(),
        told.written.len(),
        worker.broken(zygote, "hot code").len(),
        worker.broken(zygote, "cold code").len(),
        worker.broken(zygote, DATA).len(),
    );
}

fn patches_break_exactly_the_pages_they_are_on() {
    let mut zygote = load(JitMode::Patch);
    let mut worker = Worker::fork(&mut zygote);
    assert_eq!(broken_code(&worker, &zygote), BTreeSet::new());
    let one = run(&mut worker, &zygote, MEET_ONE);
    assert!(one.patched.len() > 300 && one.written.is_empty(), "{one:?}");
    report(JitMode::Patch, &one, &worker, &zygote);
    assert_eq!(run(&mut worker, &zygote, MEET_ONE), one, "everything is known the second time");
    let many = run(&mut worker, &zygote, MEET_MANY);
    assert!(many.patched.len() > 3 * one.patched.len(), "{} {}", many.patched.len(), one.patched.len());
    report(JitMode::Patch, &many, &worker, &zygote);
    assert_eq!(
        run(&mut worker, &zygote, MEET_MANY).patched,
        many.patched,
        "megamorphic places stay as they are"
    );
    new_code_of_a_worker_begins_on_fresh_pages(&mut worker, &zygote);
}

fn new_code_of_a_worker_begins_on_fresh_pages(worker: &mut Worker, zygote: &ToyRuntime) {
    let before = broken_code(worker, zygote);
    let told = run(worker, zygote, COMPILE);
    assert!(told.compiled > zygote.compiled_functions() as u64 + 20, "{}", told.compiled);
    for region in CODE {
        assert!(!worker.fresh(zygote, region).is_empty(), "{region}");
    }
    assert_eq!(broken_code(worker, zygote), before);
}

fn counters_beside_the_code_leave_more_of_it_alone() {
    let mut zygote = load(JitMode::SideCounters);
    let mut worker = Worker::fork(&mut zygote);
    let one = run(&mut worker, &zygote, MEET_ONE);
    assert!(one.patched.len() > 200 && one.written.len() > 100, "{one:?}");
    report(JitMode::SideCounters, &one, &worker, &zygote);
    assert_eq!(worker.broken(&zygote, "cold code"), BTreeSet::new(), "first entries are hot");
    let many = run(&mut worker, &zygote, MEET_MANY);
    assert!(!worker.broken(&zygote, "cold code").is_empty());
    assert_eq!(run(&mut worker, &zygote, MEET_MANY), many);
    report(JitMode::SideCounters, &many, &worker, &zygote);
}

fn code_that_reads_a_table_is_never_written() {
    let mut zygote = load(JitMode::Indirect);
    let mut worker = Worker::fork(&mut zygote);
    let one = run(&mut worker, &zygote, MEET_ONE);
    assert!(one.patched.is_empty() && one.written.len() > 300, "{one:?}");
    report(JitMode::Indirect, &one, &worker, &zygote);
    let many = run(&mut worker, &zygote, MEET_MANY);
    assert!(many.patched.is_empty() && many.written.len() > 3 * one.written.len(), "{many:?}");
    report(JitMode::Indirect, &many, &worker, &zygote);
    assert!(!broken_data(&worker, &zygote).is_empty());
    assert_eq!(broken_code(&worker, &zygote), BTreeSet::new());
    new_code_of_a_worker_begins_on_fresh_pages(&mut worker, &zygote);
    assert_eq!(broken_code(&worker, &zygote), BTreeSet::new());
}

fn what_is_warm_does_not_change() {
    let mut zygote = load(JitMode::Warm);
    let mut worker = Worker::fork(&mut zygote);
    for step in [MEET_ONE, MEET_MANY, COMPILE] {
        let told = run(&mut worker, &zygote, step);
        let compiled = zygote.compiled_functions() as u64;
        assert_eq!(
            told,
            Told { patched: Vec::new(), written: Vec::new(), compiled, miscounted: 0 },
            "step {step}"
        );
        for region in [CODE[0], CODE[1], DATA] {
            assert_eq!(worker.broken(&zygote, region), BTreeSet::new(), "{region}, step {step}");
            assert_eq!(worker.fresh(&zygote, region), BTreeSet::new(), "{region}, step {step}");
        }
    }
    report(JitMode::Warm, &worker.run(MEET_ONE), &worker, &zygote);
}

fn a_workload_breaks_what_its_policy_says() {
    let mut broken = BTreeMap::new();
    for jit in POLICIES {
        let mut zygote = load_workload("jit_patch.toy", jit);
        let mut worker = Worker::fork(&mut zygote);
        let told = run(&mut worker, &zygote, 0);
        report(jit, &told, &worker, &zygote);
        let pages = [CODE[0], CODE[1], DATA].map(|region| worker.broken(&zygote, region).len());
        assert_eq!(run(&mut worker, &zygote, 1), told, "everything is known the second time");
        broken.insert(jit.word(), pages);
    }
    assert!(broken["patch"][0] > 4 && broken["patch"][1] > 4, "{broken:?}");
    assert_eq!(
        (broken["side-counters"][0], broken["side-counters"][1]),
        (broken["patch"][0], 0),
        "{broken:?}"
    );
    assert_eq!((broken["indirect"][0], broken["indirect"][1]), (0, 0), "{broken:?}");
    assert_eq!(broken["warm"], [0, 0, 0], "{broken:?}");
}

fn no_patch_of_a_worker_is_seen_by_the_zygote() {
    for jit in POLICIES {
        let mut zygote = load(jit);
        zygote.prepare_fork().unwrap();
        let stats = zygote.code_stats();
        let used = [stats.hot_bytes, stats.cold_bytes];
        let places = [0, 1].map(|part| {
            let start = bounds(&zygote, CODE[part]).start;
            start..start + used[part]
        });
        let before = places.clone().map(bytes);
        let mut first = Worker::fork(&mut zygote);
        let told = [MEET_ONE, MEET_MANY, COMPILE].map(|step| first.run(step));
        assert!(places.clone().map(bytes) == before, "{jit}: the zygote's code changed");
        assert_eq!(zygote.code_stats(), stats, "{jit}");
        let mut second = Worker::fork(&mut zygote);
        assert_eq!(told, [MEET_ONE, MEET_MANY, COMPILE].map(|step| second.run(step)), "{jit}");
    }
}

fn a_thread_that_watches_sees_no_page_writable_and_executable() {
    let is_over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) || looks == 0 {
                let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
                for line in maps.lines() {
                    assert!(!line.split(' ').nth(1).unwrap().contains("wx"), "{line}");
                }
                looks += 1;
            }
            looks
        });
        for jit in POLICIES {
            let mut runtime = load(jit);
            for step in [MEET_ONE, MEET_MANY, COMPILE] {
                runtime.run_step(usize::from(step)).unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    println!("looked {looks} times while code was made and patched");
}
