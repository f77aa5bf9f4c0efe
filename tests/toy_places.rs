//! What the toy runtime's places are called, against the bytes that programs really change.

use forkprint::cpython::fields::FieldClass;
use forkprint::explain::Place;
use forkprint::explain::toy::{Collector, ToyMemory, ToyPlace};
use forkprint::family::Region;
use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{GcPolicy, ToyOptions, ToyRuntime};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PAGE: u64 = 4096;

/// Bytes of pages of this process at one time, by address.
struct Memory(BTreeMap<u64, Vec<u8>>);

impl Memory {
    fn of(pages: &BTreeSet<u64>) -> Self {
        let memory = File::open("/proc/self/mem").unwrap();
        let read = |page: &u64| {
            let mut bytes = vec![0; 4096];
            memory.read_exact_at(&mut bytes, *page).unwrap();
            (*page, bytes)
        };
        Self(pages.iter().map(read).collect())
    }

    /// Addresses of the 8-byte words that are others now.
    fn changed_since(&self, before: &Self) -> Vec<u64> {
        let words = |page: &[u8]| -> Vec<[u8; 8]> { page.as_chunks::<8>().0.to_vec() };
        let mut changed = Vec::new();
        for (page, bytes) in &self.0 {
            let pairs = words(bytes).into_iter().zip(words(&before.0[page]));
            let differ = (*page..).step_by(8).zip(pairs).filter(|(_, (new, old))| new != old);
            changed.extend(differ.map(|(address, _)| address));
        }
        changed
    }

    fn fill(&self, mut address: u64, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            let Some(page) = self.0.get(&(address / PAGE * PAGE)) else { return false };
            let rest = &page[usize::try_from(address % PAGE).unwrap()..];
            let (now, later) = buffer.split_at_mut(rest.len().min(buffer.len()));
            now.copy_from_slice(&rest[..now.len()]);
            address += now.len() as u64;
            buffer = later;
        }
        true
    }
}

fn load(workload: &str, gc: GcPolicy) -> ToyRuntime {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/toy").join(workload);
    // A small heap, so that its bitmaps can be read as a whole.
    ToyRuntime::load(&path, ToyOptions { gc, heap_limit: 64 << 20, ..ToyOptions::default() }).unwrap()
}

/// A program that refers to each of 1,000 records once more.
fn keeping(gc: GcPolicy) -> ToyRuntime {
    let source = "
        fn make(n) { return {id: n, name: nil}; }
        let all = [];
        for n in 0..1000 { push(all, make(n)); }
        let kept = list(1000, nil);
        step keep { for n in 0..1000 { kept[n] = all[n]; } }
    ";
    let options = ToyOptions { gc, heap_limit: 64 << 20, ..ToyOptions::default() };
    ToyRuntime::load_source("keeping", source, options).unwrap()
}

/// Runs a step; what the words of live objects that it changed are called, and how many there are.
fn changes(runtime: &mut ToyRuntime, step: &str) -> Vec<(ToyPlace, usize)> {
    let regions = runtime.regions();
    let mut pages: BTreeSet<u64> = runtime.live_pages().unwrap().into_iter().collect();
    let heap_pages = pages.clone();
    let read_for_starts = ["allocation bitmap", "space A", "space B", "old space", "nursery"];
    let read_for_starts = regions.iter().filter(|region| read_for_starts.contains(&region.name.as_str()));
    pages.extend(read_for_starts.flat_map(pages_of));
    if !regions.iter().any(|region| region.name == "allocation bitmap") {
        pages.extend(regions.iter().filter(|region| region.name == "object heap").flat_map(pages_of));
    }
    let before = Memory::of(&pages);
    let index = runtime.steps().iter().position(|name| name == step).unwrap();
    runtime.run_step(index).unwrap();
    let mut fork = ToyMemory::new(&regions, collector(runtime.options().gc));
    let mut found: Vec<(ToyPlace, usize)> = Vec::new();
    for address in Memory::of(&heap_pages).changed_since(&before) {
        let called = fork.place(address, |at, buffer| before.fill(at, buffer)).unwrap();
        match found.iter_mut().find(|(other, _)| *other == called) {
            Some((_, count)) => *count += 1,
            None => found.push((called, 1)),
        }
    }
    found
}

fn collector(gc: GcPolicy) -> Collector {
    match gc {
        GcPolicy::MarkHeader => Collector::Marks,
        GcPolicy::Refcount => Collector::Counts,
        GcPolicy::Copying | GcPolicy::Compacting | GcPolicy::Generational => Collector::Moves,
        GcPolicy::MarkBitmap | GcPolicy::RefcountSide | GcPolicy::None => Collector::Beside,
    }
}

