//! The stable JSON output: fields are added, never removed or renamed.

use super::ranking::{Ranked, Ranking, Selection, headline};
use crate::family::recording::{
    About, CrossCheck, Finding, Reconciliation, Recording, Rung, SCHEMA_VERSION, Step, WorkerInfo,
    WorkerStep, ZygoteSummary,
};
use crate::family::{Ledger, Witness};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Output<'a> {
    schema_version: u32,
    command: &'a str,
    runtime: &'a str,
    rung: Rung,
    witness: Witness,
    page_size: u64,
    zygote: &'a ZygoteSummary,
    workers: &'a [WorkerInfo],
    steps: Vec<OutputStep<'a>>,
    family: Family,
    reconciliation: &'a Reconciliation,
    explained: Explained,
    findings: &'a [Finding],
    about: &'a About,
}

#[derive(Serialize)]
struct OutputStep<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    seconds: f64,
    workers: &'a [WorkerStep],
    regions: &'a BTreeMap<String, u64>,
    causes: &'a BTreeMap<String, u64>,
    ledger: &'a Ledger,
    cross_check: &'a CrossCheck,
}

/// What the family costs after the last step.
#[derive(Serialize, Default)]
struct Family {
    distinct_frames: u64,
    pss_bytes: u64,
    page_table_bytes: u64,
}

/// Rows of each ranking.
const MOST_ROWS: usize = 20;

/// What broke the most pages, of all that were ever broken.
#[derive(Serialize)]
struct Explained {
    headline: Option<String>,
    pages: u64,
    ghosts: u64,
    by_line: Vec<Ranked>,
    by_function: Vec<Ranked>,
    by_type: Vec<Ranked>,
    by_field: Vec<Ranked>,
    by_owner: Vec<Ranked>,
    by_module: Vec<Ranked>,
    by_cause: Vec<Ranked>,
    by_writer: Vec<Ranked>,
}

/// The recording as one indented JSON object, with a line break at its end.
pub fn render(recording: &Recording) -> String {
    let about = &recording.about;
    let output = Output {
        schema_version: SCHEMA_VERSION,
        command: &about.command,
        runtime: &about.runtime,
        rung: about.rung,
        witness: about.witness,
        page_size: about.page_size,
        zygote: &recording.zygote,
        workers: &recording.workers,
        steps: recording.steps.iter().map(OutputStep::of).collect(),
        family: recording.steps.last().map_or_else(Family::default, |step| Family::of(&step.ledger)),
        reconciliation: &recording.reconciliation,
        explained: Explained::of(recording),
        findings: &recording.findings,
        about,
    };
    // Strings, numbers and maps with string keys always have a JSON form.
    serde_json::to_string_pretty(&output).unwrap_or_default() + "\n"
}

impl<'a> OutputStep<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            name: &step.name,
            requests: step.requests,
            seconds: step.seconds,
            workers: &step.workers,
            regions: &step.regions,
            causes: &step.causes,
            ledger: &step.ledger,
            cross_check: &step.cross_check,
        }
    }
}

impl Explained {
    fn of(recording: &Recording) -> Self {
        let all = Ranking::of(recording, Selection::default());
        let top = |mut rows: Vec<Ranked>| {
            rows.truncate(MOST_ROWS);
            rows
        };
        Self {
            headline: headline(recording),
            pages: all.pages(),
            ghosts: all.ghosts(),
            by_line: top(all.by_line()),
            by_function: top(all.by_function()),
            by_type: top(all.by_type()),
            by_field: top(all.by_field()),
            by_owner: top(all.by_owner()),
            by_module: top(all.by_module()),
            by_cause: top(all.by_cause()),
            by_writer: top(all.by_writer()),
        }
    }
}

impl Family {
    fn of(ledger: &Ledger) -> Self {
        Self {
            distinct_frames: ledger.distinct_frames,
            pss_bytes: ledger.pss_bytes(),
            page_table_bytes: ledger.page_table_bytes(),
        }
    }
}
