//! Made-up programs with a buffer whose pages they write to, and what was measured of them.

use crate::bench::{Bench, Outcome};
use forkprint::capture;
use forkprint::family::breaks::{Break, Flags};
use forkprint::family::recording::Recording;
use serde_json::Value;
use std::collections::HashMap;

/// What every program begins with. The first step tells where the buffer is.
const MODULE: &str = "
import ctypes, faulthandler, forkprint, mmap, os, resource, signal, subprocess, sys, threading, time
PAGE = mmap.PAGESIZE
BUFFER = mmap.mmap(-1, 4000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
BUFFER[:] = b'1' * len(BUFFER)
START = ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))
LIBC = ctypes.CDLL(None, use_errno=True)
def dirty(first, end):
    for page in range(first, end):
        BUFFER[page * PAGE] = 50
@forkprint.step
def begin():
    with open(__file__ + '.start', 'w') as told: told.write(str(START // PAGE))
";

/// What a program did and what we said.
pub struct Measured {
    pub outcome: Outcome,
    pub json: Value,
    pub recording: Recording,
    start: u64,
}

/// A workload with more at module level, and the body of its second step.
pub fn source(module: &str, body: &str) -> String {
    let body: String = body.trim().lines().map(|line| format!("    {line}\n")).collect();
    format!("{MODULE}{module}\n@forkprint.step\ndef only():\n{body}")
}

/// Measures it to its end with one worker.
pub fn measure(bench: &Bench, source: &str, arguments: &[&str]) -> Measured {
    std::fs::write(bench.path("target.py"), source).unwrap();
    let common =
        ["run", "target.py", "--format", "json", "-o", "out.json", "--capture", "out.forkprint", "--force"];
    let workers: &[&str] = if arguments.contains(&"-w") { &[] } else { &["-w", "1"] };
    let outcome = bench.forkprint(&[&common[..], workers, arguments].concat());
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let json = std::fs::read_to_string(bench.path("out.json")).unwrap_or_else(|_| panic!("{outcome:?}"));
    let json: Value = serde_json::from_str(&json).unwrap();
    adds_up(&json["reconciliation"]);
    let start = std::fs::read_to_string(bench.path("target.py.start")).unwrap_or_default();
    let recording = capture::read(&bench.path("out.forkprint")).unwrap();
    Measured { outcome, json, recording, start: start.parse().unwrap_or(0) }
}

/// The same for a program that ends well.
pub fn measure_well(source: &str, arguments: &[&str]) -> Measured {
    let measured = measure(&Bench::new(), source, arguments);
    assert!(measured.outcome.status.success(), "{}", measured.outcome.stderr);
    assert!(measured.recording.about.complete);
    measured
}

fn adds_up(reconciliation: &Value) {
    let count = |name: &str| reconciliation[name].as_u64().unwrap();
    let parts = ["explained", "kernel_writes", "floor", "unexplained"];
    assert_eq!(count("broken"), parts.iter().map(|part| count(part)).sum::<u64>(), "{reconciliation}");
}

impl Measured {
    /// Whether the program printed this, or we said it.
    #[track_caller]
    pub fn says(&self, part: &str) {
        assert!(self.outcome.stderr.contains(part), "'{part}' is not in:\n{}", self.outcome.stderr);
    }

    /// Whether a note for the reader says this.
    #[track_caller]
    pub fn notes(&self, part: &str) {
        let notes = &self.recording.about.notes;
        assert!(notes.iter().any(|note| note.contains(part)), "'{part}' is not in {notes:#?}");
    }

    /// Faults that the kernel counted and did not deliver.
    pub fn lost(&self) -> u64 {
        self.recording.reconciliation.lost_samples
    }

    /// Rows of worker 0 of so many pages of the buffer that a witness saw.
    pub fn seen(&self, first: u64, end: u64) -> Vec<Break> {
        let rows: HashMap<u32, &Break> =
            self.recording.breaks.of_worker(0).iter().map(|row| (row.page, row)).collect();
        let runs = self.recording.pages.runs.iter();
        let numbers = runs.flat_map(|run| run.first..run.first + u64::from(run.len));
        let wanted = self.start + first..self.start + end;
        let found = numbers.zip(0_u32..).filter(|(page, _)| wanted.contains(page));
        let rows = found.filter_map(|(_, index)| rows.get(&index).map(|row| **row));
        rows.filter(|row| row.flags.has(Flags::SEEN)).collect()
    }

    /// All pages of the buffer in a range were seen to break.
    #[track_caller]
    pub fn all_seen(&self, first: u64, end: u64) -> Vec<Break> {
        let seen = self.seen(first, end);
        assert_eq!(seen.len() as u64, end - first, "{:?}", self.recording.about.notes);
        seen
    }

    /// How worker 0 ended, as JSON.
    pub fn fate(&self) -> &Value {
        &self.json["workers"][0]["fate"]
    }
}
