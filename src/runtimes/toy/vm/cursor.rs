//! Where the interpreter stands: the next instruction and the registers it works on.
#![allow(unsafe_code, reason = "reads instructions and registers without checking every index")]

use super::value::Value;
use super::{Frame, Vm};
use crate::runtimes::toy::lang::bytecode::Op;
use std::ptr::NonNull;

/// A running function as the interpreter sees it.
///
/// The verifier lets only code run whose jumps stay inside of it, whose last instruction is a return or a
/// jump, and whose registers are below the frame's number of them. So one check at the call is enough.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) function: u32,
    base: usize,
    /// Index of the instruction that comes next.
    next: u32,
    code: NonNull<Op>,
    registers: NonNull<u64>,
}

impl Vm {
    /// Stands at the frame's instruction.
    pub(super) fn cursor(&self, frame: Frame) -> Cursor {
        let function = &self.program.functions[frame.function as usize];
        assert!((frame.pc as usize) < function.code.len(), "no instruction {}", frame.pc);
        Cursor {
            function: frame.function,
            base: frame.base,
            next: frame.pc,
            code: NonNull::from(function.code.as_slice()).cast(),
            registers: self.stack.range(frame.base, usize::from(function.frame)),
        }
    }
}

impl Cursor {
    /// The next instruction, and a step over it.
    pub(super) fn fetch(&mut self) -> Op {
        let op = self.peek();
        self.next += 1;
        op
    }

    /// The next instruction.
    pub(super) fn peek(&self) -> Op {
        // SAFETY: the index is inside of the function's code: it began there, and the verifier saw that
        // jumps stay inside and that nothing runs past the last one. The program is replaced only by
        // `Vm::extend`, when nothing runs.
        unsafe { self.code.add(self.next as usize).read() }
    }

    pub(super) fn jump(&mut self, target: u32) {
        self.next = target;
    }

    /// Steps over the next instruction.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    pub(super) fn get(&self, register: u8) -> Value {
        // SAFETY: the register is one of the frame's, which were checked to lie on the stack, and the
        // stack stays mapped while the machine runs. Nothing else refers to the word.
        Value(unsafe { self.registers.add(usize::from(register)).read() })
    }

    /// Writes a register, counting nothing.
    pub(super) fn set(&self, register: u8, value: Value) {
        // SAFETY: as for reading; the stack is always writable.
        unsafe { self.registers.add(usize::from(register)).write(value.0) }
    }

    /// The place of the instruction that was fetched last.
    pub(super) fn site(&self) -> Frame {
        Frame { function: self.function, pc: self.next.saturating_sub(1), base: self.base }
    }
}
