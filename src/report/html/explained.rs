//! Who broke the pages, and what to look at first: rankings, and how much of it bought nothing.

use super::super::charts::{self, Row};
use super::super::palette::Role;
use super::super::ranking::{NO_LINE, NO_TYPE, NO_WRITER, OwnerRow, Ranked, Ranking, Selection, headline};
use super::super::summary::{column_percent, grouped};
use super::flame::Graph;
use crate::error::Result;
use crate::family::breaks::{Break, NONE};
use crate::family::cause::Cause;
use crate::family::recording::{Content, Recording, WorkerPages};
use crate::units::{Bytes, percent};
use minijinja::{Value, context};
use std::collections::HashMap;

/// Rows a table shows, and rows it can show.
const SHOWN: usize = 8;
const MOST: usize = 60;
/// Owners the field for finding proposes.
const FINDS: usize = 60;
/// Owners shown below one owner, and how far down.
const MOST_CHILDREN: usize = 12;
const MOST_DEPTH: u32 = 12;
/// Owners with less of all pages, in percent, are summed up.
const LEAST_SHARE: f64 = 0.1;
/// An owner with this share of all pages, in percent, shows what it owns from the start.
const OPEN_FROM: f64 = 25.0;

/// Nothing where no break was explained.
pub(super) fn context(recording: &Recording) -> Result<Option<Value>> {
    let Some(headline) = headline(recording) else { return Ok(None) };
    let all = Ranking::of(recording, Selection::default());
    let pages = all.pages();
    let table = |names: [&str; 3], rows: Vec<Ranked>| table(names, &rows, pages);
    Ok(Some(context! {
        headline,
        worth => worth(all.ghosts(), holding_new_data(recording), pages),
        causes => by_cause(&all)?,
        lines => table(["Lines", "First written by", "line"], all.by_line()),
        fields => table(["Types and fields", "Field written to", "field"], all.by_field()),
        types => table(["Types", "Type written to", "type"], all.by_type()),
        functions => table(["Functions", "Innermost function", ""], all.by_function()),
        writers => table(["Native code", "Writing function", "writer"], all.by_writer()),
        owners => owners(&all.owner_tree(), pages),
        finds => all.by_owner().into_iter().take(FINDS).map(|row| row.name).collect::<Vec<_>>(),
        flame => Graph::of(recording).map(|graph| graph.context()),
    }))
}

/// What the copies of all broken pages were for: ghosts bought nothing, others hold new data or
/// could not be compared.
fn worth(ghosts: u64, new_data: u64, pages: u64) -> String {
    let (size, all, share) = (Bytes::of_pages(ghosts), Bytes::of_pages(pages), column_percent(ghosts, pages));
    let saving = "bought nothing: that is what removing first writers could give back";
    match (ghosts, ghosts + new_data >= pages) {
        (0, true) => format!("None of the {all} copied was for nothing: every page holds new data."),
        (0, false) => {
            format!("None of the {all} copied is known to have bought nothing; not all was compared.")
        }
        (_, true) if ghosts == pages => format!("All of the {all} copied {saving}, at most."),
        (_, true) => {
            format!("At most {size} ({share}) of the {all} copied {saving}; the rest holds new data.")
        }
        (_, false) => format!(
            "Of the {all} copied, {size} ({share}) are known to have {saving}; the rest holds new data or could not be compared."
        ),
    }
}

/// Broken pages with a break and at least one byte that is not that of the fork.
fn holding_new_data(recording: &Recording) -> u64 {
    let Recording { pages, breaks, .. } = recording;
    let differs = |worker: &WorkerPages, row: &Break| {
        worker.cells.get(row.page as usize).is_some_and(|cell| cell.content == Content::Differs)
    };
    let count = |worker: &WorkerPages| {
        breaks.of_worker(worker.worker).iter().filter(|row| differs(worker, row)).count() as u64
    };
    pages.workers.iter().map(count).sum()
}

