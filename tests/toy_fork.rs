//! Which inherited pages a worker breaks, by comparing page frames with the zygote.
//!
//! Frame numbers are shown to root only; without them the test says that it skips.

use forkprint::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions, ToyRuntime};
use forkprint::runtimes::{ForkSide, Runtime};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::fs::FileExt;
use std::path::Path;

const PAGE: u64 = 4096;

/// One forked worker that runs a step for every byte it is sent.
struct Worker {
    pid: Pid,
    orders: PipeWriter,
    answers: PipeReader,
    /// Page address to frame number, of every page present in the zygote at the fork.
    inherited: BTreeMap<u64, u64>,
}

impl Worker {
    fn fork(zygote: &mut ToyRuntime) -> Self {
        let (mut orders_read, orders) = pipe().unwrap();
        let (answers, mut answers_write) = pipe().unwrap();
        let inherited = frames("self", zygote);
        match zygote.fork().unwrap() {
            ForkSide::Zygote(pid) => {
                let pid = Pid::from_raw(pid.cast_signed());
                Self { pid, orders, answers, inherited }
            }
            ForkSide::Worker => {
                drop(orders);
                let mut order = [0];
                while orders_read.read_exact(&mut order).is_ok() {
                    let finished = zygote.run_step(usize::from(order[0])).is_ok();
                    let sites = zygote.patched_sites();
                    let words = [u64::from(finished), sites.len() as u64].into_iter();
                    for word in words.chain(sites.iter().map(|site| *site as u64)) {
                        answers_write.write_all(&word.to_ne_bytes()).unwrap();
                    }
                }
                raise(Signal::SIGKILL).unwrap();
                unreachable!("the worker is dead");
            }
        }
    }

    /// Runs a step; returns the addresses that the worker patched since the fork.
    fn run(&mut self, step: u8) -> Vec<u64> {
        self.orders.write_all(&[step]).unwrap();
        let mut word = || {
            let mut bytes = [0; 8];
            self.answers.read_exact(&mut bytes).unwrap();
            u64::from_ne_bytes(bytes)
        };
        assert_eq!(word(), 1, "step {step} failed");
        (0..word()).map(|_| word()).collect()
    }

    /// Inherited pages of a region that no longer have the frame they had at the fork.
    fn broken(&self, zygote: &ToyRuntime, region: &str) -> BTreeSet<u64> {
        let now = frames(&self.pid.to_string(), zygote);
        let region = zygote.regions().into_iter().find(|found| found.name == region).unwrap();
        self.inherited
            .range(region.start..region.end)
            .filter(|(page, frame)| now.get(page) != Some(frame))
            .map(|(page, _)| *page)
            .collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// Page address to frame number, of every present page of the runtime's regions.
fn frames(process: &str, runtime: &ToyRuntime) -> BTreeMap<u64, u64> {
    let pagemap = File::open(format!("/proc/{process}/pagemap")).unwrap();
    let mut frames = BTreeMap::new();
    for region in runtime.regions() {
        let pages = usize::try_from((region.end - region.start) / PAGE).unwrap();
        let mut entries = vec![0; pages * 8];
        pagemap.read_exact_at(&mut entries, region.start / PAGE * 8).unwrap();
        for (page, entry) in (region.start..region.end).step_by(4096).zip(entries.chunks_exact(8)) {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap());
            let present = entry >> 63 == 1;
            if present {
                frames.insert(page, entry & ((1 << 55) - 1));
            }
        }
    }
    frames
}

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

fn frames_are_hidden() -> bool {
    let zygote = load("closures.toy", GcPolicy::MarkBitmap);
    let hidden = frames("self", &zygote).values().all(|frame| *frame == 0);
    if hidden {
        println!("skipped: page frame numbers are hidden; run as root");
    }
    hidden
}

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn workers_break_exactly_the_pages_they_write() {
    if frames_are_hidden() {
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
    let patched = worker.run(0);
    let pages: BTreeSet<u64> = patched.iter().map(|address| address / PAGE * PAGE).collect();
    assert!(pages.len() > 4, "{} pages", pages.len());
    assert_eq!(broken_code(&worker, &zygote), pages);
    assert_eq!(worker.run(1), patched, "everything is patched the second time");
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
    assert_eq!(second.run(0), patched);
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
