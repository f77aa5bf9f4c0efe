//! The tables of a capture, column by column.
//!
//! | table | one row for each | used by the reader |
//! | --- | --- | --- |
//! | `processes` | member of the family | no: repeats the manifest |
//! | `regions` | run of consecutive inherited pages | yes |
//! | `steps` | step and worker alive | no: repeats the manifest |
//! | `pages` | worker and inherited page; worker by worker, in page order | all but addresses and names |
//! | `transitions` | state that a page once broken or gone had before its last one; by worker, page, time | all but names |
//! | `fresh` | worker and range of pages made after the fork | yes |
//! | `breaks` | worker and page that was ever broken; by worker, page | all but addresses and names |
//! | `owners`, `writers`, `functions`, `frames` | entry that breaks refer to | all but paths and names |
//!
//! Names are dictionaries of strings, so that a query reads `state = 'broken'`.

use crate::family::PageState;
use crate::family::recording::{Content, NO_STEP, PageHistory, PageRun, Recording, WorkerPages};
use crate::units::PAGE_SIZE;
use arrow_array::types::{UInt8Type, UInt32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_schema::ArrowError;
use std::sync::Arc;

/// File name of the table of runs.
pub const REGIONS: &str = "regions.parquet";
/// File name of the table of inherited pages.
pub const PAGES: &str = "pages.parquet";
/// File name of the table of fresh pages.
pub const FRESH: &str = "fresh.parquet";
/// File name of the table of earlier states of pages; captures without it have none.
pub const TRANSITIONS: &str = "transitions.parquet";
/// File name of the table of breaks; captures without it have none.
pub const BREAKS: &str = "breaks.parquet";
/// File name of the table of owners.
pub const OWNERS: &str = "owners.parquet";
/// File name of the table of writers.
pub const BREAK_WRITERS: &str = "writers.parquet";
/// File name of the table of functions.
pub const FUNCTIONS: &str = "functions.parquet";
/// File name of the table of calls under way.
pub const FRAMES: &str = "frames.parquet";
/// File name of the table of processes.
pub const PROCESSES: &str = "processes.parquet";
/// File name of the table of steps.
pub const STEPS: &str = "steps.parquet";

/// Values of `pages.state`.
pub const STATES: [&str; 3] = ["shared", "broken", "gone"];
/// Values of `pages.broken_by`; null where nobody broke the page.
pub const WRITERS: [&str; 3] = ["worker", "zygote", "both"];
/// Values of `pages.content`; null where the bytes were not compared.
pub const CONTENTS: [&str; 2] = ["ghost", "differs"];

type Table = Result<RecordBatch, ArrowError>;

/// Columns: `region`, `address` (bytes), `pages`.
pub fn regions(pages: &PageHistory) -> Table {
    let names: Result<DictionaryArray<UInt32Type>, ArrowError> =
        dictionary32(&pages.regions, pages.runs.iter().map(|run| (run.region, 1)));
    RecordBatch::try_from_iter([
        ("region", Arc::new(names?) as ArrayRef),
        (
            "address",
            Arc::new(UInt64Array::from_iter_values(pages.runs.iter().map(|run| run.first * PAGE_SIZE))),
        ),
        ("pages", Arc::new(UInt32Array::from_iter_values(pages.runs.iter().map(|run| run.len)))),
    ])
}

/// Columns: `address` (bytes), `worker`, `region`, `state`, `broken_by`, `content`, `step` (name),
/// `step_index`, `bytes_changed`.
pub fn pages(history: &PageHistory, worker: &WorkerPages, step_names: &[String]) -> Table {
    let cells = &worker.cells;
    let addresses =
        history.runs.iter().flat_map(|run| (run.first..).take(run.len as usize).map(|page| page * PAGE_SIZE));
    let regions = dictionary32(
        &history.regions,
        history.runs.iter().map(|run: &PageRun| (run.region, run.len as usize)),
    )?;
    let steps = cells.iter().map(|cell| (cell.step != NO_STEP).then_some(cell.step));
    let named = steps.clone().map(|step| step.filter(|&step| usize::from(step) < step_names.len()));
    let step_names: Vec<&str> = step_names.iter().take(usize::from(NO_STEP)).map(String::as_str).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("address", Arc::new(UInt64Array::from_iter_values(addresses)) as ArrayRef, false),
        ("worker", Arc::new(UInt32Array::from_value(worker.worker, cells.len())), false),
        ("region", Arc::new(regions), false),
        ("state", dictionary8(&STATES, cells.iter().map(|cell| Some(state_key(cell.state))))?, false),
        ("broken_by", dictionary8(&WRITERS, cells.iter().map(|cell| writer_key(cell.state)))?, true),
        ("content", dictionary8(&CONTENTS, cells.iter().map(|cell| content_key(cell.content)))?, true),
        ("step", dictionary8(&step_names, named)?, true),
        ("step_index", Arc::new(steps.collect::<UInt8Array>()), true),
        (
            "bytes_changed",
            Arc::new(UInt16Array::from_iter_values(cells.iter().map(|cell| cell.bytes_changed))),
            false,
        ),
    ])
}

