//! What moving, compacting and freezing write after a fork, by comparing page frames with the zygote.
//!
//! Frame numbers are shown to root only; without them the test says that it skips.

#[path = "common/toy_worker.rs"]
#[allow(dead_code, reason = "shared with tests of compiled code")]
mod worker;

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AtFork, GcPolicy, JitMode, ToyOptions, ToyRuntime};
use std::collections::BTreeSet;
use worker::{Worker, bounds, frames_are_hidden};

const PAGE: u64 = 4096;

/// 60,000 records of 32 bytes with three times as much garbage between them, and a list of them.
const PROGRAM: &str = "
    let all = [];
    let kept = nil;
    for n in 0..60000 {
        push(all, {id: n, name: nil});
        for m in 0..3 { let garbage = {id: m, name: nil}; }
    }
    collect();
    step collect_nothing { collect(); }
    step drop_one { all[30000] = nil; collect(); }
    step make_and_collect {
        kept = [];
        for n in 0..50000 { push(kept, {id: n, name: nil}); }
        collect();
        for n in 0..50000 { assert kept[n].id == n and all[n].id == n; }
    }
    step fill_the_nursery { for n in 0..200000 { let garbage = {id: n, name: nil}; } }
    step refer_to_young { all[5].name = [1]; }
    step read_back { assert all[5].name[0] == 1; }
";

const COLLECT_NOTHING: u8 = 0;
const DROP_ONE: u8 = 1;
const MAKE_AND_COLLECT: u8 = 2;
const FILL_THE_NURSERY: u8 = 3;
const REFER_TO_YOUNG: u8 = 4;
const READ_BACK: u8 = 5;

fn load(gc: GcPolicy, at_fork: AtFork) -> ToyRuntime {
    let options =
        ToyOptions { gc, at_fork, heap_limit: 128 << 20, jit: JitMode::Off, ..ToyOptions::default() };
    ToyRuntime::load_with_output("t", PROGRAM, options, Box::new(std::io::sink())).unwrap()
}

/// The regions that hold objects.
fn heap_regions(zygote: &ToyRuntime) -> Vec<String> {
    let names = ["object heap", "space A", "space B", "old space"];
    let regions = zygote.regions().into_iter().map(|region| region.name);
    regions.filter(|name| names.contains(&name.as_str())).collect()
}

fn broken_heap(worker: &Worker, zygote: &ToyRuntime) -> BTreeSet<u64> {
    heap_regions(zygote).iter().flat_map(|region| worker.broken(zygote, region)).collect()
}

/// Pages of the region that the worker wrote, whether the zygote had them or not.
fn written(worker: &Worker, zygote: &ToyRuntime, region: &str) -> BTreeSet<u64> {
    let (mut broken, fresh) = (worker.broken(zygote, region), worker.fresh(zygote, region));
    broken.extend(fresh);
    broken
}

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn workers_break_what_their_collector_moves_and_no_more() {
    if frames_are_hidden(&load(GcPolicy::MarkBitmap, AtFork::Nothing)) {
        println!("skipped: page frame numbers are hidden; run as root");
        return;
    }
    copying_writes_the_live_size_and_breaks_what_it_leaves();
    compacting_breaks_what_it_moves();
    minor_collections_leave_old_pages_alone();
    nothing_frozen_is_broken();
    compacted_objects_have_no_gaps();
}

fn copying_writes_the_live_size_and_breaks_what_it_leaves() {
    let mut zygote = load(GcPolicy::Copying, AtFork::Nothing);
    let live: BTreeSet<u64> = zygote.live_pages().unwrap().into_iter().collect();
    let (_, bytes) = zygote.live_objects().unwrap();
    let first = *live.first().unwrap();
    let (from, to) = if bounds(&zygote, "space A").contains(&first) {
        ("space A", "space B")
    } else {
        ("space B", "space A")
    };
    let mut worker = Worker::fork(&mut zygote);
    worker.run(COLLECT_NOTHING);
    let copies = written(&worker, &zygote, to);
    let start = bounds(&zygote, to).start;
    let expected: BTreeSet<u64> = (0..bytes.div_ceil(PAGE)).map(|page| start + page * PAGE).collect();
    assert!(copies.is_superset(&expected), "{} of {}", copies.len(), expected.len());
    assert!(copies.len() <= expected.len() + 1, "{} of {}", copies.len(), expected.len());
    // The address of each copy is written into the original. Only an array's later pages have none.
    let left = written(&worker, &zygote, from);
    assert!(left.is_subset(&live));
    let array_pages = (65_536 * 8_u64).div_ceil(PAGE) as usize + 1;
    assert!(left.len() + array_pages >= live.len(), "{} of {}", left.len(), live.len());
    println!(
        "copying: {} live pages: {} written, {} of the old ones broken",
        live.len(),
        copies.len(),
        left.len()
    );
}