fn pages_of(region: &Region) -> impl Iterator<Item = u64> {
    (region.start..region.end).step_by(4096)
}

fn stored(ty: &'static str, field: &'static str) -> ToyPlace {
    let place = Place::Object { class: FieldClass::Body, into_field: 0 };
    ToyPlace { place, ty: Some(ty), field: Some(field.into()) }
}

fn moved(ty: &'static str, field: &'static str) -> ToyPlace {
    ToyPlace { place: Place::Movable, ..stored(ty, field) }
}

#[test]
fn marking_changes_headers_of_records() {
    let mut runtime = load("gc_marks.toy", GcPolicy::MarkHeader);
    let found = changes(&mut runtime, "collect");
    let mark = |ty| ToyPlace { place: Place::Marks, ty: Some(ty), field: Some("header".into()) };
    // The texts are constants of the program: what its step prints.
    assert_eq!(found, [(mark("toy Text"), 2), (mark("toy Record"), (1 << 19) - 1)]);
}

#[test]
fn marking_in_a_bitmap_changes_no_object() {
    let mut runtime = load("gc_marks.toy", GcPolicy::MarkBitmap);
    assert_eq!(changes(&mut runtime, "collect"), []);
}

#[test]
fn copying_leaves_an_address_in_every_header() {
    let mut runtime = load("gc_marks.toy", GcPolicy::Copying);
    let found = changes(&mut runtime, "collect");
    assert_eq!(found, [(moved("toy Record", "header"), (1 << 19) - 1), (moved("toy Text", "header"), 2)]);
}

/// One record dies. 1,000 of its kind move down by one place, each with its number, and all items of the
/// list that refers to them change. Behind them are a few objects that lie over others of another kind.
#[test]
fn sliding_changes_what_records_hold_and_who_refers_to_them() {
    let source = "
        let first = {id: 1000, name: nil};
        let all = list(1000, nil);
        fn make() { for n in 0..1000 { all[n] = {id: n, name: nil}; } }
        make();
        collect();
        step slide { first = nil; collect(); }
    ";
    for gc in [GcPolicy::Compacting, GcPolicy::Generational] {
        let options = ToyOptions { gc, heap_limit: 64 << 20, ..ToyOptions::default() };
        let mut runtime = ToyRuntime::load_source("sliding", source, options).unwrap();
        let found = changes(&mut runtime, "slide");
        for (ty, field) in [("toy Record", "field 0"), ("toy Array", "items")] {
            assert!(found.contains(&(moved(ty, field), 1000)), "{gc}: {found:?}");
        }
        assert!(found.iter().all(|(called, _)| called.place == Place::Movable), "{gc}: {found:?}");
    }
}

#[test]
fn a_reference_more_changes_a_count() {
    let items = (stored("toy Array", "items"), 1000);
    let place = Place::Object { class: FieldClass::Refcount, into_field: 0 };
    let count = ToyPlace { place, ty: Some("toy Record"), field: Some("count".into()) };
    assert_eq!(changes(&mut keeping(GcPolicy::Refcount), "keep"), [(count, 1000), items.clone()]);
    assert_eq!(changes(&mut keeping(GcPolicy::RefcountSide), "keep"), [items]);
}

#[test]
fn a_deposit_changes_the_second_field_of_a_record() {
    for gc in [GcPolicy::MarkHeader, GcPolicy::MarkBitmap] {
        let mut runtime = load("mutate.toy", gc);
        assert_eq!(changes(&mut runtime, "every_1000th"), [(stored("toy Record", "field 1"), 200)]);
        assert_eq!(changes(&mut runtime, "every_50th"), [(stored("toy Record", "field 1"), 4000)]);
    }
}

#[test]
fn counting_changes_the_values_of_captured_variables() {
    let mut runtime = load("closures.toy", GcPolicy::MarkBitmap);
    assert_eq!(changes(&mut runtime, "count"), [(stored("toy Cell", "value"), 1)]);
    assert_eq!(changes(&mut runtime, "count_all"), [(stored("toy Cell", "value"), 1000)]);
}

#[test]
fn patches_are_made_to_code() {
    let mut runtime = load("jit_patch.toy", GcPolicy::MarkBitmap);
    if runtime.compiled_functions() == 0 {
        return;
    }
    let regions = runtime.regions();
    assert!(!runtime.patched_sites().is_empty());
    for site in runtime.patched_sites() {
        let found = ToyMemory::new(&regions, Collector::Beside).place(*site as u64, |_, _| false).unwrap();
        assert_eq!(found.place, Place::JitCode);
    }
    assert!(changes(&mut runtime, "warm_up").iter().all(|(called, _)| called.ty == Some("toy Record")));
}
