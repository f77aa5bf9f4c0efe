//! The tables of breaks, column by column: indices for the reader, and names for who queries them.

use crate::capture::tables::{BREAK_WRITERS, BREAKS, FRAMES, FUNCTIONS, OWNERS, dictionary8};
use crate::family::breaks::{Break, Breaks, Flags, Frame, Function, NONE, Owner};
use crate::family::cause::Cause;
use crate::family::recording::{NO_STEP, PageHistory, Recording};
use crate::units::PAGE_SIZE;
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_schema::ArrowError;
use std::sync::Arc;

type Table = Result<RecordBatch, ArrowError>;
type Column = Result<ArrayRef, ArrowError>;

/// Values of `breaks.written_by`; null where no write was seen.
const WRITTEN_BY: [&str; 3] = ["worker", "zygote", "kernel"];
/// Bytes of an owner's path after which its beginning is left out: chains may be very long.
const LONGEST_PATH: usize = 1024;

/// Every table of the breaks, with its file name.
pub fn tables(
    recording: &Recording,
    step_names: &[String],
) -> Result<[(&'static str, RecordBatch); 5], ArrowError> {
    let breaks = &recording.breaks;
    let paths = owner_paths(&breaks.owners);
    Ok([
        (BREAKS, rows(breaks, &recording.pages, step_names, &paths)?),
        (OWNERS, owners(&breaks.owners, &paths)?),
        (BREAK_WRITERS, writers(breaks)?),
        (FUNCTIONS, functions(breaks)?),
        (FRAMES, frames(breaks)?),
    ])
}

fn rows(breaks: &Breaks, pages: &PageHistory, step_names: &[String], paths: &[String]) -> Table {
    let rows = &breaks.rows;
    let addresses: Vec<u64> = pages
        .runs
        .iter()
        .flat_map(|run| (run.first..).take(run.len as usize).map(|page| page * PAGE_SIZE))
        .collect();
    let address = |row: &Break| Some(addresses.get(row.page as usize)? + u64::from(row.offset));
    let step_names: Vec<&str> = step_names.iter().take(usize::from(NO_STEP)).map(String::as_str).collect();
    let step = |row: &Break| Some(row.step).filter(|&step| usize::from(step) < step_names.len());
    let causes = Cause::ALL.map(Cause::name);
    let frame = |row: &Break| breaks.frames.get(row.frame as usize);
    let function = |row: &Break| frame(row).map_or(NONE, |frame| frame.function);
    let writers = &breaks.writers;
    RecordBatch::try_from_iter_with_nullable([
        ("address", Arc::new(rows.iter().map(address).collect::<UInt64Array>()) as ArrayRef, true),
        ("page_index", u32s(rows, |row| row.page), false),
        ("byte", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.offset))), false),
        ("worker", u32s(rows, |row| row.worker), false),
        ("cause", names(causes, rows.iter().map(|row| row.cause as u32))?, false),
        ("step", dictionary8(&step_names, rows.iter().map(step))?, true),
        ("step_index", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.step))), false),
        ("written_by", dictionary8(&WRITTEN_BY, rows.iter().map(|row| written_by(row.flags)))?, true),
        ("gil_released", flag(rows, Flags::GIL_RELEASED), false),
        ("flags", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.flags.0))), false),
        ("type", names(&breaks.types, rows.iter().map(|row| row.ty))?, true),
        ("type_index", index(rows, |row| row.ty), true),
        ("field", names(&breaks.fields, rows.iter().map(|row| row.field))?, true),
        ("field_index", index(rows, |row| row.field), true),
        ("owner", used_names(paths, rows.iter().map(|row| row.owner))?, true),
        ("owner_index", index(rows, |row| row.owner), true),
        ("writer", names(writers.iter().map(|w| &w.symbol), rows.iter().map(|row| row.writer))?, true),
        ("library", names(writers.iter().map(|w| &w.library), rows.iter().map(|row| row.writer))?, true),
        ("writer_index", index(rows, |row| row.writer), true),
        ("function", names(breaks.functions.iter().map(|f| &f.name), rows.iter().map(function))?, true),
        ("file", names(breaks.functions.iter().map(|f| &f.file), rows.iter().map(function))?, true),
        (
            "line",
            Arc::new(rows.iter().map(|row| frame(row).map(|frame| frame.line)).collect::<UInt32Array>()),
            true,
        ),
        ("frame_index", index(rows, |row| row.frame), true),
        ("thread", u32s(rows, |row| row.thread), false),
        ("nanos", Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.nanos))), false),
        (
            "instruction",
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.instruction))),
            false,
        ),
    ])
}

