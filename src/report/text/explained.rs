//! Why pages were broken: causes, types, lines and owners, side by side where there is room.

use super::paint::bar;
use super::{Page, designs};
use crate::family::recording::Recording;
use crate::report::printable;
use crate::report::ranking::{Ranked, Ranking, Selection};
use crate::report::summary::{clipped, column_percent};
use crate::units::Bytes;
use std::fmt::Write;

/// Rows of the causes, and of the lists below them, where two lists stand side by side.
const SIDE_BY_SIDE: (usize, usize) = (5, 4);
/// The same where one stands below the other.
const ONE_BY_ONE: (usize, usize) = (4, 3);
/// Columns from which on two lists stand side by side.
const ROOM_FOR_TWO: usize = 76;
/// Between two lists.
const GAP: usize = 2;
/// Columns of a cause without its bar: name, size, share, ghosts.
const CAUSE: usize = 12 + 11 + 7 + 7 + 1;
/// Columns of the shortest bar that tells something.
const LEAST_BAR: usize = 6;

/// Lines of text, all `width` columns wide, before they are coloured.
struct Block {
    width: usize,
    lines: Vec<String>,
}

impl Page {
    /// Why and by whom pages were broken; without an explanation, only where.
    pub(super) fn where_and_why(&self, recording: &Recording) -> String {
        if self.why.is_none() {
            return self.regions(recording);
        }
        let all = Ranking::of(recording, Selection::at_worst(recording));
        let (left, half, right) = self.widths();
        let list = |head, rows, width| self.list(head, rows, all.pages(), width);
        let (many, few) = if self.width < ROOM_FOR_TWO { ONE_BY_ONE } else { SIDE_BY_SIDE };
        let causes = self.causes(&all, many, left);
        let types = list("type of the object", with_rest(&all.by_type(), many), right);
        if designs::can_be_chosen(recording) {
            let advice = designs::others(recording, &all);
            let advice = advice.map(|said| self.paint.dim(&self.wrap(&said, 0))).unwrap_or_default();
            return self.together(&causes, &types) + &advice;
        }
        let lines = list("first written by", with_rest(&all.by_line(), few), half);
        let owners = all.by_owner().iter().take(few).map(shown).collect();
        let owners = list("owner, with all it owns", owners, half);
        self.together(&causes, &types) + &self.together(&lines, &owners) + &self.caveat(&all)
    }

    /// What a ranking of first writes does not tell.
    fn caveat(&self, all: &Ranking) -> String {
        let ghosts = Bytes::of_pages(all.ghosts());
        let said = format!("first writes only: a fix gives back at most the ghosts, {ghosts}; measure it");
        self.paint.dim(&self.wrap(&said, 0))
    }

    /// Columns of the causes, of half the terminal, and of what stands beside the causes.
    fn widths(&self) -> (usize, usize, usize) {
        if self.width < ROOM_FOR_TWO {
            return (self.width, self.width, self.width);
        }
        let half = (self.width - GAP) / 2;
        let causes = half.max(CAUSE + LEAST_BAR);
        (causes, half, self.width - GAP - causes)
    }

    fn causes(&self, all: &Ranking, most: usize, width: usize) -> Block {
        let rows = all.by_cause();
        let longest = rows.first().map_or(0, |row| row.pages);
        let head = format!("{:<12} {:>10} {:>6} {:>6}", "cause", "broken", "share", "ghost");
        let mut lines = vec![self.paint.dim(&padded(&head, width))];
        for (name, pages, ghosts) in with_rest(&rows, most) {
            let text = format!(
                "{name:<12} {:>10} {:>6} {:>6} ",
                Bytes::of_pages(pages),
                column_percent(pages, all.pages()),
                column_percent(ghosts, pages)
            );
            let room = width.saturating_sub(text.chars().count());
            let bar = padded(&bar(pages, longest, room), room);
            lines.push(text + &self.paint.accent(&bar));
        }
        Block { width, lines }
    }

