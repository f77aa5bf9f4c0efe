//! One table for each program: what a worker has for itself at the end, where, and how long it took.

use super::to_number;
use crate::report::matrix::{Cell, Matrix, Program};
use crate::report::summary::grouped;
use crate::units::Bytes;
use serde::Serialize;
use std::collections::BTreeSet;

/// One program.
#[derive(Serialize)]
pub(super) struct Detail {
    name: String,
    description: String,
    /// Regions in which any policy has private pages.
    regions: Vec<String>,
    rows: Vec<Row>,
}

/// One policy.
#[derive(Serialize)]
struct Row {
    policy: String,
    is_best: bool,
    broken: String,
    fresh: String,
    changed: String,
    amplification: String,
    /// Time of all steps, against the fastest policy of the program.
    time: String,
    /// Measured and predicted pages of each region.
    regions: Vec<(String, String)>,
}

pub(super) fn of(matrix: &Matrix) -> Vec<Detail> {
    matrix
        .programs
        .iter()
        .filter(|program| !program.steps.is_empty())
        .map(|one| detail(matrix, one))
        .collect()
}

fn detail(matrix: &Matrix, program: &Program) -> Detail {
    let mut cells: Vec<&Cell> = matrix.cells.iter().filter(|cell| cell.program == program.name).collect();
    cells.sort_by_key(|cell| cell.steps.last().map(|step| step.private));
    let regions: BTreeSet<&str> = cells
        .iter()
        .filter_map(|cell| cell.steps.last())
        .flat_map(|step| &step.regions)
        .filter(|region| region.broken + region.fresh > 0)
        .map(|region| region.name.as_str())
        .collect();
    let fastest = cells.iter().map(|cell| time(cell)).filter(|time| *time > 0).min().unwrap_or(0);
    let best = matrix.best(program, program.steps.len() - 1).map(|best| best.policy.name.clone());
    Detail {
        name: program.name.clone(),
        description: program.description.clone(),
        rows: cells.iter().filter_map(|cell| row(cell, &regions, fastest, best.as_deref())).collect(),
        regions: regions.into_iter().map(str::to_owned).collect(),
    }
}

fn row(cell: &Cell, regions: &BTreeSet<&str>, fastest: u64, best: Option<&str>) -> Option<Row> {
    let step = cell.steps.last()?;
    let region = |name: &&str| {
        let found = step.regions.iter().find(|region| region.name == **name);
        found.map_or((String::new(), String::new()), |region| {
            let predicted = region.predicted.map(super::whole).unwrap_or_default();
            (grouped(region.broken + region.fresh), predicted)
        })
    };
    Some(Row {
        policy: cell.policy.clone(),
        is_best: best == Some(cell.policy.as_str()),
        broken: grouped(step.broken),
        fresh: grouped(step.fresh),
        changed: Bytes(step.bytes_changed).to_string(),
        amplification: step.amplification.map_or("–".into(), |times| format!("{} ×", super::whole(times))),
        time: if fastest == 0 {
            "–".into()
        } else {
            format!("{:.1} ×", to_number(time(cell)) / to_number(fastest))
        },
        regions: regions.iter().map(region).collect(),
    })
}

/// Nanoseconds of all steps.
fn time(cell: &Cell) -> u64 {
    cell.steps.iter().map(|step| step.nanoseconds).sum()
}