fn owners(owners: &[Owner], paths: &[String]) -> Table {
    RecordBatch::try_from_iter_with_nullable([
        ("owner_index", counted(owners.len()), false),
        ("parent", index(owners, |owner| owner.parent), true),
        ("label", strings(owners.iter().map(|owner| &owner.label)), false),
        ("path", strings(paths), false),
    ])
}

fn writers(breaks: &Breaks) -> Table {
    let writers = &breaks.writers;
    RecordBatch::try_from_iter_with_nullable([
        ("writer_index", counted(writers.len()), false),
        ("writer", strings(writers.iter().map(|writer| &writer.symbol)), false),
        ("library", strings(writers.iter().map(|writer| &writer.library)), false),
    ])
}

fn functions(breaks: &Breaks) -> Table {
    let functions = &breaks.functions;
    RecordBatch::try_from_iter_with_nullable([
        ("function_index", counted(functions.len()), false),
        ("function", strings(functions.iter().map(|function| &function.name)), false),
        ("file", strings(functions.iter().map(|function| &function.file)), false),
        ("first_line", u32s(functions, |function| function.line), false),
    ])
}

fn frames(breaks: &Breaks) -> Table {
    let Breaks { frames, functions, .. } = breaks;
    let function = |frame: &Frame| functions.get(frame.function as usize);
    let keys = || frames.iter().map(|frame| frame.function);
    let first_line = |frame: &Frame| function(frame).map(|Function { line, .. }| *line);
    RecordBatch::try_from_iter_with_nullable([
        ("frame_index", counted(frames.len()), false),
        ("parent", index(frames, |frame| frame.parent), true),
        ("function_index", index(frames, |frame| frame.function), true),
        ("function", names(functions.iter().map(|f| &f.name), keys())?, true),
        ("file", names(functions.iter().map(|f| &f.file), keys())?, true),
        ("first_line", Arc::new(frames.iter().map(first_line).collect::<UInt32Array>()) as ArrayRef, true),
        ("line", u32s(frames, |frame| frame.line), false),
    ])
}

/// The path of every owner.
fn owner_paths(owners: &[Owner]) -> Vec<String> {
    let mut paths: Vec<String> = Vec::with_capacity(owners.len());
    for owner in owners {
        let path = match paths.get(owner.parent as usize) {
            Some(parent) if parent.len() > LONGEST_PATH => format!("…{}", owner.label),
            Some(parent) => format!("{parent}{}", owner.label),
            None => owner.label.clone(),
        };
        paths.push(path);
    }
    paths
}

const fn written_by(flags: Flags) -> Option<u8> {
    if flags.has(Flags::BY_KERNEL) {
        Some(2)
    } else if flags.has(Flags::BY_ZYGOTE) {
        Some(1)
    } else if flags.has(Flags::SEEN) {
        Some(0)
    } else {
        None
    }
}

fn flag(rows: &[Break], flag: u8) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(row.flags.has(flag))).collect::<BooleanArray>())
}

fn counted(len: usize) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values((0..).take(len)))
}

fn u32s<T>(rows: &[T], of: impl Fn(&T) -> u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(rows.iter().map(of)))
}

/// Indices, null for [`NONE`].
fn index<T>(rows: &[T], of: impl Fn(&T) -> u32) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(of(row)).filter(|&index| index != NONE)).collect::<UInt32Array>())
}

fn strings<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

/// Names by index, null where there is none.
fn names<S: AsRef<str>>(known: impl IntoIterator<Item = S>, keys: impl Iterator<Item = u32>) -> Column {
    let known = StringArray::from_iter_values(known);
    let valid = |key: &u32| (*key as usize) < arrow_array::Array::len(&known);
    let keys: UInt32Array = keys.map(|key| Some(key).filter(valid)).collect();
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(known))?))
}

/// The same for a long list of which few are used.
fn used_names(known: &[String], keys: impl Iterator<Item = u32> + Clone) -> Column {
    let mut used: Vec<u32> = keys.clone().filter(|&key| (key as usize) < known.len()).collect();
    used.sort_unstable();
    used.dedup();
    let place = |key: u32| used.binary_search(&key).ok().and_then(|place| u32::try_from(place).ok());
    names(used.iter().map(|&key| &known[key as usize]), keys.map(|key| place(key).unwrap_or(NONE)))
}
