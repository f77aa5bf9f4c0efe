//! Code objects: which function runs, and on which line an instruction stands.

use super::lines::LineTable;
use super::memory::Memory;
use super::offsets::Offsets;
use super::strings::{bytes_length, read_bytes, read_str};

/// How a recorded instruction is turned into an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instruction {
    /// `f_lasti`, times so many bytes.
    Index(u32),
    /// An address, less that of the first instruction.
    Address(u64),
}

/// What is read of one code object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeObject {
    /// Where it is.
    pub address: u64,
    /// `co_filename`
    pub file: String,
    /// `co_qualname`; before 3.11 `co_name`.
    pub name: String,
    /// `co_firstlineno`: with decorators, the line of the first one.
    pub first_line: u32,
    /// Bytes of its instructions, inline caches included.
    pub code_bytes: u32,
    instruction: Instruction,
    lines: LineTable,
}

impl CodeObject {
    /// Reads the code object at an address. `None` if there is none, or memory of it is not to be had.
    pub fn read(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<Self> {
        let at = |offset: u64| address.checked_add(offset);
        let pointer = |offset: u64| memory.word(at(offset)?);
        let layout = &offsets.code;
        let code_bytes = u32::try_from(code_bytes(memory, offsets, address)?).ok()?;
        let first_line = memory.half(at(layout.first_line)?)?;
        let table = read_bytes(memory, offsets, pointer(layout.lines)?)?;
        let (instruction, lines) = match offsets.version {
            (3, 9) => (Instruction::Index(1), LineTable::of_lnotab(&table, first_line, code_bytes)),
            (3, 10) => (Instruction::Index(2), LineTable::of_pep_626(&table, first_line)),
            _ => (Instruction::Address(at(layout.code)?), LineTable::of_pep_657(&table, first_line)),
        };
        Some(Self {
            address,
            file: read_str(memory, offsets, pointer(layout.file)?)?,
            name: read_str(memory, offsets, pointer(layout.name)?)?,
            first_line,
            code_bytes,
            instruction,
            lines,
        })
    }

    /// The line of an instruction, recorded as it stands in a frame: `f_lasti` (3.9, 3.10), else an
    /// address (`prev_instr`, `instr_ptr`).
    ///
    /// A frame that did not begin yet stands before the first instruction, on the first line. `None`
    /// where the compiler gave no line, and for instructions of other code.
    pub fn line_at(&self, instruction: u64) -> Option<u32> {
        match self.offset_of(instruction)? {
            offset if offset < 0 => Some(self.first_line),
            offset => self.lines.line(u32::try_from(offset).ok()?),
        }
    }

    /// Bytes from the first instruction; negative for a frame that did not begin.
    fn offset_of(&self, instruction: u64) -> Option<i64> {
        let offset = match self.instruction {
            #[expect(clippy::cast_possible_truncation, reason = "f_lasti is an int")]
            Instruction::Index(scale) => i64::from((instruction as u32).cast_signed()) * i64::from(scale),
            Instruction::Address(first) => instruction.wrapping_sub(first).cast_signed(),
        };
        (-2..i64::from(self.code_bytes)).contains(&offset).then_some(offset)
    }
}

/// 3.11+ counts the code units behind the struct, before that `co_code` is a bytes object.
fn code_bytes(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<u64> {
    match offsets.code.units {
        Some(units) => memory.word(address.checked_add(units)?)?.checked_mul(2),
        None => bytes_length(memory, offsets, memory.word(address.checked_add(offsets.code.code)?)?),
    }
}
