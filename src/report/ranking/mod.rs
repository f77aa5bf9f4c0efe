//! Which lines, functions, types, owners and writers broke the most pages.
//!
//! An event is the *first* write to a page, so a ranking says who wrote first. It is not a saving:
//! without that write the next one may break the same page.
//!
//! Names are those of the measured program. Who prints them escapes them.

mod headline;
mod owners;
#[cfg(test)]
mod tests;

pub use headline::headline;
pub use owners::OwnerRow;

use crate::family::PageState;
use crate::family::breaks::{Break, Breaks, Frame, Function, NONE};
use crate::family::cause::Cause;
use crate::family::recording::{Content, PageCell, Recording, step_number};
use crate::report::summary::worst_step;
use crate::units::percent;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

/// The row of pages that no Python line is known for.
pub const NO_LINE: &str = "no Python line";
/// The row of pages whose object, if any, is not known.
pub const NO_TYPE: &str = "no object known";
/// The row of pages whose owner is not known.
pub const NO_OWNER: &str = "no owner known";
/// The row of pages whose writing instruction is not known.
pub const NO_WRITER: &str = "no writer known";

/// Which breaks to rank; all of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Only those of this worker.
    pub worker: Option<u32>,
    /// Only those first seen after this step, an index in [`Recording::steps`].
    pub step: Option<u8>,
    /// Only pages that were broken after this step, and their content as it was then.
    pub broken_after: Option<u8>,
}

/// The breaks to rank.
#[derive(Debug, Clone)]
pub struct Ranking<'a> {
    breaks: &'a Breaks,
    seen: Vec<Seen<'a>>,
    /// What shares are shares of.
    whole: u64,
}

/// A break, and whether its copy bought nothing.
#[derive(Debug, Clone, Copy)]
struct Seen<'a> {
    row: &'a Break,
    ghost: bool,
}

/// One line of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// `shop.py:14 search`, `shop.Product`, `str.ob_refcnt`, `shop.CATALOG[*]`, `refcount`.
    pub name: String,
    /// Broken pages.
    pub pages: u64,
    /// Of these, ghosts: every byte is still that of the fork.
    pub ghosts: u64,
    /// Share in all broken pages of the selection, in percent.
    pub share: f64,
    /// The cause of most of these pages.
    pub cause: Cause,
    /// Of an owner: pages that are its own, not those of what it owns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<u64>,
    /// Of a line or function: where it stands.
    #[serde(flatten)]
    pub place: Option<Source>,
}

/// A place in the source of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Source file, as the program names it.
    pub file: String,
    /// Line under way, or the first line of a function; 0 where unknown.
    pub line: u32,
    /// Qualified name of the function.
    pub function: String,
}

/// Pages of one row, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    pages: u64,
    ghosts: u64,
    causes: [u64; Cause::ALL.len()],
}

impl Tally {
    fn add(&mut self, seen: &Seen) {
        self.pages += 1;
        self.ghosts += u64::from(seen.ghost);
        self.causes[seen.row.cause as usize] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.pages += other.pages;
        self.ghosts += other.ghosts;
        self.causes.iter_mut().zip(other.causes).for_each(|(sum, more)| *sum += more);
    }

    /// The cause of most pages; of several, the first.
    fn dominant(&self) -> Cause {
        let most = Cause::ALL.into_iter().min_by_key(|&cause| Reverse(self.causes[cause as usize]));
        most.unwrap_or(Cause::Unexplained)
    }
}

impl Selection {
    /// The pages that were broken at the step at which the most were: those of the verdict.
    pub fn at_worst(recording: &Recording) -> Self {
        Self { broken_after: worst_step(recording).map(step_number), ..Self::default() }
    }
}

impl<'a> Ranking<'a> {
    /// The breaks of a recording, or those that a selection picks.
    pub fn of(recording: &'a Recording, selection: Selection) -> Self {
        let breaks = &recording.breaks;
        let rows = match selection.worker {
            Some(worker) => breaks.of_worker(worker),
            None => &breaks.rows,
        };
        let rows = rows.iter().filter(|row| selection.step.is_none_or(|step| row.step == step));
        let seen: Vec<Seen> = match selection.broken_after {
            None => {
                let mut cells = CellsByWorker::new(recording);
                rows.map(|row| Seen { row, ghost: cells.content(row) == Content::Equal }).collect()
            }
            Some(step) => {
                let mut pages = PagesByWorker::new(recording, step);
                rows.filter_map(|row| {
                    let (state, content) = pages.of(row)?;
                    state.broken().then_some(Seen { row, ghost: content == Content::Equal })
                })
                .collect()
            }
        };
        Self { breaks, whole: seen.len() as u64, seen }
    }