fn compacting_breaks_what_it_moves() {
    let mut zygote = load(GcPolicy::Compacting, AtFork::Nothing);
    let live = zygote.live_pages().unwrap().len();
    let mut worker = Worker::fork(&mut zygote);
    worker.run(COLLECT_NOTHING);
    assert_eq!(written(&worker, &zygote, "object heap"), BTreeSet::new());
    worker.run(DROP_ONE);
    let moved = written(&worker, &zygote, "object heap").len();
    assert!((live * 2 / 5..live * 7 / 10).contains(&moved), "half of {live} pages moved, {moved} broke");
    println!("compacting: nothing dead breaks 0 of {live} pages, one dead object in the middle {moved}");
}

fn minor_collections_leave_old_pages_alone() {
    let mut zygote = load(GcPolicy::Generational, AtFork::Nothing);
    let live: BTreeSet<u64> = zygote.live_pages().unwrap().into_iter().collect();
    let mut worker = Worker::fork(&mut zygote);
    worker.run(FILL_THE_NURSERY);
    let old = worker.broken(&zygote, "old space");
    assert!(old.len() <= 1, "survivors go behind the last old object: {old:x?}");
    assert_eq!(worker.broken(&zygote, "card table"), BTreeSet::new());
    let nursery = written(&worker, &zygote, "nursery").len();
    assert!(nursery > 1000, "{nursery} pages");
    worker.run(REFER_TO_YOUNG);
    assert_eq!(worker.broken(&zygote, "card table").len(), 1);
    let stored = worker.broken(&zygote, "old space");
    assert!(stored.len() <= old.len() + 1);
    worker.run(FILL_THE_NURSERY);
    assert_eq!(worker.broken(&zygote, "old space"), stored, "the young list was moved behind the old ones");
    worker.run(READ_BACK);
    worker.run(COLLECT_NOTHING);
    worker.run(READ_BACK);
    println!("generational: minor collections broke {} of {} old pages", stored.len(), live.len());
}

fn nothing_frozen_is_broken() {
    let tracing =
        GcPolicy::ALL.iter().filter(|gc| !matches!(gc, GcPolicy::Refcount | GcPolicy::RefcountSide));
    for gc in tracing {
        for at_fork in [AtFork::Freeze, AtFork::CompactFreeze] {
            let mut zygote = load(*gc, at_fork);
            let mut worker = Worker::fork(&mut zygote);
            for step in [COLLECT_NOTHING, MAKE_AND_COLLECT, FILL_THE_NURSERY, COLLECT_NOTHING] {
                worker.run(step);
                assert_eq!(broken_heap(&worker, &zygote), BTreeSet::new(), "{gc} {at_fork}");
                for table in ["mark bitmap", "allocation bitmap", "card table"] {
                    if zygote.regions().iter().any(|region| region.name == table) {
                        assert_eq!(worker.broken(&zygote, table), BTreeSet::new(), "{gc} {at_fork}: {table}");
                    }
                }
            }
            // What the worker writes itself is its own matter, and leads to new objects.
            worker.run(REFER_TO_YOUNG);
            assert_eq!(broken_heap(&worker, &zygote).len(), 1, "{gc} {at_fork}");
            for step in [COLLECT_NOTHING, FILL_THE_NURSERY, COLLECT_NOTHING, READ_BACK] {
                worker.run(step);
            }
            assert_eq!(broken_heap(&worker, &zygote).len(), 1, "{gc} {at_fork}");
        }
    }
}

fn compacted_objects_have_no_gaps() {
    for gc in GcPolicy::ALL {
        let mut zygote = load(*gc, AtFork::Compact);
        let before = zygote.live_pages().unwrap().len();
        zygote.prepare_fork().unwrap();
        let (objects, bytes) = zygote.live_objects().unwrap();
        let pages = zygote.live_pages().unwrap().len() as u64;
        assert!(objects > 60_000);
        assert!(pages <= bytes.div_ceil(PAGE) + 1, "{gc}: {bytes} bytes on {pages} pages, {before} before");
        zygote.run_step(usize::from(MAKE_AND_COLLECT)).unwrap();
        println!("{gc}: {before} live pages before the fork, {pages} compacted");
    }
}
