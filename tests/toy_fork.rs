//! Which inherited pages a worker breaks, by comparing page frames with the zygote.
//!
//! Frame numbers are shown to root only; without them the test says that it skips.

#[allow(dead_code, reason = "shared with tests of compiled code")]
#[path = "common/toy_worker.rs"]
mod worker;

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions, ToyRuntime};
use std::collections::BTreeSet;
use std::path::Path;
use worker::{Worker, frames_are_hidden};

const PAGE: u64 = 4096;

fn load(workload: &str, gc: GcPolicy) -> ToyRuntime {
    load_in(workload, gc, AllocOrder::default())
}

fn load_in(workload: &str, gc: GcPolicy, alloc: AllocOrder) -> ToyRuntime {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/toy").join(workload);
    load_source(&std::fs::read_to_string(path).unwrap(), gc, alloc)
}

fn load_source(source: &str, gc: GcPolicy, alloc: AllocOrder) -> ToyRuntime {
    let options = ToyOptions { gc, alloc, ..ToyOptions::default() };
    ToyRuntime::load_with_output("t", source, options, Box::new(std::io::sink())).unwrap()
}

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn workers_break_exactly_the_pages_they_write() {
    if frames_are_hidden(&load("closures.toy", GcPolicy::MarkBitmap)) {
        println!("skipped: page frame numbers are hidden; run as root");
        return;
    }
    reading_breaks_no_heap_page();
    for alloc in AllocOrder::ALL {
        bitmap_marks_break_bitmap_pages_only(*alloc);
        header_marks_break_the_live_heap(*alloc);
    }
    neighbours_share_pages_only_where_they_are_made_together();
    patches_break_the_pages_that_hold_them();
    changes_break_their_pages_and_stay_in_the_worker();
}

fn reading_breaks_no_heap_page() {
    let mut zygote = load("iterate.toy", GcPolicy::MarkHeader);
    let mut worker = Worker::fork(&mut zygote);
    worker.run(0);
    worker.run(1);
    assert_eq!(worker.broken(&zygote, "object heap"), BTreeSet::new());
    assert_eq!(worker.broken(&zygote, "allocation bitmap"), BTreeSet::new());
    println!("iterate: 0 of {} inherited pages of the heap broken", zygote.live_pages().unwrap().len());
}

fn bitmap_marks_break_bitmap_pages_only(alloc: AllocOrder) {
    let mut zygote = load_in("gc_marks.toy", GcPolicy::MarkBitmap, alloc);
    let marks = zygote.bitmap_pages_of_live_set().unwrap();
    let live = zygote.live_pages().unwrap().len();
    let mut worker = Worker::fork(&mut zygote);
    worker.run(0);
    assert_eq!(worker.broken(&zygote, "mark bitmap"), BTreeSet::new());
    for step in [1, 2] {
        worker.run(step);
        assert_eq!(worker.broken(&zygote, "object heap"), BTreeSet::new());
        assert_eq!(worker.broken(&zygote, "allocation bitmap"), BTreeSet::new());
        assert_eq!(worker.broken(&zygote, "mark bitmap").len() as u64, marks);
    }
    println!("mark-bitmap, {alloc}: collecting {live} live pages broke 0 of them and {marks} bitmap pages");
}

fn header_marks_break_the_live_heap(alloc: AllocOrder) {
    let mut zygote = load_in("gc_marks.toy", GcPolicy::MarkHeader, alloc);
    let live: BTreeSet<u64> = zygote.live_pages().unwrap().into_iter().collect();
    let mut worker = Worker::fork(&mut zygote);
    worker.run(0);
    assert_eq!(worker.broken(&zygote, "object heap"), BTreeSet::new());
    worker.run(1);
    let broken = worker.broken(&zygote, "object heap");
    assert!(broken.is_subset(&live), "pages without live objects are not written");
    assert!(broken.len() * 100 >= live.len() * 95, "{} of {}", broken.len(), live.len());
    println!("mark-header, {alloc}: collecting {} live pages broke {} of them", live.len(), broken.len());
}

/// Records of 32 bytes; one step changes 1,000 that were made one after the other, the next one 1,000
/// of which each is the 100th after the one before.
const NEIGHBOURS: &str = "
    fn make(n) { return {id: n, seen: 0}; }
    let all = [];
    for n in 0..100000 { push(all, make(n)); }
    step together { for n in 50000..51000 { all[n].seen = 1; } }
    step apart { for n in 0..1000 { all[n * 100].seen = 2; } }
