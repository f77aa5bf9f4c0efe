//! What collections keep, free and write, policy by policy.

use super::heap::Heap;
use super::object::{Header, Kind, SHAPE_TAG};
use super::plan::Reason;
use super::{Census, Roots};
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions};

/// Calls the function with one root, in a register.
fn with_root<T>(root: u64, run: impl FnOnce(&mut Roots<'_>) -> T) -> T {
    let (mut stack, mut globals) = (Words::map(8, "test").unwrap(), Words::map(8, "test").unwrap());
    stack.set(0, root);
    run(&mut Roots { stack: &mut stack, registers: 0..1, globals: &mut globals })
}

/// Collects; answers where the root went.
fn collect(heap: &mut Heap, root: u64) -> u64 {
    with_root(root, |roots| {
        heap.collect(roots, Reason::Asked);
        roots.stack.get(0)
    })
}

fn census(heap: &mut Heap, root: u64) -> Census {
    with_root(root, |roots| heap.census(roots)).unwrap()
}

/// Policies without counts that free what is dead.
const FREEING: [GcPolicy; 5] = [
    GcPolicy::MarkHeader,
    GcPolicy::MarkBitmap,
    GcPolicy::Copying,
    GcPolicy::Compacting,
    GcPolicy::Generational,
];

fn heap(gc: GcPolicy) -> Heap {
    Heap::new(&ToyOptions { gc, heap_limit: 16 << 20, ..ToyOptions::default() }).unwrap()
}

/// A chain of records, each holding the one before; returns the last.
fn chain(heap: &mut Heap, length: u64) -> u64 {
    let mut last = Value::NIL;
    for number in 0..length {
        let record = heap.allocate(Header::new(Kind::Record, 2, SHAPE_TAG)).unwrap();
        heap.init_slot(record, 0, last);
        heap.init_slot(record, 1, Value::small_int(number.cast_signed()).unwrap());
        last = Value(record);
    }
    last.0
}

fn words_of(heap: &Heap) -> Vec<u64> {
    (0..heap.objects.len()).map(|word| heap.objects.get(word)).collect()
}

#[test]
fn what_roots_lead_to_survives_and_the_rest_is_reused() {
    for gc in FREEING {
        let mut heap = heap(gc);
        let mut kept = chain(&mut heap, 100_000);
        for _ in 0..40 {
            chain(&mut heap, 20_000);
            kept = collect(&mut heap, kept);
        }
        let (mut at, mut length) = (Value(kept), 0);
        while let Some(address) = at.as_address() {
            length += 1;
            assert_eq!(heap.slot(address, 1).as_small_int(), Some(100_000 - length));
            at = heap.slot(address, 0);
        }
        assert_eq!(length, 100_000, "{gc}");
        assert_eq!(census(&mut heap, kept).objects, 100_000);
    }
}

#[test]
fn bitmap_marks_leave_every_heap_word_alone_and_header_marks_change_every_header() {
    for (gc, expected) in [(GcPolicy::MarkBitmap, 0), (GcPolicy::MarkHeader, 5_000)] {
        let mut heap = heap(gc);
        let kept = chain(&mut heap, 5_000);
        chain(&mut heap, 5_000);
        for _ in 0..3 {
            let before = words_of(&heap);
            collect(&mut heap, kept);
            let changed = before.iter().zip(words_of(&heap)).filter(|(old, new)| **old != *new).count();
            assert_eq!(changed, expected, "{gc}");
        }
    }
}

#[test]
fn every_order_keeps_what_is_alive_and_reuses_the_rest() {
    let policies = [GcPolicy::MarkHeader, GcPolicy::MarkBitmap];
    for (gc, alloc) in policies.iter().flat_map(|gc| AllocOrder::ALL.iter().map(|alloc| (*gc, *alloc))) {
        let options = ToyOptions { gc, alloc, heap_limit: 4 << 20, ..ToyOptions::default() };
        let mut heap = Heap::new(&options).unwrap();
        let kept = chain(&mut heap, 10_000);
        for _ in 0..20 {
            chain(&mut heap, 60_000);
            collect(&mut heap, kept);
        }
        let numbers = std::iter::successors(Some(kept), |at| heap.slot(*at, 0).as_address());
        let numbers = numbers.map(|record| heap.slot(record, 1).as_small_int());
        assert!(numbers.eq((0..10_000).rev().map(Some)), "{gc}, {alloc}");
    }
}

#[test]
fn compaction_writes_nothing_before_the_first_garbage() {
    for gc in [GcPolicy::Compacting, GcPolicy::Generational] {
        let mut heap = heap(gc);
        let first = chain(&mut heap, 3_000);
        let kept = collect(&mut heap, first);
        let before = words_of(&heap);
        assert_eq!(collect(&mut heap, kept), kept);
        assert_eq!(words_of(&heap), before, "{gc}: without garbage nothing is written");

        // The chain's middle link is garbage now; what is before it stays as it was.
        let middle = kept - 1_500 * 32;
        let next = heap.slot(middle, 0);
        heap.set_slot(middle + 32, 0, next);
        let before = words_of(&heap);
        assert_eq!(collect(&mut heap, kept), kept - 32);
        let changed = before.iter().zip(words_of(&heap)).position(|(old, new)| *old != new);
        assert_eq!(changed, Some(heap.word(middle, 24)), "{gc}: its number is the first word to differ");
        assert_eq!(census(&mut heap, kept - 32).objects, 2_999);
    }
}

#[test]
fn a_full_old_space_leaves_survivors_in_the_nursery() {
    let mut heap = heap(GcPolicy::Generational);
    let mut kept = Value::NIL.0;
    let mut length = 0;
    'full: loop {
        for attempt in 0..2 {
            if let Ok(record) = heap.allocate(Header::new(Kind::Record, 2, SHAPE_TAG)) {
                heap.init_slot(record, 0, Value(kept));
                heap.init_slot(record, 1, Value::NIL);
                (kept, length) = (record, length + 1);
                break;
            }
            if attempt == 1 {
                break 'full;
            }
            kept = with_root(kept, |roots| {
                heap.collect(roots, Reason::Full);
                roots.stack.get(0)
            });
        }
    }
    assert!(length * 32 > 16 << 20, "both spaces are full after {length} records");
    assert_eq!(census(&mut heap, kept).objects, length);
    // Half of it dies; the rest and new objects still fit.
    let mut at = kept;
    for _ in 0..length / 2 {
        at = heap.slot(at, 0).0;
    }
    heap.set_slot(at, 0, Value::NIL);
    kept = collect(&mut heap, kept);
    chain(&mut heap, 20_000);
    assert_eq!(census(&mut heap, kept).objects, length / 2 + 1);
}
