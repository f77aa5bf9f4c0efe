//! The interpreter loop.
//!
//! It does itself what programs do most and leaves the rest to [`operations`](super::operations).

use super::calls::{Callee, NESTING_LIMIT, too_deep};
use super::cursor::Cursor;
use super::quick;
use super::value::Value;
use super::{DEPTH_WORD, Frame, Vm};
use crate::runtimes::toy::gc::object::LIST_COUNT;
use crate::runtimes::toy::lang::bytecode::Op;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;

impl Vm {
    /// Runs a function from its start to its end.
    pub(crate) fn interpret(&mut self, function: u32, base: usize) -> Result<(), Diagnostic> {
        let start = Frame { function, pc: 0, base };
        self.raise(start);
        self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) + 1);
        self.resume(start)
    }

    /// Runs a call that has begun to its end.
    pub(crate) fn resume(&mut self, start: Frame) -> Result<(), Diagnostic> {
        let (floor, depth) = (self.frames.len(), self.stack.get(DEPTH_WORD) - 1);
        self.nesting += 1;
        let result = if self.nesting > NESTING_LIMIT + 1 {
            Err(self.diagnostic(start, too_deep()))
        } else if self.heap.is_counting() {
            self.run_frames::<true>(start, floor)
        } else {
            self.run_frames::<false>(start, floor)
        };
        self.nesting -= 1;
        if result.is_err() {
            self.frames.truncate(floor);
            self.stack.set(DEPTH_WORD, depth);
        }
        result
    }

    #[expect(clippy::too_many_lines, reason = "one arm for every instruction")]
    fn run_frames<const COUNTED: bool>(&mut self, start: Frame, floor: usize) -> Result<(), Diagnostic> {
        let mut at = self.cursor(start);
        loop {
            let op = at.fetch();
            match op {
                Op::Immediate { to, bits } => self.put::<COUNTED>(&at, to, Value::from_short_bits(bits)),
                Op::Move { to, from } => self.put::<COUNTED>(&at, to, at.get(from)),
                Op::Constant { to, index } => {
                    let value = Value(self.globals.get(self.constant_word(index)));
                    self.put::<COUNTED>(&at, to, value);
                }
                Op::GetGlobal { to, index } => match Value(self.globals.get(index as usize)) {
                    Value::UNSET => self.operate_as(at.site(), op)?,
                    value => self.put::<COUNTED>(&at, to, value),
                },
                Op::GetCapture { to, index } => {
                    let value = self.heap.slot(self.captured_cell(at.site(), index), 0);
                    self.put::<COUNTED>(&at, to, value);
                }
                Op::Arithmetic { operator, to, left, right } => {
                    match quick::int_arithmetic(operator, at.get(left), at.get(right)) {
                        Some(value) => self.put::<COUNTED>(&at, to, value),
                        None => self.other_arithmetic::<COUNTED>(&at, op)?,
                    }
                }
                Op::Compare { operator, to, left, right } => {
                    match quick::compare_ints(operator, at.get(left), at.get(right)) {
                        Some(holds) => {
                            self.put::<COUNTED>(&at, to, Value::boolean(holds));
                            branch_at_once(&mut at, to, holds);
                        }
                        None => self.other_comparison::<COUNTED>(&at, op)?,
                    }
                }
                Op::Negate { from, .. } => {
                    let (site, value) = (at.site(), at.get(from));
                    if value.as_small_int().is_none() {
                        self.jit.note(site.function, site.pc, [value; 2]);
                    }
                    self.operate_as(site, op)?;
                }
                Op::Jump { target } => at.jump(target),
                Op::Loop { target } => {
                    at.jump(target);
                    if let Some(code) = self.round(&at, target) {
                        self.enter_code(code, at.site().base)?;
                        match self.caller(floor) {
                            Some(caller) => at = caller,
                            None => return Ok(()),
                        }
                    }
                }
                Op::JumpIfFalse { condition, target } => {
                    if !at.get(condition).is_truthy() {
                        at.jump(target);
                    }
                }
                Op::JumpIfTrue { condition, target } => {
                    if at.get(condition).is_truthy() {
                        at.jump(target);
                    }
                }
                Op::NextItem { to, state, exit } => match self.next_item(&at, state) {
                    Some(item) => self.put::<COUNTED>(&at, to, item),
                    None => at.jump(exit),
                },
                Op::NextNumber { to, state, exit } => match next_number(&at, state) {
                    Some(number) => self.put::<COUNTED>(&at, to, number),
                    None => at.jump(exit),
                },
                Op::GetIndex { to, object, index } => match self.quick_item(at.get(object), at.get(index)) {
                    Some(item) => self.put::<COUNTED>(&at, to, item),
                    None => self.other_access(&at, op)?,
                },
                Op::SetIndex { object, index, from } => {
                    if !self.quick_set_item(at.get(object), at.get(index), at.get(from)) {
                        self.other_access(&at, op)?;
                    }
                }
                Op::GetField { to, object, name } => match self.find_field(at.get(object), name) {
                    Some((_, position)) => {
                        self.notice::<COUNTED>(&at);
                        let value = self.heap.slot(at.get(object).0, position);
                        self.put::<COUNTED>(&at, to, value);
                    }
                    None => self.operate_as(at.site(), op)?,
                },
                Op::SetField { object, from, name } => match self.find_field(at.get(object), name) {
                    Some((_, position)) => {
                        self.notice::<COUNTED>(&at);
                        self.heap.set_slot(at.get(object).0, position, at.get(from));
                    }
                    None => self.operate_as(at.site(), op)?,
                },
                Op::Call { .. } | Op::CallFunction { .. } => {
                    self.notice::<COUNTED>(&at);
                    self.call(&mut at, op)?;
                }
                Op::Return { from } => {
                    self.end_registers::<COUNTED>(at.site(), at.get(from));
                    self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) - 1);
                    match self.caller(floor) {
                        Some(caller) => at = caller,
                        None => return Ok(()),
                    }
                }
                _ => self.operate_as(at.site(), op)?,
            }
        }
    }

    /// Writes a register. A policy that counts references counts here.
    #[inline]
    fn put<const COUNTED: bool>(&mut self, at: &Cursor, to: u8, value: Value) {
        if COUNTED {
            self.set_register(at.site(), to, value);
        } else {
            at.set(to, value);
        }
    }

    /// Tells an observer of a place that compiled code would change.
    #[inline]
    fn notice<const COUNTED: bool>(&mut self, at: &Cursor) {
        if COUNTED {
            let Frame { function, pc, .. } = at.site();
            self.heap.observed(|observer| observer.runs((function, pc)));
        }
    }

    /// Makes the call, or goes where it is interpreted.
    fn call(&mut self, at: &mut Cursor, op: Op) -> Result<(), Diagnostic> {
        let site = at.site();
        match self.callee(site, op)? {
            Callee::Builtin { builtin, slot, arguments } => {
                self.operate_as(site, Op::CallBuiltin { slot, arguments, builtin })
            }
            Callee::Function { function, base } => {
                if let Some(entry) = self.compiled(function, base) {
                    return self.run_compiled(entry, base);
                }
                self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) + 1);
                let callee = Frame { function, pc: 0, base };
                self.raise(callee);
                self.frames.push(*at);
                *at = self.cursor(callee);
                Ok(())
            }
        }
    }

    /// Arithmetic of anything but small integers, which the compiler wants to know.
    fn other_arithmetic<const COUNTED: bool>(&mut self, at: &Cursor, op: Op) -> Result<(), Diagnostic> {
        let Op::Arithmetic { operator, to, left, right } = op else { return Ok(()) };
        let site = at.site();
        self.jit.note(site.function, site.pc, [at.get(left), at.get(right)]);
        match quick::float_arithmetic(operator, at.get(left), at.get(right)) {
            Some(value) => self.put::<COUNTED>(at, to, value),
            None => self.operate_as(site, op)?,
        }
        Ok(())
    }

    fn other_comparison<const COUNTED: bool>(&mut self, at: &Cursor, op: Op) -> Result<(), Diagnostic> {
        let Op::Compare { operator, to, left, right } = op else { return Ok(()) };
        let site = at.site();
        self.jit.note(site.function, site.pc, [at.get(left), at.get(right)]);
        match quick::compare_others(operator, at.get(left), at.get(right)) {
            Some(holds) => self.put::<COUNTED>(at, to, Value::boolean(holds)),
            None => self.operate_as(site, op)?,
        }
        Ok(())
    }

    fn other_access(&mut self, at: &Cursor, op: Op) -> Result<(), Diagnostic> {
        let site = at.site();
        self.jit.note_other(site.function, site.pc);
        self.operate_as(site, op)
    }

    /// Where the call that has ended came from; nothing if it was the first one.
    fn caller(&mut self, floor: usize) -> Option<Cursor> {
        if self.frames.len() == floor { None } else { self.frames.pop() }
    }

    /// Counts a round of a loop; code for the rest of the call once the function is hot.
    fn round(&mut self, at: &Cursor, head: u32) -> Option<u64> {
        if !self.jit.can_compile() {
            return None;
        }
        let index = self.program.functions.len() + at.function as usize;
        let rounds = self.counters.get(index) + 1;
        self.counters.set(index, rounds);
        if !self.is_loop_hot(at.function, rounds) {
            return None;
        }
        self.loop_code(at.function, head, at.site().base)
    }

    fn next_item(&self, at: &Cursor, state: u8) -> Option<Value> {
        let (list, counter) = (at.get(state).0, at.get(state + 1));
        let index = counter.as_small_int()?.cast_unsigned();
        if index >= self.heap.load(list, LIST_COUNT) {
            return None;
        }
        // Tagged integers count by two.
        at.set(state + 1, Value(counter.0 + 2));
        Some(self.heap.list_item(list, index))
    }
}

fn next_number(at: &Cursor, state: u8) -> Option<Value> {
    let number = at.get(state);
    // Tagging keeps the order of integers.
    if number.0.cast_signed() >= at.get(state + 1).0.cast_signed() {
        return None;
    }
    at.set(state, Value(number.0.wrapping_add(2)));
    Some(number)
}

/// Most comparisons are made to jump, so the jump is made without a round of the interpreter.
#[inline]
fn branch_at_once(at: &mut Cursor, flag: u8, holds: bool) {
    let (condition, target, jumps) = match at.peek() {
        Op::JumpIfFalse { condition, target } => (condition, target, !holds),
        Op::JumpIfTrue { condition, target } => (condition, target, holds),
        _ => return,
    };
    if condition == flag {
        if jumps { at.jump(target) } else { at.skip() }
    }
}
