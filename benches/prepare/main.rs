//! What making a heap ready for a fork takes: time for each object, memory meanwhile, memory afterwards.
//!
//! `cargo bench --bench prepare` runs the agent library in the first of the interpreters that have
//! immortal objects, on a heap of four million objects: once in the order in which they were made, once
//! shuffled, where each object is a miss of the processor's cache.

#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "../snapshot/bounds.rs"]
mod bounds;

use bounds::{Bounds, median};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROUNDS: usize = 5;
const OBJECTS: f64 = 4e6;

/// What one run told.
struct Told {
    objects: f64,
    seconds: f64,
    bytes: f64,
    extra: f64,
    before: f64,
    after: f64,
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (library, script) = (folder.path().join("agent.so"), folder.path().join("heap.py"));
    std::fs::write(&library, forkprint::agent::LIBRARY).expect("the agent library");
    std::fs::write(&script, include_str!("heap.py")).expect("the script");
    let python = interpreter().expect("CPython 3.12 or 3.13, on PATH or of pyenv");
    println!("prepare_heap on {}", python.display());
    let mut bounds = Bounds::default();
    for order in ["ordered", "shuffled"] {
        let told: Vec<Told> = (0..ROUNDS).map(|_| run(&python, &script, &library, order)).collect();
        assert!(
            told.iter().all(|told| told.objects >= OBJECTS),
            "the reference heap has four million objects"
        );
        let of = |figure: fn(&Told) -> f64| median(told.iter().map(figure));
        let name = |what: &str| format!("{what} ({order})");
        bounds.figure_at_least(
            &name("million objects a second"),
            10.0,
            of(|told| told.objects / told.seconds / 1e6),
        );
        bounds.figure_at_most(
            &name("64ths of the heap, meanwhile"),
            1.0,
            of(|told| told.extra * 64.0 / told.bytes),
        );
        bounds.figure_at_most(&name("private memory afterwards"), 1.01, of(|told| told.after / told.before));
    }
    bounds.finish();
}

fn run(python: &Path, script: &Path, library: &Path, order: &str) -> Told {
    let output = Command::new(python).arg(script).arg(library).arg(order).output().expect("a Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [objects, seconds, bytes, extra, before, after] = figures[..] else { panic!("{text}") };
    Told { objects, seconds, bytes, extra, before, after }
}

/// An interpreter with immortal objects.
fn interpreter() -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let installed = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten();
    let mut candidates: Vec<PathBuf> =
        installed.filter_map(Result::ok).map(|entry| entry.path().join("bin/python3")).collect();
    candidates.sort();
    candidates.extend(["python3.13", "python3.12", "python3"].map(PathBuf::from));
    candidates.into_iter().find(|python| {
        let ask = "import sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))";
        Command::new(python).args(["-c", ask]).output().is_ok_and(|told| told.status.success())
    })
}
