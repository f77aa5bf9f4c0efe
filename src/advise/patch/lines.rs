//! Lines and columns of a text as Python counts them, as byte positions.

use std::ops::Range;

/// Where the lines of a text are.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How the text ends its lines.
    pub end_of_line: &'static str,
}

/// A mark that some editors begin a file with. Python counts no column for it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

impl<'a> Lines<'a> {
    /// Finds the lines of a text.
    pub fn of(text: &'a str) -> Self {
        let first = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let after = text.match_indices('\n').map(|(index, _)| index + 1).filter(|&start| start < text.len());
        let starts = std::iter::once(first).chain(after).collect();
        Self { text, starts, end_of_line: if text.contains("\r\n") { "\r\n" } else { "\n" } }
    }

    /// Where a line, counted from 1, begins.
    fn start_of(&self, line: usize) -> Option<usize> {
        self.starts.get(line.checked_sub(1)?).copied()
    }

    /// Where a line ends, before what ends it.
    pub fn end_of(&self, line: usize) -> Option<usize> {
        let start = self.start_of(line)?;
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        Some(start + self.text.get(start..end)?.trim_end_matches(['\n', '\r']).len())
    }

    /// Whole lines, without the end of the last one.
    pub fn range(&self, first: usize, last: usize) -> Option<Range<usize>> {
        let (start, end) = (self.start_of(first)?, self.end_of(last)?);
        (start <= end).then_some(start..end)
    }

    /// From a line and column to another, as `ast` tells them.
    pub fn span(&self, (first, from, last, to): (usize, usize, usize, usize)) -> Option<Range<usize>> {
        let (start, end) = (self.start_of(first)? + from, self.start_of(last)? + to);
        self.text.get(start..end).map(|_| start..end)
    }
}