/// Columns: `address` (bytes), `worker`, `until` (name of the last step at which the page looked so),
/// `until_index`, `state`, `broken_by`, `content`.
pub fn transitions(history: &PageHistory, step_names: &[String]) -> Table {
    let addresses: Vec<u64> = history
        .runs
        .iter()
        .flat_map(|run| (run.first..).take(run.len as usize).map(|page| page * PAGE_SIZE))
        .collect();
    let address = |page: u32| addresses.get(page as usize).copied().unwrap_or_default();
    let rows = || {
        history
            .workers
            .iter()
            .flat_map(|worker| worker.earlier.iter().map(|earlier| (worker.worker, earlier)))
    };
    let step_names: Vec<&str> = step_names.iter().take(usize::from(NO_STEP)).map(String::as_str).collect();
    let named =
        rows().map(|(_, earlier)| Some(earlier.until).filter(|&step| usize::from(step) < step_names.len()));
    RecordBatch::try_from_iter_with_nullable([
        (
            "address",
            Arc::new(UInt64Array::from_iter_values(rows().map(|(_, earlier)| address(earlier.page))))
                as ArrayRef,
            false,
        ),
        ("worker", Arc::new(UInt32Array::from_iter_values(rows().map(|(worker, _)| worker))), false),
        ("until", dictionary8(&step_names, named)?, true),
        (
            "until_index",
            Arc::new(UInt8Array::from_iter_values(rows().map(|(_, earlier)| earlier.until))),
            false,
        ),
        ("state", dictionary8(&STATES, rows().map(|(_, earlier)| Some(state_key(earlier.state))))?, false),
        ("broken_by", dictionary8(&WRITERS, rows().map(|(_, earlier)| writer_key(earlier.state)))?, true),
        ("content", dictionary8(&CONTENTS, rows().map(|(_, earlier)| content_key(earlier.content)))?, true),
    ])
}

/// Columns: `address` (bytes), `pages`, `worker`.
pub fn fresh(history: &PageHistory) -> Table {
    let rows =
        || history.workers.iter().flat_map(|worker| worker.fresh.iter().map(|range| (worker.worker, range)));
    RecordBatch::try_from_iter([
        (
            "address",
            Arc::new(UInt64Array::from_iter_values(rows().map(|(_, range)| range.0 * PAGE_SIZE))) as ArrayRef,
        ),
        ("pages", Arc::new(UInt32Array::from_iter_values(rows().map(|(_, range)| range.1)))),
        ("worker", Arc::new(UInt32Array::from_iter_values(rows().map(|(worker, _)| worker)))),
    ])
}