";

fn neighbours_share_pages_only_where_they_are_made_together() {
    let changed_pages = |alloc| {
        let mut zygote = load_source(NEIGHBOURS, GcPolicy::MarkBitmap, alloc);
        let live = zygote.live_pages().unwrap().len() as f64;
        let pages = [0, 1].map(|step| {
            let mut worker = Worker::fork(&mut zygote);
            worker.run(step);
            worker.broken(&zygote, "object heap").len()
        });
        println!("{alloc}: {pages:?} of {live} pages broken by 1000 changes, together and apart");
        (pages, live)
    };
    for alloc in [AllocOrder::Bump, AllocOrder::SizeClass] {
        // 128 records are on a page: 1,000 in a row on 8 or 9 pages, and one of a hundred on each page.
        let ([together, apart], _) = changed_pages(alloc);
        assert!((8..=9).contains(&together), "{alloc}: {together} pages");
        assert!((780..=783).contains(&apart), "{alloc}: {apart} pages");
    }
    // So many pages are expected to have one of 1,000 records that lie anywhere. The window of pages
    // grew after the neighbours were made, so that they lie on fewer ones.
    let ([together, apart], live) = changed_pages(AllocOrder::Scattered);
    let expected = live * (1.0 - (1.0 - 1.0 / live).powi(1000));
    assert!((apart as f64 / expected - 1.0).abs() < 0.07, "{apart} pages, {expected} expected");
    assert!(together as f64 / expected > 0.7, "{together} pages, {expected} expected");
}

/// Broken pages of the code cache, hot and cold.
fn broken_code(worker: &Worker, zygote: &ToyRuntime) -> BTreeSet<u64> {
    ["hot code", "cold code"].into_iter().flat_map(|part| worker.broken(zygote, part)).collect()
}

fn patches_break_the_pages_that_hold_them() {
    let mut zygote = load("jit_patch.toy", GcPolicy::MarkBitmap);
    assert!(zygote.compiled_functions() > 30, "{}", zygote.compiled_functions());
    let mut worker = Worker::fork(&mut zygote);
    let patched = worker.run(0).patched;
    let pages: BTreeSet<u64> = patched.iter().map(|address| address / PAGE * PAGE).collect();
    assert!(pages.len() > 4, "{} pages", pages.len());
    assert_eq!(broken_code(&worker, &zygote), pages);
    assert_eq!(worker.run(1).patched, patched, "everything is patched the second time");
    assert_eq!(broken_code(&worker, &zygote), pages);
    println!(
        "jit_patch: {} patches on {} pages of {} KiB of code",
        patched.len(),
        pages.len(),
        zygote.code_bytes_used() / 1024
    );
    // What the worker patched is not patched in the zygote, nor in the next worker.
    let mut second = Worker::fork(&mut zygote);
    assert_eq!(broken_code(&second, &zygote), BTreeSet::new());
    assert_eq!(second.run(0).patched, patched);
}

fn changes_break_their_pages_and_stay_in_the_worker() {
    let mut zygote = load("closures.toy", GcPolicy::MarkBitmap);
    let mut first = Worker::fork(&mut zygote);
    let mut second = Worker::fork(&mut zygote);
    for worker in [&mut first, &mut second] {
        worker.run(0);
        assert_eq!(worker.broken(&zygote, "object heap").len(), 0);
        worker.run(1);
        assert_eq!(worker.broken(&zygote, "object heap").len(), 1);
        worker.run(2);
    }
    zygote.run_step(0).unwrap();

    let mut zygote = load("mutate.toy", GcPolicy::MarkBitmap);
    let live = zygote.live_pages().unwrap().len();
    let mut worker = Worker::fork(&mut zygote);
    worker.run(0);
    let some = worker.broken(&zygote, "object heap").len();
    worker.run(1);
    let most = worker.broken(&zygote, "object heap").len();
    assert!((190..=201).contains(&some), "200 records were changed, {some} pages broke");
    assert!(most * 10 > live * 8, "{most} of {live}");
    println!("mutate: {some}, then {most} of {live} live pages broken");
}
