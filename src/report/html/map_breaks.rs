//! The breaks behind the page map: which write broke each page, packed like the cells.
//!
//! Rows repeat themselves: thousands of pages are broken by the same line, writing the same field of
//! objects of the same owner. Each such *story* is listed once. For each worker, by page: the
//! distances between pages, then stories, then threads, as numbers of seven bits a byte, low bits
//! first; then the high and the low byte of each offset in its page.

use super::map::{deflated, push_number};
use crate::family::breaks::{Break, Breaks, NONE};
use crate::family::cause::Cause;
use crate::family::recording::Recording;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::thread;

/// What the script needs to put a break into words.
#[derive(Serialize)]
struct Index<'a> {
    /// CSS name, name, phrase.
    causes: Vec<[String; 3]>,
    types: &'a [String],
    fields: &'a [String],
    /// Whole paths; the script looks for text in them.
    owners: Vec<String>,
    /// Symbol and library.
    writers: Vec<[&'a str; 2]>,
    /// Line and function of innermost frames.
    places: Vec<String>,
    /// Cause, flags, type, field, owner, writer, place; the last five are 0 for none.
    stories: Vec<[u32; 7]>,
    threads: Vec<u32>,
    /// Rows of each worker.
    rows: Vec<usize>,
}

/// All but page, thread and time of a break.
type Story = [u32; 7];

fn story(row: &Break) -> Story {
    [row.cause as u32, u32::from(row.flags.0), row.ty, row.field, row.owner, row.writer, row.frame]
}

/// The index and one packed text for each worker of the map, in its order; `None` without breaks.
pub(super) fn packed(recording: &Recording) -> Option<(String, Vec<String>)> {
    let Recording { breaks, pages, .. } = recording;
    if breaks.rows.is_empty() {
        return None;
    }
    let stories = Table::of(breaks.rows.iter().map(story));
    let threads = Table::of(breaks.rows.iter().map(|row| row.thread));
    let rows: Vec<&[Break]> = pages.workers.iter().map(|worker| breaks.of_worker(worker.worker)).collect();
    let index = index(breaks, &stories, &threads, &rows);
    let index = deflated(&serde_json::to_vec(&index).unwrap_or_default());
    let packed = thread::scope(|scope| {
        let pack = |rows| pack(rows, &stories, &threads);
        let tasks: Vec<_> = rows.iter().map(|rows| scope.spawn(move || pack(rows))).collect();
        tasks.into_iter().map(|task| task.join().unwrap_or_default()).collect()
    });
    Some((index, packed))
}

fn index<'a>(
    breaks: &'a Breaks,
    stories: &Table<Story>,
    threads: &Table<u32>,
    rows: &[&[Break]],
) -> Index<'a> {
    let told =
        |column: usize| Table::of(stories.values.iter().map(|story| story[column]).filter(|&at| at != NONE));
    let (owners, writers, frames) = (told(4), told(5), told(6));
    let named = |table: &Table<u32>, at: u32| table.numbers.get(&at).map_or(0, |number| number + 1);
    let plain = |at: u32| at.wrapping_add(1);
    Index {
        causes: Cause::ALL
            .map(|cause| {
                let css = super::super::palette::Role::cause(cause.name()).css_name();
                [css, cause.name().to_owned(), cause.phrase().to_owned()]
            })
            .into(),
        types: &breaks.types,
        fields: &breaks.fields,
        owners: owners.values.iter().map(|&owner| breaks.owner_path(owner)).collect(),
        writers: writers
            .values
            .iter()
            .map(|&writer| breaks.writers.get(writer as usize).map_or(["", ""], |w| [&w.symbol, &w.library]))
            .collect(),
        places: frames
            .values
            .iter()
            .map(|&frame| {
                breaks.frames.get(frame as usize).map_or_else(String::new, |frame| breaks.place(frame))
            })
            .collect(),
        stories: stories
            .values
            .iter()
            .map(|&[cause, flags, ty, field, owner, writer, frame]| {
                [
                    cause,
                    flags,
                    plain(ty),
                    plain(field),
                    named(&owners, owner),
                    named(&writers, writer),
                    named(&frames, frame),
                ]
            })
            .collect(),
        threads: threads.values.clone(),
        rows: rows.iter().map(|rows| rows.len()).collect(),
    }
}

fn pack(rows: &[Break], stories: &Table<Story>, threads: &Table<u32>) -> String {
    let mut bytes = Vec::with_capacity(rows.len() * 6);
    let mut previous = 0;
    for row in rows {
        push_number(&mut bytes, row.page.saturating_sub(previous));
        previous = row.page;
    }
    for row in rows {
        push_number(&mut bytes, stories.number(&story(row)));
    }
    for row in rows {
        push_number(&mut bytes, threads.number(&row.thread));
    }
    let (high, low): (Vec<u8>, Vec<u8>) = rows.iter().map(|row| row.offset.to_be_bytes().into()).unzip();
    bytes.extend(high);
    bytes.extend(low);
    deflated(&bytes)
}

/// Distinct values, the most frequent first, so that they have the shortest numbers.
struct Table<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T: Copy + Eq + Hash + Ord> Table<T> {
    fn of(all: impl Iterator<Item = T>) -> Self {
        let mut counts: HashMap<T, u64> = HashMap::new();
        let mut run: Option<(T, u64)> = None;
        for value in all {
            match &mut run {
                Some((same, count)) if *same == value => *count += 1,
                _ => {
                    if let Some((value, count)) = run.replace((value, 1)) {
                        *counts.entry(value).or_default() += count;
                    }
                }
            }
        }
        if let Some((value, count)) = run {
            *counts.entry(value).or_default() += count;
        }
        let mut ranked: Vec<(T, u64)> = counts.into_iter().collect();
        ranked.sort_unstable_by_key(|&(value, count)| (Reverse(count), value));
        let values: Vec<T> = ranked.into_iter().map(|(value, _)| value).collect();
        Self { numbers: values.iter().copied().zip(0..).collect(), values }
    }

    fn number(&self, value: &T) -> u32 {
        self.numbers.get(value).copied().unwrap_or_default()
    }
}
