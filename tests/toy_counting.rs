//! What counting references breaks: the pages of everything that is read, when counts stand in
//! objects, and none of them when counts stand in a table.
//!
//! Which objects there are is read from memory, by the layout that `gc/object.rs` describes. Frame
//! numbers are shown to root only; without them the test says that it skips.

#[allow(dead_code, reason = "shared with tests of compiled code")]
#[path = "common/toy_worker.rs"]
mod worker;

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AtFork, GcPolicy, JitMode, ToyOptions, ToyRuntime};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use worker::{Worker, bounds, frames_are_hidden};

const PAGE: u64 = 4096;
const RECORD: u64 = 4;
const HEAP: &str = "object heap";
const TABLE: &str = "count table";

/// 100,000 records of two fields, and a list that the loop goes over.
const READING: &str = "
    fn make(n) { return {id: n, name: nil}; }
    fn sum() { let sum = 0; for r in all { sum = sum + r.id; } return sum; }
    let all = [];
    for n in 0..100000 { push(all, make(n)); }
    sum();
    step read { assert sum() == 4999950000; }
    step read_again { assert sum() == 4999950000; }
    step collect_nothing { collect(); }
    step change { all[500].name = [1]; }
";

/// Runs a step, after which every count has to be right.
fn run(worker: &mut Worker, step: u8) {
    assert_eq!(worker.run(step).miscounted, 0, "step {step}");
}

/// Addresses of all records of two fields, found by their headers.
fn records(zygote: &ToyRuntime, pages: &BTreeMap<u64, u64>) -> Vec<u64> {
    let memory = File::open("/proc/self/mem").unwrap();
    let heap = bounds(zygote, HEAP);
    let mut found = Vec::new();
    for page in pages.range(heap).map(|(page, _)| *page) {
        let mut bytes = [0; 4096];
        memory.read_exact_at(&mut bytes, page).unwrap();
        for (offset, granule) in (0..PAGE).step_by(16).zip(bytes.chunks_exact(16)) {
            let header = u64::from_ne_bytes(granule[..8].try_into().unwrap());
            let is_record = header & 0xff == RECORD && header >> 63 == 1;
            if is_record && header >> 16 & 0xffff == 2 {
                found.push(page + offset);
            }
        }
    }
    found
}

fn load(source: &str, gc: GcPolicy, jit: JitMode, at_fork: AtFork) -> ToyRuntime {
    let options = ToyOptions { gc, jit, at_fork, heap_limit: 64 << 20, ..ToyOptions::default() };
    ToyRuntime::load_with_output("t", source, options, Box::new(std::io::sink())).unwrap()
}

fn page_of(address: u64) -> u64 {
    address / PAGE * PAGE
}

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn counts_break_the_pages_they_stand_on() {
    let zygote = load(READING, GcPolicy::Refcount, JitMode::Off, AtFork::Nothing);
    if frames_are_hidden(&zygote) {
        println!("skipped: page frame numbers are hidden; run as root");
        return;
    }
    for jit in [JitMode::Off, JitMode::Patch] {
        counts_in_headers_break_every_page_that_is_read(jit);
        counts_beside_break_their_table_only(jit);
        for gc in [GcPolicy::Refcount, GcPolicy::RefcountSide] {
            frozen_objects_are_not_counted(gc, jit);
            frozen_objects_keep_what_a_worker_gives_them(gc, jit);
        }
    }
}

fn counts_in_headers_break_every_page_that_is_read(jit: JitMode) {
    let mut zygote = load(READING, GcPolicy::Refcount, jit, AtFork::Nothing);
    let mut worker = Worker::fork(&mut zygote);
    run(&mut worker, 0);
    let broken = worker.broken(&zygote, HEAP);
    let records = records(&zygote, &worker.inherited);
    let read: BTreeSet<u64> = records.iter().map(|record| page_of(*record)).collect();
    assert_eq!(records.len(), 100_000);
    assert!(broken.is_superset(&read), "{} of {} pages", broken.len(), read.len());
    // The list, and the functions that are called.
    let others = broken.difference(&read).count();
    assert!(others <= 2, "{others} pages hold nothing that is read");
    run(&mut worker, 1);
    run(&mut worker, 2);
    assert_eq!(worker.broken(&zygote, HEAP), broken, "a trace without garbage writes no object");
    assert_eq!(worker.broken(&zygote, "allocation bitmap"), BTreeSet::new());
    println!("refcount, {jit}: reading {} pages broke {}", read.len(), broken.len());
}

fn counts_beside_break_their_table_only(jit: JitMode) {
    let mut zygote = load(READING, GcPolicy::RefcountSide, jit, AtFork::Nothing);
    let mut worker = Worker::fork(&mut zygote);
    run(&mut worker, 0);
    run(&mut worker, 1);
    run(&mut worker, 2);
    assert_eq!(worker.broken(&zygote, HEAP), BTreeSet::new());
    let (heap, table) = (bounds(&zygote, HEAP).start, bounds(&zygote, TABLE).start);
    let counts: BTreeSet<u64> = records(&zygote, &worker.inherited)
        .iter()
        .map(|record| page_of(table + (record - heap) / 4))
        .collect();
    let broken = worker.broken(&zygote, TABLE);
    assert!(broken.is_superset(&counts), "{} of {} pages", broken.len(), counts.len());
    let others = broken.difference(&counts).count();
    assert!(others <= 2, "{others} pages of the table hold no count of what is read");
    println!("refcount-side, {jit}: reading broke {} pages of the table and no object", broken.len());
}

fn frozen_objects_are_not_counted(gc: GcPolicy, jit: JitMode) {
    let mut zygote = load(READING, gc, jit, AtFork::Freeze);
    let mut worker = Worker::fork(&mut zygote);
    for step in [0, 1, 2] {
        run(&mut worker, step);
        for region in zygote.regions().into_iter().filter(|region| [HEAP, TABLE].contains(&&*region.name)) {
            assert_eq!(worker.broken(&zygote, &region.name), BTreeSet::new(), "{gc} {jit} step {step}");
        }
    }
    run(&mut worker, 3);
    // The record, and the cells where the new list and its array are put.
    assert!((1..=3).contains(&worker.broken(&zygote, HEAP).len()));
}

/// New objects that only frozen garbage refers to live on, for it is never looked at.
fn frozen_objects_keep_what_a_worker_gives_them(gc: GcPolicy, jit: JitMode) {
    let source = "
        fn make(n) { return {id: n, name: nil, other: nil}; }
        let all = [];
        for n in 0..1000 { push(all, make(n)); }
        step change {
            for r in all { r.name = \"n\" + str(r.id); r.other = {self: r, back: nil}; r.other.back = r.other; }
            collect();
            for r in all { assert r.name == \"n\" + str(r.id) and r.other.back.self == r; }
        }
        step drop {
            while len(all) > 500 { pop(all); }
            collect();
            all = make(0);
            collect();
            let more = [];
            for n in 0..1000 { push(more, make([n])); }
            for n in 0..1000 { assert more[n].id[0] == n; }
        }
    ";
    let mut zygote = load(source, gc, jit, AtFork::Freeze);
    let mut worker = Worker::fork(&mut zygote);
    run(&mut worker, 0);
    run(&mut worker, 1);
    // A second worker, of a zygote that went on after it was frozen.
    zygote.run_step(0).unwrap();
    assert_eq!(zygote.miscounted_objects(), 0);
    let mut second = Worker::fork(&mut zygote);
    run(&mut second, 1);
}
