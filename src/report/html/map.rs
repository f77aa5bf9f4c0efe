//! The data behind the page map: cells packed, deflated, and written as base64.
//!
//! For each worker, at the end of the recording: one byte a page with state (low three bits) and
//! content (two bits above), then one byte a page with its step. Then what pages looked like before,
//! by page and time: one byte each with the last step of it, one byte each with state and content,
//! and the distance to the page before as a number of seven bits a byte, low bits first. Last, one
//! byte for each page that differs at the end with the number of changed bytes (exact below 128, in
//! units of 32 above).

use super::super::summary::worst_step;
use super::flame::Graph;
use super::{json_for_script, map_breaks};
use crate::family::PageState;
use crate::family::recording::{Content, PageHistory, Recording, WorkerPages};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;

/// What the script reads first.
#[derive(Serialize)]
struct Index<'a> {
    page_size: u64,
    regions: &'a [String],
    /// Gap to the end of the previous run, pages, region: three numbers a run.
    runs: Vec<u64>,
    steps: Vec<&'a str>,
    workers: Vec<IndexWorker>,
}

#[derive(Serialize)]
struct IndexWorker {
    worker: u32,
    pid: Option<u32>,
    /// Transitions in the packed data.
    earlier: usize,
}

/// Everything the page map needs.
pub(super) struct Map<'a> {
    recording: &'a Recording,
}

impl<'a> Map<'a> {
    pub fn of(recording: &'a Recording) -> Self {
        Self { recording }
    }

    /// What the template shows around the map.
    pub fn context(&self) -> Value {
        let pages = &self.recording.pages;
        context! {
            present => !pages.is_empty() && !pages.workers.is_empty(),
            pages => pages.len(),
            shown_step => worst_step(self.recording).unwrap_or_default(),
            last_step => self.recording.steps.len().saturating_sub(1),
            regions => Value::from(Serde(counts_by_region(pages))),
        }
    }

    /// The elements that hold the data of map and flame graph.
    ///
    /// They are large and need no escaping: base64, and JSON without `<`.
    pub fn data(&self) -> String {
        let pages = &self.recording.pages;
        let (cells, breaks) = thread::scope(|scope| {
            let tasks: Vec<_> = pages.workers.iter().map(|worker| scope.spawn(|| pack(worker))).collect();
            let breaks = map_breaks::packed(self.recording);
            let cells: Vec<String> = tasks.into_iter().map(|task| task.join().unwrap_or_default()).collect();
            (cells, breaks)
        });
        let mut data = String::new();
        let mut add = |kind: &str, id: &str, content: &str| {
            let _ = writeln!(data, "<script type=\"{kind}\" id=\"{id}\">{content}</script>");
        };
        add("application/json", "map-index", &json_for_script(&self.index()));
        for (index, cells) in cells.iter().enumerate() {
            add("text/plain", &format!("map-cells-{index}"), cells);
        }
        if let Some(graph) = Graph::of(self.recording) {
            add("text/plain", "flame-data", &graph.packed());
        }
        if let Some((index, rows)) = breaks {
            add("text/plain", "map-break-index", &index);
            for (at, rows) in rows.iter().enumerate() {
                add("text/plain", &format!("map-breaks-{at}"), rows);
            }
        }
        data
    }

    fn index(&self) -> Index<'a> {
        let Recording { pages, steps, workers, about, .. } = self.recording;
        let pid = |index: u32| workers.iter().find(|worker| worker.worker == index).map(|worker| worker.pid);
        Index {
            page_size: about.page_size,
            regions: &pages.regions,
            runs: packed_runs(pages),
            steps: steps.iter().map(|step| step.name.as_str()).collect(),
            workers: pages
                .workers
                .iter()
                .map(|worker| IndexWorker {
                    worker: worker.worker,
                    pid: pid(worker.worker),
                    earlier: worker.earlier.len(),
                })
                .collect(),
        }
    }
}

pub(super) fn packed_runs(pages: &PageHistory) -> Vec<u64> {
    let mut end = 0;
    let mut runs = Vec::with_capacity(pages.runs.len() * 3);
    for run in &pages.runs {
        runs.extend([run.first.saturating_sub(end), u64::from(run.len), u64::from(run.region)]);
        end = run.first + u64::from(run.len);
    }
    runs
}

fn pack(worker: &WorkerPages) -> String {
    let WorkerPages { cells, earlier, .. } = worker;
    let mut bytes = Vec::with_capacity(cells.len() * 2 + cells.len() / 4 + earlier.len() * 4);
    bytes.extend(cells.iter().map(|cell| code(cell.state, cell.content)));
    bytes.extend(cells.iter().map(|cell| cell.step));
    bytes.extend(earlier.iter().map(|earlier| earlier.until));
    bytes.extend(earlier.iter().map(|earlier| code(earlier.state, earlier.content)));
    let mut previous = 0;
    for earlier in earlier {
        push_number(&mut bytes, earlier.page - previous);
        previous = earlier.page;
    }
    bytes.extend(
        cells
            .iter()
            .filter(|cell| cell.content == Content::Differs)
            .map(|cell| changed_code(cell.bytes_changed)),
    );
    deflated(&bytes)
}

/// Bytes as a script inflates them: raw deflate in base64.
pub(super) fn deflated(bytes: &[u8]) -> String {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let deflated = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
    STANDARD.encode(deflated)
}

const fn code(state: PageState, content: Content) -> u8 {
    state as u8 | (content as u8) << 3
}

/// Seven bits a byte, low bits first.
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn changed_code(bytes_changed: u16) -> u8 {
    match bytes_changed {
        exact @ 0..128 => exact as u8,
        coarse => 128 + (coarse >> 5).min(127) as u8,
    }
}

/// Cells of one region in all workers, by what became of them: the map as a table.
#[derive(Serialize, Default)]
struct RegionCounts {
    name: String,
    pages: u64,
    shared: u64,
    ghost: u64,
    differs: u64,
    uncompared: u64,
    zygote: u64,
    gone: u64,
}

fn counts_by_region(pages: &PageHistory) -> Vec<RegionCounts> {
    let mut sums: BTreeMap<u32, [u64; 6]> = BTreeMap::new();
    let mut at = 0;
    for run in &pages.runs {
        let cells = at..at + run.len as usize;
        at = cells.end;
        let sum = sums.entry(run.region).or_default();
        for worker in &pages.workers {
            let cells = worker.cells.get(cells.clone()).unwrap_or_default();
            for cell in cells {
                sum[class(cell.state, cell.content)] += 1;
            }
        }
    }
    let mut rows: Vec<RegionCounts> = sums
        .into_iter()
        .map(|(region, [shared, ghost, differs, uncompared, zygote, gone])| RegionCounts {
            name: pages.regions.get(region as usize).cloned().unwrap_or_default(),
            pages: shared + ghost + differs + uncompared + zygote + gone,
            shared,
            ghost,
            differs,
            uncompared,
            zygote,
            gone,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.pages));
    rows
}

/// The class of a cell, in the order of the legend; the script has the same rule.
pub(super) const fn class(state: PageState, content: Content) -> usize {
    match (state, content) {
        (PageState::Shared, _) => 0,
        (PageState::BrokenByZygote, _) => 4,
        (PageState::Gone, _) => 5,
        (_, Content::Equal) => 1,
        (_, Content::Differs) => 2,
        (_, Content::NotCompared) => 3,
    }
}
