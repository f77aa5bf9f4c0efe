//! From the offset of an instruction to its line: the three forms of line table.
//!
//! Each is decoded once into runs of instructions that have the same line.

/// Instructions up to an offset, and their line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// One past the last byte.
    end: u32,
    /// `None` for instructions that the compiler made up.
    line: Option<u32>,
}

/// The lines of a code object's instructions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineTable {
    runs: Vec<Run>,
}

impl LineTable {
    /// `co_lnotab` up to 3.9 (`Objects/lnotab_notes.txt`): pairs of a step in bytes and a signed step
    /// in lines, which comes before the instructions behind it.
    ///
    /// `code` is the length of the code in bytes: the last line lasts until there.
    pub fn of_lnotab(table: &[u8], first_line: u32, code: u32) -> Self {
        let mut lines = Builder::new(first_line);
        for pair in table.as_chunks::<2>().0 {
            lines.extend(pair[0].into(), true);
            lines.step(i64::from(pair[1].cast_signed()));
        }
        lines.extend(code.saturating_sub(lines.end), true);
        lines.table
    }

    /// `co_linetable` of 3.10 (PEP 626): pairs of a length in bytes and a signed step in lines that
    /// comes before; a step of -128 says that these instructions have no line.
    pub fn of_pep_626(table: &[u8], first_line: u32) -> Self {
        let mut lines = Builder::new(first_line);
        for pair in table.as_chunks::<2>().0 {
            let step = pair[1].cast_signed();
            if step != i8::MIN {
                lines.step(step.into());
            }
            lines.extend(pair[0].into(), step != i8::MIN);
        }
        lines.table
    }

    /// `co_linetable` of 3.11 and later (PEP 657, `Objects/locations.md`): entries that begin with a
    /// byte whose high bit is set, of which only the line is kept.
    pub fn of_pep_657(table: &[u8], first_line: u32) -> Self {
        let mut lines = Builder::new(first_line);
        let mut rest = table;
        while let Some((&head, tail)) = rest.split_first() {
            let body = tail.iter().position(|byte| byte & 0x80 != 0).unwrap_or(tail.len());
            let (units, form) = (u32::from(head & 7) + 1, head >> 3 & 15);
            match form {
                10..=12 => lines.step(i64::from(form) - 10),
                13 | 14 => lines.step(signed_varint(&tail[..body])),
                _ => {}
            }
            lines.extend(units * 2, form != 15);
            rest = &tail[body..];
        }
        lines.table
    }

    /// The line of the instruction at an offset in bytes.
    pub fn line(&self, offset: u32) -> Option<u32> {
        let index = self.runs.partition_point(|run| run.end <= offset);
        self.runs.get(index)?.line
    }
}

/// Six bits a byte, the lowest first; bit 6 says that more follow. The lowest bit of all is the sign.
fn signed_varint(bytes: &[u8]) -> i64 {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            break;
        }
    }
    let magnitude = (value >> 1).cast_signed();
    if value & 1 == 1 { -magnitude } else { magnitude }
}

/// Where a decoder stands.
struct Builder {
    table: LineTable,
    line: i64,
    end: u32,
}

impl Builder {
    fn new(first_line: u32) -> Self {
        Self { table: LineTable::default(), line: first_line.into(), end: 0 }
    }

    fn step(&mut self, lines: i64) {
        self.line = self.line.saturating_add(lines);
    }

    /// The next so many bytes have the present line, or none.
    fn extend(&mut self, bytes: u32, has_line: bool) {
        if bytes == 0 {
            return;
        }
        self.end = self.end.saturating_add(bytes);
        let line = u32::try_from(self.line).ok().filter(|_| has_line);
        match self.table.runs.last_mut() {
            Some(last) if last.line == line => last.end = self.end,
            _ => self.table.runs.push(Run { end: self.end, line }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(table: &LineTable, offsets: impl IntoIterator<Item = u32>) -> Vec<Option<u32>> {
        offsets.into_iter().map(|offset| table.line(offset)).collect()
    }

    /// The example of `Objects/lnotab_notes.txt`: byte code offsets 0, 6, 50, 350, 361 on lines 1, 2, 7, 207, 208.
    #[test]
    fn the_example_of_the_notes_is_decoded() {
        let table = LineTable::of_lnotab(&[6, 1, 44, 5, 255, 0, 45, 127, 0, 73, 11, 1], 1, 400);
        assert_eq!(
            lines(&table, [0, 5, 6, 49, 50, 349, 350, 360, 361, 399, 400]),
            [1, 1, 2, 2, 7, 7, 207, 207, 208, 208, 0].map(|line| (line > 0).then_some(line))
        );
    }

    #[test]
    fn instructions_without_a_line_have_none_and_do_not_move_it() {
        let table = LineTable::of_pep_626(&[4, 2, 6, 128, 2, 255], 10);
        assert_eq!(lines(&table, [0, 4, 10, 12]), [Some(12), None, Some(11), None]);
    }

    #[test]
    fn every_form_of_location_keeps_its_line() {
        let short = [0x80 | 2 << 3 | 1, 0x11];
        let one_line = [0x80 | 11 << 3, 4, 9];
        let none = [0x80 | 15 << 3];
        let no_columns = [0x80 | 13 << 3, 0b11];
        let long = [0x80 | 14 << 3, 64 | 8, 3, 0, 1, 1];
        let table = [&short[..], &one_line, &none, &no_columns, &long].concat();
        let table = LineTable::of_pep_657(&table, 100);
        assert_eq!(
            lines(&table, [0, 2, 4, 6, 8, 10, 12]),
            [Some(100), Some(100), Some(101), None, Some(100), Some(200), None]
        );
    }

    proptest! {
        #[test]
        fn no_table_is_too_broken(table in prop::collection::vec(any::<u8>(), 0..600), first in any::<u32>(), offset in any::<u32>()) {
            LineTable::of_lnotab(&table, first, offset).line(offset);
            LineTable::of_pep_626(&table, first).line(offset);
            LineTable::of_pep_657(&table, first).line(offset);
        }
    }
}
