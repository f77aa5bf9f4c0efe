//! Names the frames of a stack, while the process that ran them still has their code.

use super::names::Names;
use crate::cpython::code::CodeObject;
use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;
use crate::family::breaks::{Frame, Function, NONE};
use crate::kernel::agent::Stack;
use std::collections::HashMap;

/// A frame by number, and whether outer ones are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedStack {
    /// The innermost frame.
    pub frame: u32,
    /// More than 64 frames.
    pub cut: bool,
}

/// The stacks of all processes, by process and by their number there.
#[derive(Debug, Default)]
pub struct Stacks {
    known: HashMap<(u32, u32), NamedStack>,
    codes: HashMap<(u32, u64), Option<NamedCode>>,
}

/// A code object and the number of its function.
#[derive(Debug)]
struct NamedCode {
    code: CodeObject,
    function: u32,
}

impl Stacks {
    /// The stack that has a number in a process. `read` gives it when it was not seen before.
    pub fn name(
        &mut self,
        names: &mut Names,
        (pid, number): (u32, u32),
        read: impl FnOnce() -> Option<Stack>,
        memory: &dyn Memory,
        offsets: &Offsets,
    ) -> Option<NamedStack> {
        if let Some(&found) = self.known.get(&(pid, number)) {
            return Some(found);
        }
        let stack = read()?;
        let mut parent = NONE;
        for word in stack.frames.iter().rev() {
            let code = self.codes.entry((pid, word.code)).or_insert_with(|| {
                let code = CodeObject::read(memory, offsets, word.code)?;
                let function = names.function(Function {
                    name: code.name.clone(),
                    file: code.file.clone(),
                    line: code.first_line,
                });
                Some(NamedCode { code, function })
            });
            let Some(NamedCode { code, function }) = code else { continue };
            let line = code.line_at(word.instruction).unwrap_or(0);
            parent = names.frame(Frame { parent, function: *function, line });
        }
        if parent == NONE {
            return None;
        }
        let found = NamedStack { frame: parent, cut: stack.cut };
        self.known.insert((pid, number), found);
        Some(found)
    }
}
