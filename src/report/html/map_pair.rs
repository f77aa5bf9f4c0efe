//! Two page maps beside each other, before and after a change, on one scale.
//!
//! For each of the two, an element holds its regions and runs as the page map writes them, and one
//! for each worker holds one byte a page with its class (the order is that of the legend), deflated.

use super::super::summary::worst_step;
use super::json_for_script;
use super::map::{class, deflated, packed_runs};
use crate::family::recording::{Recording, WorkerPages};
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use std::fmt::Write;
use std::thread;

/// Steps of a recording are counted in bytes.
const LAST_STEP: usize = u8::MAX as usize - 1;

/// The script that paints them; it follows `page.js`.
pub(in crate::report) const SCRIPT: &str =
    concat!(include_str!("map_states.js"), include_str!("map_pair.js"));

/// Names of the two sides, in ids and on the page.
const SIDES: [(&str, &str); 2] = [("before", "Today"), ("after", "As recommended")];

/// The two recordings.
#[derive(Clone, Copy)]
pub(in crate::report) struct Pair<'a>([&'a Recording; 2]);

/// What the script reads first.
#[derive(Serialize)]
struct Index<'a> {
    page_size: u64,
    regions: &'a [String],
    runs: Vec<u64>,
    workers: Vec<u32>,
}

/// What stands below a map before a script runs, and in the table for those who do not see it.
#[derive(Serialize)]
struct Side {
    id: &'static str,
    name: &'static str,
    step: String,
    pages: u64,
    /// Pages of each class and their size, mean of the workers.
    counts: Vec<(u64, String)>,
}

impl<'a> Pair<'a> {
    /// The pair, where both have pages to paint.
    pub fn of(before: Option<&'a Recording>, after: Option<&'a Recording>) -> Option<Self> {
        let has_pages = |one: &&Recording| !one.pages.is_empty() && !one.pages.workers.is_empty();
        Some(Self([before.filter(has_pages)?, after.filter(has_pages)?]))
    }

    /// What the template shows around the maps.
    pub fn context(self) -> Value {
        let sides: Vec<Side> =
            SIDES.iter().zip(self.0).map(|((id, name), one)| side(id, name, one)).collect();
        context! { sides => Value::from(Serde(sides)) }
    }

    /// The elements that hold the data; they need no escaping.
    pub fn data(self) -> String {
        let mut data = String::new();
        for ((side, _), recording) in SIDES.iter().zip(self.0) {
            let pages = &recording.pages;
            let index = Index {
                page_size: recording.about.page_size,
                regions: &pages.regions,
                runs: packed_runs(pages),
                workers: pages.workers.iter().map(|worker| worker.worker).collect(),
            };
            let _ = writeln!(
                data,
                "<script type=\"application/json\" id=\"{side}-index\">{}</script>",
                json_for_script(&index)
            );
            let step = shown_step(recording);
            let packed: Vec<String> = thread::scope(|scope| {
                let pack = |worker| scope.spawn(move || deflated(&classes(worker, step)));
                let tasks: Vec<_> = pages.workers.iter().map(pack).collect();
                tasks.into_iter().map(|task| task.join().unwrap_or_default()).collect()
            });
            for (at, packed) in packed.iter().enumerate() {
                let _ =
                    writeln!(data, "<script type=\"text/plain\" id=\"{side}-cells-{at}\">{packed}</script>");
            }
        }
        data
    }
}

/// The step at which the most pages were broken.
fn shown_step(recording: &Recording) -> u8 {
    let last = recording.steps.len().saturating_sub(1);
    let step = worst_step(recording).unwrap_or(last).min(LAST_STEP);
    u8::try_from(step).unwrap_or(u8::MAX - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "there are six classes")]
fn classes(worker: &WorkerPages, step: u8) -> Vec<u8> {
    worker.at_step(step).into_iter().map(|(state, content)| class(state, content) as u8).collect()
}

fn side(id: &'static str, name: &'static str, recording: &Recording) -> Side {
    let step = shown_step(recording);
    let mut sums = [0_u64; 6];
    for worker in &recording.pages.workers {
        for (state, content) in worker.at_step(step) {
            sums[class(state, content)] += 1;
        }
    }
    let workers = recording.pages.workers.len().max(1) as u64;
    let mean = |sum: u64| (sum + workers / 2) / workers;
    Side {
        id,
        name,
        step: recording.steps.get(usize::from(step)).map(|step| step.name.clone()).unwrap_or_default(),
        pages: recording.pages.len() as u64,
        counts: sums.iter().map(|sum| (mean(*sum), Bytes::of_pages(mean(*sum)).to_string())).collect(),
    }
}
