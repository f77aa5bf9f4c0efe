//! Collections of the same heap, with marks beside it and with marks in it.
//!
//! A million live records that nothing is freed of: all of the time goes into tracing and sweeping.

use crate::bounds::{Bounds, alternate, median};
use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions, ToyRuntime};
use std::cell::RefCell;

const ROUNDS: usize = 15;

/// Marking beside the heap may take so many times as long as marking in it.
const BESIDE: f64 = 1.15;

const RECORDS: &str = "
    fn make(n, other) { return {id: n, name: nil, other: other}; }
    let all = [];
    let last = nil;
    for n in 0..1000000 { last = make(n, last); push(all, last); }
    collect();
    step again { collect(); }
";

pub fn run(bounds: &mut Bounds) {
    println!("\ncollections of a million live records");
    for alloc in AllocOrder::ALL {
        let heap = |gc| RefCell::new(load(gc, *alloc));
        let (beside, inside) = (heap(GcPolicy::MarkBitmap), heap(GcPolicy::MarkHeader));
        let collect = |heap: &RefCell<ToyRuntime>| heap.borrow_mut().run_step(0).expect("it collects");
        let rounds = alternate(ROUNDS, &|| collect(&beside), &|| collect(&inside));
        let (objects, _) = beside.borrow_mut().live_objects().expect("counted");
        let seconds = median(rounds.iter().map(|(beside, _)| beside.wall));
        println!("  {alloc}: {:.1} million objects a second in a bitmap", objects as f64 / seconds / 1e6);
        bounds.busy_at_most(&format!("{alloc}: mark-bitmap / mark-header"), BESIDE, &rounds);
    }
}

fn load(gc: GcPolicy, alloc: AllocOrder) -> ToyRuntime {
    let options = ToyOptions { gc, alloc, ..ToyOptions::default() };
    let loaded = ToyRuntime::load_with_output("records", RECORDS, options, Box::new(std::io::sink()));
    loaded.expect("the program loads")
}
