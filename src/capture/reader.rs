//! Reads a capture back, exactly as it was recorded.

use super::breaks;
use super::decode::Columns;
use super::file::Table;
use super::manifest::Manifest;
use super::tables;
use crate::error::Result;
use crate::family::recording::{PageCell, PageHistory, PageRun, Recording, Transition, WorkerPages};
use crate::units::PAGE_SIZE;
use std::path::Path;
use std::thread;

/// Reads the capture folder `path`.
///
/// Takes some 10 ms for a million pages. A capture that was cut short, damaged, or written by a
/// newer forkprint is one error that says so.
pub fn read(path: &Path) -> Result<Recording> {
    let manifest = Manifest::read(path)?;
    let runs = read_runs(path, &manifest)?;
    let mut workers = read_cells(path, &manifest, &runs)?;
    read_fresh(path, &manifest, &mut workers)?;
    read_transitions(path, &manifest, &runs, &mut workers)?;
    let breaks = breaks::read(path, &manifest, &runs)?;
    let pages = PageHistory { regions: manifest.region_names, runs, workers };
    Ok(Recording { pages, breaks, ..manifest.recording })
}

fn read_runs(folder: &Path, manifest: &Manifest) -> Result<Vec<PageRun>> {
    let table = Table::open(folder, manifest, tables::REGIONS)?;
    let mut runs = Vec::with_capacity(table.rows());
    for batch in table.batches(None, &["region", "address", "pages"])? {
        let batch = batch?;
        let columns = Columns(&batch);
        let regions = columns.names("region", &manifest.region_names).map_err(|why| table.damaged(why))?;
        let addresses = columns.u64s("address").map_err(|why| table.damaged(why))?;
        let lengths = columns.u32s("pages").map_err(|why| table.damaged(why))?;
        for ((region, address), &len) in regions.into_iter().zip(addresses).zip(lengths) {
            runs.push(PageRun { first: address / PAGE_SIZE, len, region });
        }
    }
    let ordered =
        runs.windows(2).all(|pair| pair[0].first.saturating_add(u64::from(pair[0].len)) <= pair[1].first);
    if !ordered {
        return Err(table.damaged("its runs overlap or are out of order"));
    }
    Ok(runs)
}

/// Reads the cells, the row groups side by side.
fn read_cells(folder: &Path, manifest: &Manifest, runs: &[PageRun]) -> Result<Vec<WorkerPages>> {
    if manifest.page_workers.is_empty() {
        return Ok(Vec::new());
    }
    let table = Table::open(folder, manifest, tables::PAGES)?;
    let pages: usize = runs.iter().map(|run| run.len as usize).sum();
    if table.rows() != pages * manifest.page_workers.len() {
        return Err(table.damaged(format!(
            "it holds {} rows for {} workers of {pages} pages",
            table.rows(),
            manifest.page_workers.len()
        )));
    }
    let groups = table.groups();
    let decoded: Vec<Result<Vec<PageCell>>> = thread::scope(|scope| {
        let table = &table;
        let tasks: Vec<_> = (0..groups).map(|group| scope.spawn(move || read_group(table, group))).collect();
        let lost = || Err(table.damaged("it could not be decoded"));
        tasks.into_iter().map(|task| task.join().unwrap_or_else(|_| lost())).collect()
    });
    let decoded = decoded.into_iter().collect::<Result<Vec<_>>>()?;
    let one_group_each =
        decoded.len() == manifest.page_workers.len() && decoded.iter().all(|cells| cells.len() == pages);
    let cells: Vec<Vec<PageCell>> = if one_group_each {
        decoded
    } else {
        let all: Vec<PageCell> = decoded.into_iter().flatten().collect();
        (0..manifest.page_workers.len())
            .map(|index| all[index * pages..(index + 1) * pages].to_vec())
            .collect()
    };
    Ok(manifest
        .page_workers
        .iter()
        .zip(cells)
        .map(|(&worker, cells)| WorkerPages { worker, cells, ..WorkerPages::default() })
        .collect())
}

