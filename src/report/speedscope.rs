//! Flame graphs of broken bytes for <https://www.speedscope.app>, in its own file format
//! (`https://www.speedscope.app/file-format-schema.json`).

use super::stacks::{Key, Level, label};
use super::summary::counted;
use crate::family::breaks::{Break, Breaks};
use crate::family::recording::Recording;
use crate::units::PAGE_SIZE;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Serialize)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Indices of frames, outermost first.
    samples: Vec<Vec<usize>>,
    /// Bytes of each sample.
    weights: Vec<u64>,
}

/// One profile of all workers and, of several, one of each. Samples stand in the order of the writes.
pub fn render(recording: &Recording) -> String {
    let breaks = &recording.breaks;
    let mut frames = Frames { breaks, index: HashMap::new(), table: Vec::new() };
    let workers: Vec<&[Break]> = breaks.rows.chunk_by(|one, next| one.worker == next.worker).collect();
    let mut profiles =
        vec![profile(format!("all, {}", counted(workers.len(), "worker")), &breaks.rows, &mut frames)];
    if workers.len() > 1 {
        let one = |rows: &&[Break]| format!("worker {}", rows.first().map_or(0, |row| row.worker));
        profiles.extend(workers.iter().map(|rows| profile(one(rows), rows, &mut frames)));
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: format!("{}, broken pages", recording.about.title),
        exporter: format!("forkprint@{}", recording.about.forkprint_version),
        active_profile_index: 0,
        shared: Shared { frames: frames.table },
        profiles,
    };
    // Strings and numbers always have a JSON form.
    serde_json::to_string(&file).unwrap_or_default() + "\n"
}

/// Consecutive writes of one stack are one sample.
fn profile(name: String, rows: &[Break], frames: &mut Frames) -> Profile {
    let mut ordered: Vec<(u64, Key)> =
        rows.iter().map(|row| (row.nanos, Key::of(frames.breaks, row))).collect();
    ordered.sort_by_key(|(nanos, _)| *nanos);
    let runs: Vec<&[(u64, Key)]> = ordered.chunk_by(|one, next| one.1 == next.1).collect();
    Profile {
        kind: "sampled",
        name,
        unit: "bytes",
        start_value: 0,
        end_value: rows.len() as u64 * PAGE_SIZE,
        samples: runs.iter().map(|run| frames.sample(run[0].1)).collect(),
        weights: runs.iter().map(|run| run.len() as u64 * PAGE_SIZE).collect(),
    }
}

/// The frames that profiles share.
struct Frames<'a> {
    breaks: &'a Breaks,
    index: HashMap<Level, usize>,
    table: Vec<Frame>,
}

impl Frames<'_> {
    fn sample(&mut self, key: Key) -> Vec<usize> {
        key.levels(self.breaks).into_iter().map(|level| self.index_of(level)).collect()
    }

    fn index_of(&mut self, level: Level) -> usize {
        *self.index.entry(level).or_insert_with(|| {
            let name = label(self.breaks, level, false).into_owned();
            let place = match level {
                Level::Call(function, line) => {
                    self.breaks.functions.get(function as usize).map(|function| (function.file.clone(), line))
                }
                _ => None,
            };
            let (file, line) = place.unzip();
            let line = line.filter(|&line| line > 0);
            self.table.push(Frame { name, file, line });
            self.table.len() - 1
        })
    }
}