/// Columns: `role`, `worker`, `pid`, `fate`, `private_pages`, and the ledger of the last step.
pub fn processes(recording: &Recording) -> Table {
    let zygote = (recording.zygote.pid, None, None);
    let workers =
        recording.workers.iter().map(|worker| (worker.pid, Some(worker.worker), Some(worker.fate.kind())));
    let rows: Vec<_> = std::iter::once(zygote).chain(workers).collect();
    let shares = recording.steps.last().map_or(&[][..], |step| &step.ledger.shares);
    let share = |pid: u32| shares.iter().find(|share| share.pid == pid);
    RecordBatch::try_from_iter_with_nullable([
        (
            "role",
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|row| if row.1.is_some() { "worker" } else { "zygote" }),
            )) as ArrayRef,
            false,
        ),
        ("worker", Arc::new(rows.iter().map(|row| row.1).collect::<UInt32Array>()), true),
        ("pid", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.0))), false),
        ("fate", Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>()), true),
        (
            "private_pages",
            Arc::new(rows.iter().map(|row| share(row.0).map(|s| s.private_pages)).collect::<UInt64Array>()),
            true,
        ),
        (
            "unique_frames",
            Arc::new(rows.iter().map(|row| share(row.0).map(|s| s.unique_frames)).collect::<UInt64Array>()),
            true,
        ),
        (
            "proportional_frames",
            Arc::new(
                rows.iter().map(|row| share(row.0).map(|s| s.proportional_frames)).collect::<Float64Array>(),
            ),
            true,
        ),
        (
            "page_table_bytes",
            Arc::new(
                rows.iter().map(|row| share(row.0).map(|s| s.page_table_bytes)).collect::<UInt64Array>(),
            ),
            true,
        ),
    ])
}

/// Columns: `step_index`, `step`, `requests`, `seconds`, `worker`, `pid`, and the counts of
/// [`crate::family::recording::WorkerStep`] in pages.
pub fn steps(recording: &Recording) -> Table {
    let rows: Vec<_> = (0_u32..)
        .zip(&recording.steps)
        .flat_map(|(index, step)| step.workers.iter().map(move |worker| (index, step, worker)))
        .collect();
    let count = |of: fn(&crate::family::recording::WorkerStep) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| of(row.2))))
    };
    RecordBatch::try_from_iter_with_nullable([
        (
            "step_index",
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.0))) as ArrayRef,
            false,
        ),
        ("step", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1.name))), false),
        ("requests", Arc::new(rows.iter().map(|row| row.1.requests).collect::<UInt64Array>()), true),
        ("seconds", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1.seconds))), false),
        ("worker", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.2.worker))), false),
        ("pid", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.2.pid))), false),
        ("inherited", count(|w| w.inherited), false),
        ("broken", count(|w| w.broken), false),
        ("broken_by_worker", count(|w| w.broken_by_worker), false),
        ("broken_by_zygote", count(|w| w.broken_by_zygote), false),
        ("ghost", count(|w| w.ghost), false),
        ("uncompared", count(|w| w.uncompared), false),
        ("ghost_zygote_only", count(|w| w.ghost_zygote_only), false),
        ("uncompared_zygote_only", count(|w| w.uncompared_zygote_only), false),
        ("fresh", count(|w| w.fresh), false),
        ("gone", count(|w| w.gone), false),
        ("bytes_changed", count(|w| w.bytes_changed), false),
    ])
}

const fn state_key(state: PageState) -> u8 {
    match state {
        PageState::Shared => 0,
        PageState::Gone => 2,
        _ => 1,
    }
}

const fn writer_key(state: PageState) -> Option<u8> {
    match state {
        PageState::BrokenByWorker => Some(0),
        PageState::BrokenByZygote => Some(1),
        PageState::BrokenByBoth => Some(2),
        PageState::Shared | PageState::Gone => None,
    }
}

const fn content_key(content: Content) -> Option<u8> {
    match content {
        Content::NotCompared => None,
        Content::Equal => Some(0),
        Content::Differs => Some(1),
    }
}

pub(super) fn dictionary8(
    names: &[&str],
    keys: impl Iterator<Item = Option<u8>>,
) -> Result<ArrayRef, ArrowError> {
    let names = Arc::new(StringArray::from_iter_values(names));
    Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(keys.collect(), names)?))
}

/// Repeats each name as often as its run is long.
fn dictionary32(
    names: &[String],
    runs: impl Iterator<Item = (u32, usize)>,
) -> Result<DictionaryArray<UInt32Type>, ArrowError> {
    let keys = runs.flat_map(|(name, times)| std::iter::repeat_n(name, times));
    let names = Arc::new(StringArray::from_iter_values(names));
    DictionaryArray::try_new(UInt32Array::from_iter_values(keys), names)
}
