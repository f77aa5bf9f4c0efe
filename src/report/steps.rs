//! The table of steps for the terminal.

use super::printable;
use super::summary::{Split, Summary, clipped, column_percent};
use crate::family::recording::{Fate, Recording, Step, WorkerStep};
use crate::units::Bytes;
use std::fmt::Write;

/// Workers that get a column of their own.
const MOST_WORKERS: usize = 4;
const MOST_NAME: usize = 20;
/// Width of a column of sizes.
const SIZE: usize = 11;
/// Width of the column of ghosts.
const GHOST: usize = 7;
const NOTHING: &str = "–";

/// Columns of broken pages.
enum Broken {
    /// One for each of these workers.
    OfEach(Vec<u32>),
    /// These of least, mean and most.
    Spread(&'static [&'static str]),
}

/// Which columns the table has.
pub(super) struct StepTable {
    name_width: usize,
    broken: Broken,
    /// Pages that only the zygote wrote are a notable part of the broken ones.
    zygote: bool,
    /// Pages are gone at some step.
    gone: bool,
    /// Steps that raised in a worker.
    failed: Vec<String>,
}

impl StepTable {
    /// The table for a terminal of `width` columns.
    pub fn of(recording: &Recording, width: usize) -> Self {
        let steps = &recording.steps;
        let failed: Vec<String> = recording
            .workers
            .iter()
            .filter_map(|worker| match &worker.fate {
                Fate::Failed { step, .. } => Some(step.clone()),
                _ => None,
            })
            .collect();
        let mut table = Self {
            name_width: 0,
            broken: Broken::Spread(&[]),
            zygote: Summary::of(recording)
                .is_some_and(|Summary { split, .. }| split.zygote > 0 && split.zygote * 20 >= split.broken()),
            gone: steps.iter().flat_map(|step| &step.workers).any(|worker| worker.gone > 0),
            failed,
        };
        let longest = steps.iter().map(|step| table.name(step).chars().count()).max().unwrap_or(0);
        table.name_width = longest.max(4);
        let free = width.saturating_sub(
            table.name_width + GHOST + SIZE * (1 + usize::from(table.zygote) + usize::from(table.gone)),
        );
        let most = steps.iter().max_by_key(|step| step.workers.len());
        let workers: Vec<u32> = most.into_iter().flat_map(|step| &step.workers).map(|w| w.worker).collect();
        table.broken = match free / SIZE {
            columns if workers.len() <= columns.min(MOST_WORKERS) => Broken::OfEach(workers),
            3.. => Broken::Spread(&["least", "mean", "most"]),
            2 => Broken::Spread(&["mean", "most"]),
            _ => Broken::Spread(&["mean"]),
        };
        table
    }

    fn name(&self, step: &Step) -> String {
        let failed = if self.failed.contains(&step.name) { " (failed)" } else { "" };
        clipped(&printable(&step.name), MOST_NAME - failed.len()) + failed
    }

    /// The names of the columns.
    pub fn head(&self) -> String {
        let names: Vec<String> = match &self.broken {
            Broken::OfEach(workers) => workers.iter().map(|worker| format!("worker {worker}")).collect(),
            Broken::Spread(names) => names.iter().map(|&name| name.to_owned()).collect(),
        };
        self.line("step", &names, "ghost", ["by zygote", "gone", "fresh"].map(str::to_owned))
    }

    /// One step.
    pub fn row(&self, step: &Step) -> String {
        let split = Split::of_step(step);
        let ghost = match split.compared() {
            0 => NOTHING.into(),
            compared => column_percent(split.ghost, compared),
        };
        let mean = |of: fn(&WorkerStep) -> u64| {
            let sum: u64 = step.workers.iter().map(of).sum();
            size(sum.checked_div(step.workers.len() as u64))
        };
        let rest = [
            mean(|worker| Split::of(worker).zygote),
            mean(|worker| worker.gone),
            mean(|worker| worker.fresh),
        ];
        self.line(&self.name(step), &self.broken(step), &ghost, rest)
    }

    fn broken(&self, step: &Step) -> Vec<String> {
        let names = match &self.broken {
            Broken::Spread(names) => names,
            Broken::OfEach(workers) => {
                let of = |index: &u32| step.workers.iter().find(|worker| worker.worker == *index);
                return workers.iter().map(|index| size(of(index).map(|worker| worker.broken))).collect();
            }
        };
        let broken = || step.workers.iter().map(|worker| worker.broken);
        let value = |name: &&str| match *name {
            "least" => broken().min(),
            "most" => broken().max(),
            _ => broken().sum::<u64>().checked_div(step.workers.len() as u64),
        };
        names.iter().map(|name| size(value(name))).collect()
    }

    fn line(&self, name: &str, broken: &[String], ghost: &str, [zygote, gone, fresh]: [String; 3]) -> String {
        let padding = self.name_width.saturating_sub(name.chars().count());
        let mut line = name.to_owned() + &" ".repeat(padding);
        for cell in broken {
            let _ = write!(line, " {cell:>10}");
        }
        let _ = write!(line, " {ghost:>6}");
        for (cell, shown) in [(zygote, self.zygote), (gone, self.gone), (fresh, true)] {
            if shown {
                let _ = write!(line, " {cell:>10}");
            }
        }
        line + "\n"
    }
}

fn size(pages: Option<u64>) -> String {
    pages.map_or_else(|| NOTHING.to_owned(), |pages| Bytes::of_pages(pages).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::recording::WorkerInfo;
    use crate::family::synthetic::{Shape, recording};

    fn lines(recording: &Recording, width: usize) -> Vec<String> {
        let table = StepTable::of(recording, width);
        std::iter::once(table.head()).chain(recording.steps.iter().map(|step| table.row(step))).collect()
    }

    #[test]
    fn lines_are_equally_long_and_fit_the_terminal() {
        for workers in [1, 2, 4, 40] {
            let mut recording = recording(Shape { pages: 3000, workers, steps: 6, server: false, seed: 4 });
            recording.steps[2].name = "a very long name of a step".into();
            for width in [60, 80, 120] {
                let lines = lines(&recording, width);
                let lengths: Vec<usize> = lines.iter().map(|line| line.trim_end().chars().count()).collect();
                assert!(lengths.iter().all(|&length| length == lengths[0] && length <= width), "{lines:?}");
            }
        }
    }

    #[test]
    fn columns_appear_where_there_is_something_to_say() {
        let worker = |zygote, gone| WorkerStep {
            inherited: 1000,
            broken: 100 + zygote,
            broken_by_worker: 100,
            broken_by_zygote: zygote,
            gone,
            ..WorkerStep::default()
        };
        let with = |zygote, gone| Recording {
            steps: vec![Step { name: "load".into(), workers: vec![worker(zygote, gone)], ..Step::default() }],
            workers: vec![WorkerInfo {
                worker: 0,
                pid: 1,
                fate: Fate::Failed { message: "no".into(), step: "load".into() },
            }],
            ..Recording::default()
        };
        let plain = lines(&with(3, 0), 80);
        assert!(!plain[0].contains("zygote") && !plain[0].contains("gone"));
        assert!(plain[1].starts_with("load (failed)"));
        let full = lines(&with(6, 1), 80);
        assert!(
            full[0].contains("by zygote       gone") && full[1].contains("24.0 KiB    4.0 KiB"),
            "{full:?}"
        );
    }
}