    /// Names and their shares of `whole`.
    fn list(&self, head: &str, rows: Vec<Row>, whole: u64, width: usize) -> Block {
        let name_width = width.saturating_sub(7);
        let line = |(name, pages, _): Row| {
            format!("{} {:>6}", padded(&clipped(&name, name_width), name_width), column_percent(pages, whole))
        };
        let head = self.paint.dim(&padded(head, width));
        Block { width, lines: std::iter::once(head).chain(rows.into_iter().map(line)).collect() }
    }

    /// Two lists side by side, or one after the other where the terminal is narrow.
    fn together(&self, left: &Block, right: &Block) -> String {
        let mut text = String::new();
        if left.width + GAP + right.width > self.width {
            for line in left.lines.iter().chain(&right.lines) {
                let _ = writeln!(text, "{}", line.trim_end());
            }
            return text;
        }
        let (blank, gap) = (" ".repeat(left.width), " ".repeat(GAP));
        for row in 0..left.lines.len().max(right.lines.len()) {
            let left = left.lines.get(row).unwrap_or(&blank);
            let right = right.lines.get(row).map_or("", String::as_str);
            let _ = writeln!(text, "{}", format!("{left}{gap}{right}").trim_end());
        }
        text
    }
}

/// Name, pages, ghosts.
type Row = (String, u64, u64);

/// The first rows, and the rest as one.
fn with_rest(rows: &[Ranked], most: usize) -> Vec<Row> {
    if rows.len() <= most {
        return rows.iter().map(shown).collect();
    }
    let (first, rest) = rows.split_at(most - 1);
    let sum = |of: fn(&Ranked) -> u64| rest.iter().map(of).sum();
    let rest = (format!("{} more", rest.len()), sum(|row| row.pages), sum(|row| row.ghosts));
    first.iter().map(shown).chain([rest]).collect()
}

fn shown(row: &Ranked) -> Row {
    (printable(&row.name), row.pages, row.ghosts)
}

fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    text.to_owned() + &" ".repeat(missing)
}

#[cfg(test)]
mod tests {
    use crate::family::Breaks;
    use crate::family::recording::Recording;
    use crate::family::synthetic::{Shape, recording};
    use crate::report::text::render;

    fn example() -> Recording {
        recording(Shape { pages: 2000, workers: 2, steps: 3, server: false, seed: 4 })
    }

    #[test]
    fn causes_lines_types_and_owners_are_shown_at_every_width() {
        let recording = example();
        for width in [60, 80, 100, 120] {
            let screen = render(&recording, width, false);
            for said in
                ["why: ", "refcount", "shop.Product", "shop.py:14 iterate", "shop.CATALOG[*]", "by region"]
            {
                assert!(screen.contains(said), "{said} in {screen}");
            }
            let long = screen.lines().find(|line| line.chars().count() > width && !line.starts_with("next"));
            assert_eq!(long, None, "{screen}");
        }
    }

    #[test]
    fn without_an_explanation_regions_are_all_there_is() {
        let mut recording = example();
        recording.breaks = Breaks::default();
        let screen = render(&recording, 80, false);
        assert!(screen.contains("broken by region") && !screen.contains("why: "), "{screen}");
        assert!(!screen.contains("first written by"), "{screen}");
    }

    #[test]
    fn names_of_the_program_do_not_steer_the_terminal() {
        let mut recording = example();
        let breaks = &mut recording.breaks;
        breaks.types.iter_mut().for_each(|name| name.insert_str(0, "\u{1b}[2J"));
        breaks.functions.iter_mut().for_each(|function| function.name.push('\u{202e}'));
        breaks.owners.iter_mut().for_each(|owner| owner.label.push('\n'));
        let screen = render(&recording, 80, false);
        assert!(!screen.contains(['\u{1b}', '\u{202e}']), "{screen}");
        assert_eq!(screen.lines().count(), render(&recording, 80, true).lines().count());
    }
}