    /// Those that `keep` says. Shares stay shares of all.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Break) -> bool) -> Self {
        let seen = self.seen.iter().filter(|seen| keep(seen.row)).copied().collect();
        Self { breaks: self.breaks, seen, whole: self.whole }
    }

    /// Broken pages.
    pub const fn pages(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Of these, ghosts.
    pub fn ghosts(&self) -> u64 {
        self.seen.iter().filter(|seen| seen.ghost).count() as u64
    }

    /// By the line under way in the innermost frame: `shop.py:14 search`.
    pub fn by_line(&self) -> Vec<Ranked> {
        let line = |row: &Break| self.frame(row).map(|frame| (frame.function, frame.line));
        self.rank(line, |key| {
            key.and_then(|(function, line)| {
                let function = self.breaks.functions.get(function as usize)?;
                let Function { name, file, .. } = function;
                Some((
                    format!("{}:{} {name}", base_name(file), line_shown(line)),
                    Some(source(function, line)),
                ))
            })
            .unwrap_or_else(|| (NO_LINE.into(), None))
        })
    }

    /// By the function of the innermost frame: `search (shop.py:9)`.
    pub fn by_function(&self) -> Vec<Ranked> {
        self.rank(
            |row| self.frame(row).map(|frame| frame.function),
            |key| {
                key.and_then(|function| {
                    let function = self.breaks.functions.get(function as usize)?;
                    Some((function_shown(function), Some(source(function, function.line))))
                })
                .unwrap_or_else(|| (NO_LINE.into(), None))
            },
        )
    }

    /// By the type of the object written to.
    pub fn by_type(&self) -> Vec<Ranked> {
        self.rank(|row| row.ty, |ty| (self.type_name(ty).to_owned(), None))
    }

    /// By type and field: `str.ob_refcnt`, `shop.Product.price`; outside of objects `chunk header`.
    pub fn by_field(&self) -> Vec<Ranked> {
        self.rank(
            |row| (row.ty, row.field),
            |(ty, field)| {
                let ty = self.breaks.types.get(ty as usize);
                let field = self.breaks.fields.get(field as usize);
                let name = match (ty, field) {
                    (Some(ty), Some(field)) => format!("{ty}.{}", field.trim_start_matches('.')),
                    (Some(ty), None) => format!("{ty}, no field known"),
                    (None, Some(field)) => field.clone(),
                    (None, None) => NO_TYPE.into(),
                };
                (name, None)
            },
        )
    }

    /// By cause; the names are those of [`Cause::name`].
    pub fn by_cause(&self) -> Vec<Ranked> {
        self.rank(|row| row.cause, |cause| (cause.name().to_owned(), None))
    }

    /// By what the writing instruction belongs to: `list_iter_next (libpython3.12.so.1.0)`.
    pub fn by_writer(&self) -> Vec<Ranked> {
        self.rank(
            |row| row.writer,
            |writer| {
                let name = match self.breaks.writers.get(writer as usize) {
                    Some(writer) if writer.symbol.is_empty() => format!("{}, no symbol", writer.library),
                    Some(writer) => format!("{} ({})", writer.symbol, writer.library),
                    None => NO_WRITER.into(),
                };
                (name, None)
            },
        )
    }

    fn frame(&self, row: &Break) -> Option<&'a Frame> {
        self.breaks.frames.get(row.frame as usize)
    }

    fn type_name(&self, ty: u32) -> &'a str {
        self.breaks.types.get(ty as usize).map_or(NO_TYPE, String::as_str)
    }

    /// Counts pages by key, then names the keys; most pages first, equal ones by name and key.
    fn rank<K: Hash + Ord + Copy>(
        &self,
        key: impl Fn(&Break) -> K,
        named: impl Fn(K) -> (String, Option<Source>),
    ) -> Vec<Ranked> {
        let mut tallies: HashMap<K, Tally> = HashMap::new();
        for seen in &self.seen {
            tallies.entry(key(seen.row)).or_default().add(seen);
        }
        let mut ranked: Vec<(K, Ranked)> = tallies
            .into_iter()
            .map(|(key, tally)| {
                let (name, place) = named(key);
                (key, Ranked { place, ..self.ranked(name, &tally) })
            })
            .collect();
        ranked.sort_by(|(key, one), (other_key, other)| {
            other.pages.cmp(&one.pages).then_with(|| one.name.cmp(&other.name)).then(key.cmp(other_key))
        });
        ranked.into_iter().map(|(_, ranked)| ranked).collect()
    }

    fn ranked(&self, name: String, tally: &Tally) -> Ranked {
        Ranked {
            name,
            pages: tally.pages,
            ghosts: tally.ghosts,
            share: percent(tally.pages, self.whole),
            cause: tally.dominant(),
            own: None,
            place: None,
        }
    }
}

/// Finds the cells of rows that stand worker by worker.
struct CellsByWorker<'a> {
    recording: &'a Recording,
    worker: u32,
    cells: &'a [PageCell],
}

impl<'a> CellsByWorker<'a> {
    const fn new(recording: &'a Recording) -> Self {
        Self { recording, worker: NONE, cells: &[] }
    }

    fn content(&mut self, row: &Break) -> Content {
        if row.worker != self.worker {
            let pages = &self.recording.pages.workers;
            let found = pages.iter().find(|pages| pages.worker == row.worker);
            self.cells = found.map_or(&[], |pages| &pages.cells);
            self.worker = row.worker;
        }
        self.cells.get(row.page as usize).map_or(Content::NotCompared, |cell| cell.content)
    }
}

/// What the pages of rows that stand worker by worker looked like after a step.
struct PagesByWorker<'a> {
    recording: &'a Recording,
    step: u8,
    worker: u32,
    pages: Vec<(PageState, Content)>,
}

impl<'a> PagesByWorker<'a> {
    const fn new(recording: &'a Recording, step: u8) -> Self {
        Self { recording, step, worker: NONE, pages: Vec::new() }
    }

    fn of(&mut self, row: &Break) -> Option<(PageState, Content)> {
        if row.worker != self.worker {
            let mut workers = self.recording.pages.workers.iter();
            let found = workers.find(|pages| pages.worker == row.worker);
            self.pages = found.map(|pages| pages.at_step(self.step)).unwrap_or_default();
            self.worker = row.worker;
        }
        self.pages.get(row.page as usize).copied()
    }
}

/// The file's name without its folders.
pub(super) fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// A function with its file and first line: `search (shop.py:9)`.
pub(super) fn function_shown(function: &Function) -> String {
    format!("{} ({}:{})", function.name, base_name(&function.file), line_shown(function.line))
}

fn line_shown(line: u32) -> String {
    if line == 0 { "?".into() } else { line.to_string() }
}

fn source(function: &Function, line: u32) -> Source {
    Source { file: function.file.clone(), line, function: function.name.clone() }
}
