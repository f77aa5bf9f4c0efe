//! The sections below the map: charts with the tables behind them, findings and evidence.

use super::super::charts::{self, Line, Row};
use super::super::palette::Role;
use super::super::summary::{Split, Summary, counted, grouped, nothing_was_run, shown_percent};
use super::super::text::fate;
use super::super::verdict::rest_of;
use super::evidence::{self, date};
use super::explained;
use crate::error::Result;
use crate::family::recording::{Fate, Recording, Step, step_number};
use crate::units::Bytes;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;

/// Rows a bar chart shows before the rest is summed up.
const MOST_ROWS: usize = 10;

/// Everything the template shows except the map.
pub(super) fn context(recording: &Recording) -> Result<Value> {
    let last = recording.steps.iter().rev().find(|step| !step.workers.is_empty());
    let workers = last.map_or(0, |step| step.workers.len());
    let summary = Summary::of(recording);
    Ok(context! {
        facts => facts(recording),
        share => summary.as_ref().map(share_bar),
        stats => summary.as_ref().map(stats),
        shown_step => summary.as_ref().map(|summary| summary.step.clone()),
        later => summary.as_ref().is_some_and(|summary| summary.end.later),
        by_step => by_step(&recording.steps)?,
        by_region => summary.as_ref().map(|summary| by_region(recording, summary.index)).transpose()?,
        explained => explained::context(recording)?,
        ledger => last.map(ledger).transpose()?,
        erosion => erosion(&recording.steps)?,
        findings => Value::from(Serde(&recording.findings)),
        evidence => evidence::context(recording),
        workers,
        fates => recording.workers.iter().filter(|worker| worker.fate != Fate::Finished)
            .map(|worker| format!("Worker {} {}.", worker.worker, fate(&worker.fate))).collect::<Vec<_>>(),
    })
}

