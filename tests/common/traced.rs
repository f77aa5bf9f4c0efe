//! A made-up workload run untraced and traced, and what a program could tell the runs apart by.

use crate::bench::Bench;
use forkprint::family::breaks::{Break, Flags};
use forkprint::family::recording::Recording;
use serde_json::Value;

/// What can be seen of a run from outside, but for what was measured.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// Exit code of the whole run.
    pub code: Option<i32>,
    /// What the program printed, what became of its steps, and tracebacks.
    pub said: Vec<String>,
    /// How each worker ended.
    pub fates: Vec<Value>,
}

/// Runs a workload with one worker. What is measured is left in `WITNESS.forkprint`.
pub fn run(bench: &Bench, source: &str, witness: &str) -> Seen {
    std::fs::write(bench.path("traced.py"), source).unwrap();
    let (json, capture) = (format!("{witness}.json"), format!("{witness}.forkprint"));
    let outcome = bench.forkprint(&[
        "run",
        "traced.py",
        "-w",
        "1",
        "--witness",
        witness,
        "--format",
        "json",
        "-o",
        &json,
        "--capture",
        &capture,
    ]);
    let written = std::fs::read_to_string(bench.path(&json)).unwrap_or_else(|_| panic!("{outcome:?}"));
    let measured: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(measured["about"]["witness"], witness);
    adds_up(&measured["reconciliation"]);
    let workers = measured["workers"].as_array().unwrap();
    Seen {
        code: outcome.status.code(),
        said: outcome.stderr.lines().filter(|line| tells_of_the_program(line)).map(str::to_owned).collect(),
        fates: workers.iter().map(|worker| worker["fate"].clone()).collect(),
    }
}

impl Seen {
    /// A line, the last being the first.
    pub fn line_from_the_end(&self, number: usize) -> &str {
        &self.said[self.said.len() - number]
    }

    /// Whether one of the lines contains this.
    pub fn says(&self, part: &str) -> bool {
        self.said.iter().any(|line| line.contains(part))
    }
}

/// Not the names of the files that were written, nor the numbers of threads.
fn tells_of_the_program(line: &str) -> bool {
    !["wrote ", "next:", "Current thread "].iter().any(|start| line.starts_with(start))
}

/// Nothing is lost, and nothing is counted twice.
fn adds_up(reconciliation: &Value) {
    let count = |name: &str| reconciliation[name].as_u64().unwrap();
    let parts = ["explained", "kernel_writes", "floor", "unexplained"];
    assert_eq!(count("broken"), parts.iter().map(|part| count(part)).sum::<u64>(), "{reconciliation}");
    assert_eq!(count("lost_samples"), 0, "{reconciliation}");
}

/// What the traced run of a workload measured.
pub fn recording(bench: &Bench) -> Recording {
    forkprint::capture::read(&bench.path("sigtrap.forkprint")).unwrap()
}

/// The breaks of so many pages in a row, each of which was seen by a witness.
pub fn seen_in(recording: &Recording, first: u64, pages: u64) -> Vec<Break> {
    let runs = recording.pages.runs.iter();
    let numbers: Vec<u64> = runs.flat_map(|run| run.first..run.first + u64::from(run.len)).collect();
    let here = |row: &&Break| (first..first + pages).contains(&numbers[row.page as usize]);
    let rows = recording.breaks.of_worker(0).iter().filter(here).copied();
    rows.filter(|row| row.flags.has(Flags::SEEN)).collect()
}
