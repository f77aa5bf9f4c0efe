//! No page of the code cache is ever writable and executable: looked at around every change.

use super::super::options::{JitMode, ToyOptions};
use super::super::runtime::ToyRuntime;
use crate::runtimes::Runtime;
use std::cell::Cell;
use std::collections::BTreeSet;

thread_local! {
    /// How many times this thread's code caches were looked at; nothing where nobody asked for it.
    static LOOKS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Called whenever the rights of pages of a code cache have changed.
pub(super) fn observe(start: u64, end: u64) {
    let Some(looks) = LOOKS.get() else { return };
    LOOKS.set(Some(looks + 1));
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let bound = |text| u64::from_str_radix(text, 16).unwrap();
        if bound(from) < end && bound(to) > start {
            assert!(["---p", "rw-p", "r-xp"].iter().any(|rights| rest.starts_with(rights)), "{line}");
        }
    }
}

/// Fields, calls through values and calls by name of many kinds.
const PROGRAM: &str = "
    fn a(r) { return r.x + 1; } fn b(r) { return r.x * 2; } fn c(r) { r.x = r.x + 1; return r.x; }
    fn d(r) { return a(r); } fn e(r) { return b(r) + c(r); }
    fn apply(f, r) { return f(r); }
    let all = [{x: 1}, {y: 0, x: 2}, {z: 0, y: 0, x: 3}, {x: 4, a: 1}, {b: 1, x: 5}, {c: 1, x: 6}];
    step go { let sum = 0; for r in all { for f in [a, b, c, d, e, str] { sum = sum + len(str(apply(f, r))); } } print(sum); }";

fn pages(addresses: impl Iterator<Item = u64>) -> usize {
    addresses.map(|address| address >> 12).collect::<BTreeSet<_>>().len()
}

#[test]
fn no_page_is_writable_and_executable_at_any_change() {
    let mut prints = Vec::new();
    for jit in [JitMode::Patch, JitMode::SideCounters, JitMode::Indirect, JitMode::Warm] {
        LOOKS.set(Some(0));
        let options = ToyOptions { jit, hot_calls: 1, ..ToyOptions::default() };
        let output = Box::new(std::io::sink());
        let mut runtime = ToyRuntime::load_with_output("t", PROGRAM, options, output).unwrap();
        runtime.prepare_fork().unwrap();
        runtime.run_step(0).unwrap();
        runtime.run_step(0).unwrap();
        let stats = runtime.code_stats();
        assert_eq!(stats.patched_pages, pages(runtime.patched_sites().iter().map(|site| *site as u64)));
        assert_eq!(stats.slot_pages, pages(runtime.written_slots().into_iter()));
        prints.push((jit, LOOKS.take().unwrap(), stats));
    }
    let looks: Vec<u64> = prints.iter().map(|(_, looks, _)| *looks).collect();
    assert!(looks.iter().all(|looks| *looks > 20), "{prints:#?}");
    assert!(looks[0] > looks[1] && looks[1] > looks[2], "each way patches less: {prints:#?}");
    assert_eq!(prints[2].2.patches, 0, "{prints:#?}");
}