fn facts(recording: &Recording) -> String {
    let about = &recording.about;
    let workers = if nothing_was_run(recording) {
        "configuration only".to_owned()
    } else {
        counted(recording.workers.len(), "worker")
    };
    let parts = [about.runtime_shown(), workers, about.kernel.clone(), date(about.created_unix)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// The parts of what one worker inherited, in percent, for the bar under the verdict.
fn share_bar(summary: &Summary) -> Vec<Value> {
    let parts = [
        (Role::Shared, "still shared", summary.shared()),
        (Role::Ghost, "copied, still identical", summary.split.ghost),
        (Role::Differs, "copied, new data", summary.split.differs),
        (Role::Uncompared, "copied, not compared", summary.split.uncompared),
        (Role::Zygote, "written by the zygote", summary.split.zygote),
        (Role::Gone, "unmapped", summary.gone),
    ];
    let part = |(role, name, pages): (Role, &str, u64)| {
        context! {
            role => role.css_name(), name, percent => crate::units::percent(pages, summary.inherited),
            shown => shown_percent(pages, summary.inherited), size => Bytes::of_pages(summary.per_worker(pages)).to_string(),
        }
    };
    parts.into_iter().filter(|(_, _, pages)| *pages > 0).map(part).collect()
}

fn stats(summary: &Summary) -> Vec<Value> {
    let size = |pages| Bytes::of_pages(pages).to_string();
    let stat = |value: String, name: &str| context! { value, name };
    let ghosts = match summary.split.compared() {
        0 => "–".into(),
        compared => shown_percent(summary.split.ghost, compared),
    };
    let rest = match rest_of(&summary.split) {
        rest if rest.is_empty() => rest,
        rest => format!(" (the rest: {rest})"),
    };
    let base = format!(
        "of the {} that the workers copied and that were compared hold nothing new{rest}",
        size(summary.split.compared())
    );
    vec![
        stat(size(summary.per_worker(summary.split.broken())), "no longer shared, per worker"),
        stat(ghosts, &base),
        stat(size(summary.per_worker(summary.fresh)), "made after the fork, per worker"),
        stat(size(summary.distinct_frames), "held by the whole family"),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn parts(split: &Split) -> Vec<(Role, f64)> {
    let Split { ghost, differs, uncompared, zygote } = *split;
    vec![
        (Role::Ghost, ghost as f64),
        (Role::Differs, differs as f64),
        (Role::Uncompared, uncompared as f64),
        (Role::Zygote, zygote as f64),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn by_step(steps: &[Step]) -> Result<Value> {
    let rows: Vec<Row> = steps
        .iter()
        .filter(|step| !step.workers.is_empty())
        .map(|step| {
            let split = Split::of_step(step);
            Row {
                name: step.name.clone(),
                parts: parts(&split),
                track: step.workers.iter().map(|worker| worker.inherited).sum::<u64>() as f64,
                total: Bytes::of_pages(split.broken()).to_string(),
            }
        })
        .collect();
    let table: Vec<Value> = steps.iter().flat_map(|step| step.workers.iter().map(move |worker| {
        let split = Split::of(worker);
        context! {
            step => step.name.clone(), worker => worker.worker, broken => grouped(worker.broken), ghost => grouped(split.ghost), differs => grouped(split.differs),
            uncompared => grouped(split.uncompared), zygote => grouped(split.zygote), gone => grouped(worker.gone), fresh => grouped(worker.fresh),
            amplification => worker.amplification().map_or_else(|| "–".into(), |times| format!("{times:.0} ×")),
        }
    })).collect();
    let svg = charts::bars(
        "Broken pages by step",
        "Bytes no longer shared after each step, all workers together, against all they inherited.",
        &rows,
    )?;
    Ok(context! { svg => Value::from_safe_string(svg), rows => table, roles => used_roles(&rows) })
}

/// The key of a chart: the roles it shows, with their names.
fn used_roles(rows: &[Row]) -> Vec<Value> {
    let names = [
        (Role::Shared, "share of common pages"),
        (Role::Ghost, "identical"),
        (Role::Differs, "new data"),
        (Role::Uncompared, "not compared"),
        (Role::Zygote, "by the zygote"),
        (Role::Copies, "copies and own pages"),
        (Role::Fresh, "made after the fork"),
        (Role::PageTables, "page tables"),
    ];
    let used =
        |role: Role| rows.iter().any(|row| row.parts.iter().any(|part| part.0 == role && part.1 > 0.0));
    names
        .into_iter()
        .filter(|(role, _)| used(*role))
        .map(|(role, name)| context! { role => role.css_name(), name })
        .collect()
}

fn by_region(recording: &Recording, index: usize) -> Result<Value> {
    let step = &recording.steps[index];
    let classes = region_splits(recording, index);
    let mut regions: Vec<(&String, u64)> = step.regions.iter().map(|(name, &pages)| (name, pages)).collect();
    regions.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let (shown, rest) = regions.split_at(regions.len().min(MOST_ROWS));
    let mut rows: Vec<Row> = shown
        .iter()
        .map(|region| region_row(region.0.clone(), std::slice::from_ref(region), &classes))
        .collect();
    if !rest.is_empty() {
        rows.push(region_row(format!("{} more", rest.len()), rest, &classes));
    }
    let table: Vec<Value> = regions.iter().map(|(name, pages)| context! { name => (*name).clone(), pages => grouped(*pages), size => Bytes::of_pages(*pages).to_string() }).collect();
    let svg = charts::bars(
        "Broken pages by region",
        "Bytes no longer shared in each region, all workers together, against all that was inherited there.",
        &rows,
    )?;
    Ok(context! { svg => Value::from_safe_string(svg), rows => table, roles => used_roles(&rows) })
}

/// One row for regions with (name, broken pages); split only where the cells account for all of it.
#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn region_row(name: String, regions: &[(&String, u64)], classes: &BTreeMap<&str, (Split, u64)>) -> Row {
    let broken: u64 = regions.iter().map(|(_, pages)| pages).sum();
    let (mut split, mut whole) = (Split::default(), 0);
    for (part, pages) in regions.iter().filter_map(|(name, _)| classes.get(name.as_str())) {
        split = split.plus(*part);
        whole += pages;
    }
    let size = Bytes::of_pages(broken);
    if split.broken() == broken {
        Row {
            name,
            parts: parts(&split),
            track: whole as f64,
            total: format!("{size} · {}", shown_percent(broken, whole)),
        }
    } else {
        Row {
            name,
            parts: vec![(Role::Copies, broken as f64)],
            track: broken as f64,
            total: size.to_string(),
        }
    }
}

/// The split of each region after a step and its inherited pages, over all workers.
fn region_splits(recording: &Recording, index: usize) -> BTreeMap<&str, (Split, u64)> {
    let pages = &recording.pages;
    let seen: Vec<_> = pages.workers.iter().map(|worker| worker.at_step(step_number(index))).collect();
    let mut splits: BTreeMap<&str, (Split, u64)> = BTreeMap::new();
    let mut at = 0;
    for run in &pages.runs {
        let range = at..at + run.len as usize;
        at = range.end;
        let (split, whole) =
            splits.entry(pages.regions.get(run.region as usize).map_or("", String::as_str)).or_default();
        for &(state, content) in seen.iter().flat_map(|pages| pages.get(range.clone()).unwrap_or_default()) {
            *whole += 1;
            match super::map::class(state, content) {
                1 => split.ghost += 1,
                2 => split.differs += 1,
                3 => split.uncompared += 1,
                4 => split.zygote += 1,
                _ => {}
            }
        }
    }
    splits
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn ledger(step: &Step) -> Result<Value> {
    let ledger = &step.ledger;
    let page_size = crate::units::PAGE_SIZE as f64;
    let shares = ledger.shares.iter().enumerate().map(|(index, share)| {
        let worker = step.workers.iter().find(|worker| worker.pid == share.pid && index > 0);
        let fresh = worker.map_or(0, |worker| worker.fresh.min(share.unique_frames)) as f64 * page_size;
        let unique = share.unique_frames as f64 * page_size;
        let common = (share.proportional_frames * page_size - unique).max(0.0);
        let name = worker.map_or_else(
            || if index == 0 { "zygote".to_owned() } else { format!("process {}", share.pid) },
            |worker| format!("worker {}", worker.worker),
        );
        let parts = vec![
            (Role::Shared, common),
            (Role::Copies, unique - fresh),
            (Role::Fresh, fresh),
            (Role::PageTables, share.page_table_bytes as f64),
        ];
        let total: f64 = parts.iter().map(|part| part.1).sum();
        (share, Row { name, parts, track: 0.0, total: bytes(total).to_string() })
    });
    let (shares, mut rows): (Vec<_>, Vec<Row>) = shares.unzip();
    let table: Vec<Value> = shares.iter().zip(&rows).map(|(share, row)| context! {
        name => row.name.clone(), pid => share.pid, pss => bytes(share.proportional_frames * page_size).to_string(),
        uss => Bytes::of_pages(share.unique_frames).to_string(), rss => Bytes::of_pages(share.private_pages).to_string(), page_tables => Bytes(share.page_table_bytes).to_string(),
    }).collect();
    if rows.len() > MOST_ROWS + 3 {
        let hidden = rows.len() - MOST_ROWS;
        rows.truncate(MOST_ROWS);
        rows.push(Row {
            name: format!("{hidden} more"),
            parts: Vec::new(),
            track: 0.0,
            total: "in the table".into(),
        });
    }
    let alone: u64 = shares.iter().map(|share| share.private_pages).sum();
    let svg = charts::bars(
        "Who pays",
        "Memory that zygote and workers pay for: their part of common pages, their own pages, and page tables.",
        &rows,
    )?;
    Ok(context! {
        present => !shares.is_empty(), svg => Value::from_safe_string(svg), rows => table, roles => used_roles(&rows),
        distinct => Bytes::of_pages(ledger.distinct_frames).to_string(), page_tables => Bytes(ledger.page_table_bytes()).to_string(),
        alone => Bytes::of_pages(alone).to_string(), saved => shown_percent(alone.saturating_sub(ledger.distinct_frames), alone),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "memory sizes are positive and far below 2^63"
)]
fn bytes(value: f64) -> Bytes {
    Bytes(value.max(0.0).round() as u64)
}

/// One line for each worker and a thick one for their mean; nothing to see in a single step.
#[expect(clippy::cast_precision_loss, reason = "positions on an axis")]
fn erosion(steps: &[Step]) -> Result<Option<Value>> {
    let steps: Vec<&Step> = steps.iter().filter(|step| !step.workers.is_empty()).collect();
    if steps.len() < 2 {
        return Ok(None);
    }
    let by_requests = steps.iter().all(|step| step.requests.is_some());
    let at = |index: usize| match steps[index].requests {
        Some(requests) if by_requests => (requests as f64 + 1.0).log10(),
        _ => index as f64,
    };
    let page = crate::units::PAGE_SIZE as f64;
    let mut workers: Vec<u32> =
        steps.iter().flat_map(|step| step.workers.iter().map(|worker| worker.worker)).collect();
    workers.sort_unstable();
    workers.dedup();
    let line = |worker: u32| Line {
        points: steps
            .iter()
            .enumerate()
            .filter_map(|(index, step)| {
                step.workers.iter().find(|w| w.worker == worker).map(|w| (at(index), w.broken as f64 * page))
            })
            .collect(),
        emphasis: false,
    };
    let mean = Line {
        points: steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let sum: u64 = step.workers.iter().map(|worker| worker.broken).sum();
                (at(index), sum as f64 * page / step.workers.len() as f64)
            })
            .collect(),
        emphasis: true,
    };
    let lines: Vec<Line> = workers.into_iter().map(line).chain([mean]).collect();
    let ticks: Vec<(f64, String)> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            (at(index), step.requests.filter(|_| by_requests).map_or_else(|| step.name.clone(), grouped))
        })
        .collect();
    let svg = charts::lines(
        "Erosion",
        "Bytes no longer shared for each worker over its age; the thick line is the mean.",
        &lines,
        &ticks,
        |value| bytes(value).to_string(),
    )?;
    Ok(Some(context! { svg => Value::from_safe_string(svg), by_requests, many => lines.len() > 2 }))
}