fn read_group(table: &Table, group: usize) -> Result<Vec<PageCell>> {
    let mut cells = Vec::with_capacity(table.group_rows(group));
    for batch in
        table.batches(Some(group), &["state", "broken_by", "content", "step_index", "bytes_changed"])?
    {
        Columns(&batch?).append_cells(&mut cells).map_err(|why| table.damaged(why))?;
    }
    Ok(cells)
}

fn read_fresh(folder: &Path, manifest: &Manifest, workers: &mut [WorkerPages]) -> Result<()> {
    let table = Table::open(folder, manifest, tables::FRESH)?;
    let mut current = 0;
    for batch in table.batches(None, &["address", "pages", "worker"])? {
        let batch = batch?;
        let columns = Columns(&batch);
        let addresses = columns.u64s("address").map_err(|why| table.damaged(why))?;
        let lengths = columns.u32s("pages").map_err(|why| table.damaged(why))?;
        let owners = columns.u32s("worker").map_err(|why| table.damaged(why))?;
        for ((&address, &len), &owner) in addresses.iter().zip(lengths).zip(owners) {
            let worker = owner_of_row(workers, &mut current, owner).map_err(|why| table.damaged(why))?;
            worker.fresh.push((address / PAGE_SIZE, len));
        }
    }
    Ok(())
}

/// Reads what pages looked like before; captures of the first version do not say.
fn read_transitions(
    folder: &Path,
    manifest: &Manifest,
    runs: &[PageRun],
    workers: &mut [WorkerPages],
) -> Result<()> {
    if !manifest.tables.contains_key(tables::TRANSITIONS) {
        return Ok(());
    }
    let table = Table::open(folder, manifest, tables::TRANSITIONS)?;
    let starts = first_indices(runs);
    let mut current = 0;
    for batch in
        table.batches(None, &["address", "worker", "until_index", "state", "broken_by", "content"])?
    {
        let batch = batch?;
        let columns = Columns(&batch);
        let addresses = columns.u64s("address").map_err(|why| table.damaged(why))?;
        let owners = columns.u32s("worker").map_err(|why| table.damaged(why))?;
        let rows = columns.transitions().map_err(|why| table.damaged(why))?;
        for ((&address, &owner), row) in addresses.iter().zip(owners).zip(rows) {
            let worker = owner_of_row(workers, &mut current, owner).map_err(|why| table.damaged(why))?;
            let page = index_of(runs, &starts, address / PAGE_SIZE)
                .ok_or_else(|| table.damaged(format!("{address:#x} is no inherited page")))?;
            let PageCell { state, content, step: until, .. } = row;
            let in_order = worker.earlier.last().is_none_or(|last| (last.page, last.until) < (page, until));
            if !in_order {
                return Err(table.damaged("its rows are out of order"));
            }
            worker.earlier.push(Transition { page, until, state, content });
        }
    }
    Ok(())
}

/// The worker of a row; rows stand worker by worker, from `current` on.
fn owner_of_row<'a>(
    workers: &'a mut [WorkerPages],
    current: &mut usize,
    owner: u32,
) -> std::result::Result<&'a mut WorkerPages, String> {
    while workers.get(*current).is_some_and(|worker| worker.worker != owner) {
        *current += 1;
    }
    workers.get_mut(*current).ok_or_else(|| format!("it names worker {owner}, which has no pages"))
}

/// The index of the first page of each run.
fn first_indices(runs: &[PageRun]) -> Vec<u32> {
    runs.iter()
        .scan(0_u32, |next, run| {
            let first = *next;
            *next = next.saturating_add(run.len);
            Some(first)
        })
        .collect()
}

fn index_of(runs: &[PageRun], starts: &[u32], page: u64) -> Option<u32> {
    let at = runs.partition_point(|run| run.first <= page).checked_sub(1)?;
    let offset = u32::try_from(page - runs[at].first).ok().filter(|&offset| offset < runs[at].len)?;
    Some(starts[at] + offset)
}