/// Pages of each cause: pale what bought nothing, full what holds something new or is not known.
#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn by_cause(all: &Ranking) -> Result<Value> {
    let causes = all.by_cause();
    let rows: Vec<Row> = causes
        .iter()
        .map(|row| Row {
            name: row.cause.name().to_owned(),
            parts: vec![
                (Role::cause(row.cause.name()), (row.pages - row.ghosts) as f64),
                (Role::pale(row.cause.name()), row.ghosts as f64),
            ],
            track: 0.0,
            total: format!(
                "{} · {} ghost",
                Bytes::of_pages(row.pages),
                column_percent(row.ghosts, row.pages)
            ),
        })
        .collect();
    let table: Vec<Value> = causes
        .iter()
        .map(|row| {
            context! {
                role => Role::cause(row.cause.name()).css_name(), name => row.name.clone(), phrase => row.cause.phrase(), pages => grouped(row.pages), ghosts => grouped(row.ghosts),
                size => Bytes::of_pages(row.pages).to_string(), share => column_percent(row.pages, all.pages()),
                ghost => column_percent(row.ghosts, row.pages),
            }
        })
        .collect();
    let svg = charts::bars(
        "Broken pages by cause",
        "Pages that the first write of each cause broke, all workers together; the pale part holds the bytes of the fork.",
        &rows,
    )?;
    Ok(context! { svg => Value::from_safe_string(svg), rows => table })
}

/// A ranking as the template draws it: its title, what its rows are, and what the map finds them by
/// (empty for not). Without rows where nothing is known.
fn table([title, what, kind]: [&str; 3], rows: &[Ranked], all: u64) -> Value {
    let known = |row: &Ranked| ![NO_LINE, NO_TYPE, NO_WRITER].contains(&row.name.as_str());
    let rows = if rows.iter().any(known) { rows } else { &[] };
    let most = rows.first().map_or(1, |row| row.pages);
    let row = |row: &Ranked| {
        let find = if kind.is_empty() { String::new() } else { format!("{kind}:{}", row.name) };
        let place = row.place.as_ref().map_or_else(String::new, |at| format!("{}:{}", at.file, at.line));
        context! { find, place, name => row.name.clone(), ..figures((row.pages, row.ghosts, row.cause), most, all) }
    };
    let (first, rest) = rows.split_at(rows.len().min(SHOWN));
    context! {
        title,
        what,
        rows => first.iter().map(row).collect::<Vec<_>>(),
        rest => rest.iter().take(MOST).map(row).collect::<Vec<_>>(),
        left_out => grouped(rest.len().saturating_sub(MOST) as u64),
        all => grouped((first.len() + rest.len()) as u64),
        many => rest.len() > MOST,
    }
}

/// Bar and numbers of a row: the bar is measured against `most` pages, the share against `all`.
fn figures((pages, ghosts, cause): (u64, u64, Cause), most: u64, all: u64) -> Value {
    context! {
        role => Role::cause(cause.name()).css_name(),
        cause => cause.name(),
        full => percent(pages - ghosts, most),
        pale => percent(ghosts, most),
        pages => grouped(pages),
        size => Bytes::of_pages(pages).to_string(),
        share => column_percent(pages, all),
        ghost => column_percent(ghosts, pages),
    }
}

/// The owners as nested values, the large ones open; nothing where none is known.
fn owners(rows: &[OwnerRow], all: u64) -> Vec<Value> {
    if rows.iter().all(|row| row.owner == NONE) {
        return Vec::new();
    }
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.depth <= MOST_DEPTH) {
        children.entry(row.parent).or_default().push(index);
    }
    branches(rows, &children, None, all)
}

fn branches(
    rows: &[OwnerRow],
    children: &HashMap<Option<usize>, Vec<usize>>,
    parent: Option<usize>,
    all: u64,
) -> Vec<Value> {
    let siblings = children.get(&parent).map_or(&[][..], Vec::as_slice);
    let worth_showing = siblings.partition_point(|&index| rows[index].share >= LEAST_SHARE);
    let (shown, rest) = siblings.split_at(worth_showing.min(MOST_CHILDREN));
    let mut values: Vec<Value> = shown
        .iter()
        .map(|&index| {
            let row = &rows[index];
            let known = row.owner != NONE;
            context! {
                label => row.label.clone(), path => row.path.clone(), known,
                find => if known { format!("owner:{}", row.path) } else { String::new() },
                open => row.share >= OPEN_FROM,
                own => (row.own > 0 && row.own < row.pages).then(|| Bytes::of_pages(row.own).to_string()),
                children => branches(rows, children, Some(index), all),
                ..figures((row.pages, row.ghosts, row.cause), all, all)
            }
        })
        .collect();
    if !rest.is_empty() {
        let sum = |of: fn(&OwnerRow) -> u64| rest.iter().map(|&index| of(&rows[index])).sum::<u64>();
        let cause = rest.first().map_or(Cause::Unexplained, |&index| rows[index].cause);
        values.push(context! {
            label => format!("{} more", grouped(rest.len() as u64)), find => "", known => false,
            ..figures((sum(|row| row.pages), sum(|row| row.ghosts), cause), all, all)
        });
    }
    values
}
