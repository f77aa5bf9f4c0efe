//! A matrix on a terminal: a row a step, a column a policy, in as many groups as the width asks for.

use super::legend::{HOW_TO_READ, verdict};
use super::{CellStep, Matrix, Policy};
use crate::report::printable;
use crate::report::summary::grouped;
use crate::report::text::Paint;
use crate::report::wrap;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Blanks between two columns.
const GAP: usize = 2;
/// Most characters of a row's name.
const NAME: usize = 30;

/// The matrix as text for a terminal of `width` columns, with colours only where asked.
pub fn render(matrix: &Matrix, width: usize, color: bool, next: &str) -> String {
    let page = Page { matrix, width: width.clamp(60, 200), paint: Paint { color } };
    let mut text = page.prose(&verdict(matrix).join(" "));
    text += &page.paint.dim(&page.prose(HOW_TO_READ));
    text +=
        &page.paint.dim(&page.prose("* best of the row   ! the model is off by more than 5 % and 2 pages"));
    for group in page.groups() {
        text.push('\n');
        text += &page.table(&group);
    }
    text += &page.failures();
    let _ = writeln!(text, "\nnext: {}", page.paint.bold(&printable(next)));
    text
}

struct Page<'a> {
    matrix: &'a Matrix,
    width: usize,
    paint: Paint,
}

/// A policy as a column: its name in lines, and its cells.
struct Column<'a> {
    policy: &'a Policy,
    head: Vec<String>,
    cells: Vec<Shown>,
    width: usize,
}

/// One count as text.
struct Shown {
    text: String,
    best: bool,
    wrong: bool,
}

impl Page<'_> {
    fn prose(&self, text: &str) -> String {
        wrap(&printable(text), 0, 0, self.width) + "\n"
    }

    /// Columns that fit beside each other.
    fn groups(&self) -> Vec<Vec<Column<'_>>> {
        let room = self.width - self.names_width();
        let mut groups: Vec<Vec<Column<'_>>> = Vec::new();
        let mut used = room;
        for policy in self.matrix.measured_policies() {
            let column = self.column(policy);
            let needed = column.width + GAP;
            if used + needed > room {
                groups.push(Vec::new());
                used = 0;
            }
            used += needed;
            if let Some(group) = groups.last_mut() {
                group.push(column);
            }
        }
        groups
    }

    fn names_width(&self) -> usize {
        self.names().iter().map(|name| name.chars().count()).max().unwrap_or(0)
    }

    fn names(&self) -> Vec<String> {
        let name = |(program, step): (&super::Program, usize)| {
            let full = format!("{} {}", printable(&program.name), printable(&program.steps[step]));
            full.chars().take(NAME).collect()
        };
        self.matrix.rows().map(name).collect()
    }

    fn column<'a>(&'a self, policy: &'a Policy) -> Column<'a> {
        let head: Vec<String> = policy.name.split_inclusive('+').map(str::to_owned).collect();
        let cells: Vec<Shown> = self
            .matrix
            .rows()
            .map(|(program, step)| {
                let best = self.matrix.best(program, step).is_some_and(|best| best.policy == policy);
                Shown::of(self.matrix.at(&program.name, step, &policy.name), best)
            })
            .collect();
        let widths =
            head.iter().map(String::len).chain(cells.iter().map(|cell| cell.text.chars().count() + 1));
        let width = widths.max().unwrap_or(0);
        Column { policy, head, cells, width }
    }

    fn table(&self, columns: &[Column<'_>]) -> String {
        let names = self.names_width();
        let lines = columns.iter().map(|column| column.head.len()).max().unwrap_or(0);
        let mut text = String::new();
        for line in 0..lines {
            let mut row = " ".repeat(names);
            for column in columns {
                let missing = lines - column.head.len();
                let word = line.checked_sub(missing).map_or("", |index| column.head[index].as_str());
                let _ = write!(row, "{:GAP$}{word:>width$}", "", width = column.width - 1);
                row.push(' ');
            }
            text += &self.paint.dim(row.trim_end());
            text.push('\n');
        }
        for (index, name) in self.names().iter().enumerate() {
            let _ = write!(text, "{name:names$}");
            for column in columns {
                debug_assert!(!column.policy.name.is_empty());
                text += &self.cell(&column.cells[index], column.width);
            }
            text = text.trim_end().to_owned() + "\n";
        }
        text
    }

    fn cell(&self, cell: &Shown, width: usize) -> String {
        let best = if cell.best { "*" } else { "" };
        let wrong = if cell.wrong { '!' } else { ' ' };
        let shown = format!("{best}{}{wrong}", cell.text);
        let padding = " ".repeat((GAP + width).saturating_sub(shown.chars().count()));
        let painted = match (cell.best, cell.wrong) {
            (true, _) => self.paint.bold(&shown),
            (false, true) => self.paint.warn(&shown),
            _ => shown,
        };
        padding + &painted
    }

    /// What could not be measured, one line for each reason.
    fn failures(&self) -> String {
        let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for failure in &self.matrix.failures {
            reasons.entry((&failure.policy, &failure.why)).or_default().push(&failure.program);
        }
        let mut text = String::new();
        for ((policy, why), programs) in reasons {
            let line = format!("not measured: {policy} on {}: {why}", programs.join(", "));
            text += &self.paint.warn(&(wrap(&printable(&line), 0, 2, self.width) + "\n"));
        }
        if text.is_empty() { text } else { format!("\n{text}") }
    }
}

impl Shown {
    fn of(step: Option<&CellStep>, best: bool) -> Self {
        let Some(step) = step else {
            return Self { text: "–".into(), best: false, wrong: false };
        };
        let predicted = step.predicted.map_or(String::new(), |pages| format!("/{}", whole(pages)));
        Self {
            text: format!("{}{predicted}", grouped(step.private)),
            best,
            wrong: step.is_predicted() == Some(false),
        }
    }
}

/// A number of pages that may be an expected value.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and not negative")]
pub(super) fn whole(pages: f64) -> String {
    grouped(pages.max(0.0).round() as u64)
}
