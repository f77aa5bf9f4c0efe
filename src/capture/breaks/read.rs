//! Reads breaks back, and refuses indices that lead nowhere.

use crate::capture::decode::Columns;
use crate::capture::file::Table;
use crate::capture::manifest::Manifest;
use crate::capture::tables::{BREAK_WRITERS, BREAKS, FRAMES, FUNCTIONS, OWNERS};
use crate::error::Result;
use crate::family::breaks::{Break, Breaks, Flags, Frame, Function, NONE, Owner, Writer};
use crate::family::cause::Cause;
use crate::family::recording::PageRun;
use std::path::Path;

/// Reads the breaks of a capture; captures without their tables have none.
pub fn read(folder: &Path, manifest: &Manifest, runs: &[PageRun]) -> Result<Breaks> {
    if !manifest.tables.contains_key(BREAKS) {
        return Ok(Breaks::default());
    }
    let open = |name| Table::open(folder, manifest, name);
    let mut breaks = Breaks {
        rows: Vec::new(),
        types: manifest.type_names.clone(),
        fields: manifest.field_names.clone(),
        owners: decoded(&open(OWNERS)?, &["parent", "label"], owners)?,
        writers: decoded(&open(BREAK_WRITERS)?, &["writer", "library"], writers)?,
        functions: decoded(&open(FUNCTIONS)?, &["function", "file", "first_line"], functions)?,
        frames: Vec::new(),
    };
    let functions = breaks.functions.len();
    breaks.frames = decoded(&open(FRAMES)?, &["parent", "function_index", "line"], |columns, before| {
        frames(columns, before, functions)
    })?;
    let table = open(BREAKS)?;
    breaks.rows = decoded(&table, &ROW_COLUMNS, |columns, _| rows(columns, &breaks))?;
    check(&breaks.rows, runs).map_err(|why| table.damaged(why))?;
    Ok(breaks)
}

const ROW_COLUMNS: [&str; 14] = [
    "page_index",
    "byte",
    "worker",
    "cause",
    "step_index",
    "flags",
    "type_index",
    "field_index",
    "owner_index",
    "writer_index",
    "frame_index",
    "thread",
    "nanos",
    "instruction",
];

/// All rows of a table. `decode` is told how many stand before its batch.
fn decoded<T>(
    table: &Table,
    columns: &[&str],
    decode: impl Fn(&Columns, usize) -> std::result::Result<Vec<T>, String>,
) -> Result<Vec<T>> {
    let mut rows = Vec::with_capacity(table.rows());
    for batch in table.batches(None, columns)? {
        let batch = batch?;
        rows.extend(decode(&Columns(&batch), rows.len()).map_err(|why| table.damaged(why))?);
    }
    Ok(rows)
}

fn owners(columns: &Columns, before: usize) -> std::result::Result<Vec<Owner>, String> {
    let parents = parents(columns, before)?;
    let labels = columns.strings("label")?;
    Ok(parents.into_iter().zip(labels).map(|(parent, label)| Owner { parent, label }).collect())
}

fn writers(columns: &Columns, _: usize) -> std::result::Result<Vec<Writer>, String> {
    let symbols = columns.strings("writer")?;
    let libraries = columns.strings("library")?;
    Ok(symbols.into_iter().zip(libraries).map(|(symbol, library)| Writer { symbol, library }).collect())
}

fn functions(columns: &Columns, _: usize) -> std::result::Result<Vec<Function>, String> {
    let names = columns.strings("function")?;
    let files = columns.strings("file")?;
    let lines = columns.u32s("first_line")?;
    let rows = names.into_iter().zip(files).zip(lines);
    Ok(rows.map(|((name, file), &line)| Function { name, file, line }).collect())
}

fn frames(columns: &Columns, before: usize, functions: usize) -> std::result::Result<Vec<Frame>, String> {
    let parents = parents(columns, before)?;
    let functions = columns.indices("function_index", functions)?;
    let lines = columns.u32s("line")?;
    let rows = parents.into_iter().zip(functions).zip(lines);
    Ok(rows.map(|((parent, function), &line)| Frame { parent, function, line }).collect())
}

/// Parents of a forest, which stand before their children: so no walk upwards runs in circles.
fn parents(columns: &Columns, before: usize) -> std::result::Result<Vec<u32>, String> {
    let parents = columns.indices("parent", usize::MAX)?;
    let wrong = (before..).zip(&parents).find(|&(row, &parent)| parent != NONE && parent as usize >= row);
    match wrong {
        Some((row, parent)) => {
            Err(format!("the parent of row {row} is row {parent}, which is not before it"))
        }
        None => Ok(parents),
    }
}

fn rows(columns: &Columns, breaks: &Breaks) -> std::result::Result<Vec<Break>, String> {
    let cause_names = Cause::ALL.map(|cause| cause.name().to_owned());
    let causes = columns.names("cause", &cause_names)?;
    let pages = columns.u32s("page_index")?;
    let offsets = columns.u16s("byte")?;
    let workers = columns.u32s("worker")?;
    let steps = columns.u8s("step_index")?;
    let flags = columns.u8s("flags")?;
    let types = columns.indices("type_index", breaks.types.len())?;
    let fields = columns.indices("field_index", breaks.fields.len())?;
    let owners = columns.indices("owner_index", breaks.owners.len())?;
    let writers = columns.indices("writer_index", breaks.writers.len())?;
    let frames = columns.indices("frame_index", breaks.frames.len())?;
    let threads = columns.u32s("thread")?;
    let nanos = columns.u64s("nanos")?;
    let instructions = columns.u64s("instruction")?;
    let row = |at: usize| Break {
        worker: workers[at],
        page: pages[at],
        cause: Cause::ALL[causes[at] as usize],
        step: steps[at],
        offset: offsets[at],
        flags: Flags(flags[at]),
        ty: types[at],
        field: fields[at],
        owner: owners[at],
        writer: writers[at],
        frame: frames[at],
        thread: threads[at],
        nanos: nanos[at],
        instruction: instructions[at],
    };
    Ok((0..columns.0.num_rows()).map(row).collect())
}

/// Rows stand by worker and page, and their pages were inherited; a recording may keep no pages.
fn check(rows: &[Break], runs: &[PageRun]) -> std::result::Result<(), String> {
    if !rows.is_sorted_by(|one, next| (one.worker, one.page) < (next.worker, next.page)) {
        return Err("its rows are out of order".into());
    }
    let pages: u64 = runs.iter().map(|run| u64::from(run.len)).sum();
    match rows.iter().find(|row| pages > 0 && u64::from(row.page) >= pages) {
        Some(row) => Err(format!("it names page {} of {pages}", row.page)),
        None => Ok(()),
    }
}
