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

fn collect(heap: &mut Heap, root: u64) {
    with_root(root, |roots| heap.collect(roots, Reason::Asked));
}

fn census(heap: &mut Heap, root: u64) -> Census {
    with_root(root, |roots| heap.census(roots)).unwrap()
}

fn heap(gc: GcPolicy) -> Heap {
    Heap::new(&ToyOptions { gc, heap_limit: 4 << 20, ..ToyOptions::default() }).unwrap()
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
    for gc in [GcPolicy::MarkHeader, GcPolicy::MarkBitmap] {
        let mut heap = heap(gc);
        let kept = chain(&mut heap, 100_000);
        for _ in 0..20 {
            chain(&mut heap, 20_000);
            collect(&mut heap, kept);
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
