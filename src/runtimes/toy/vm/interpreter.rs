//! The interpreter loop, calls, and the choice between interpreting and compiled code.

use super::value::Value;
use super::{CALL_DEPTH_LIMIT, DEPTH_WORD, Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::{Kind, LIST_COUNT};
use crate::runtimes::toy::lang::bytecode::{BUILTINS, Op};
use crate::runtimes::toy::lang::diagnostic::Diagnostic;

/// Rounds of a loop that make a function as hot as one call does.
const ROUNDS_PER_CALL: u64 = 100;
/// How deep compiled and interpreted code may alternate before callees are compiled at once: the
/// native stack holds this many interpreter loops.
const NESTING_LIMIT: u32 = 48;

/// What a call leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// Runs with its registers from this stack index on.
    Function {
        function: u32,
        base: usize,
    },
    Builtin {
        builtin: u8,
        slot: u8,
        arguments: u8,
    },
}

impl Vm {
    /// Runs a function to its end, compiled if it is hot. Its arguments stand on the stack.
    pub(crate) fn invoke(&mut self, function: u32, base: usize) -> Result<(), Diagnostic> {
        match self.compiled(function) {
            Some(entry) => self.run_compiled(entry, base),
            None => self.interpret(function, base),
        }
    }

    /// The entry of the function's compiled code; counts the call and compiles what got hot.
    pub(crate) fn compiled(&mut self, function: u32) -> Option<u64> {
        if let Some(entry) = self.jit.entry(function) {
            return Some(entry);
        }
        if !self.jit.can_compile() {
            return None;
        }
        let calls = self.counters.get(function as usize) + 1;
        let rounds = self.counters.get(self.program.functions.len() + function as usize);
        let heat = calls + rounds / ROUNDS_PER_CALL;
        if heat >= u64::from(self.hot_calls) || self.nesting >= NESTING_LIMIT {
            return self.compile(function);
        }
        self.counters.set(function as usize, calls);
        None
    }

    pub(crate) fn interpret(&mut self, function: u32, base: usize) -> Result<(), Diagnostic> {
        let start = Frame { function, pc: 0, base };
        if self.nesting > NESTING_LIMIT {
            return Err(self.diagnostic(start, too_deep()));
        }
        let (floor, depth) = (self.frames.len(), self.stack.get(DEPTH_WORD));
        self.nesting += 1;
        let result = self.run_frames(start, floor);
        self.nesting -= 1;
        if result.is_err() {
            self.frames.truncate(floor);
            self.stack.set(DEPTH_WORD, depth);
        }
        result
    }

    fn run_frames(&mut self, start: Frame, floor: usize) -> Result<(), Diagnostic> {
        let mut frame = start;
        self.raise(frame);
        self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) + 1);
        loop {
            let site = frame;
            let op = self.program.functions[site.function as usize].code[site.pc as usize];
            frame.pc += 1;
            match op {
                Op::Immediate { to, bits } => self.set_register(site, to, Value::from_short_bits(bits)),
                Op::Move { to, from } => self.set_register(site, to, self.register(site, from)),
                Op::Jump { target } => frame.pc = target,
                Op::Loop { target } => {
                    self.count_round(site.function);
                    frame.pc = target;
                }
                Op::JumpIfFalse { condition, target } => {
                    if !self.register(site, condition).is_truthy() {
                        frame.pc = target;
                    }
                }
                Op::JumpIfTrue { condition, target } => {
                    if self.register(site, condition).is_truthy() {
                        frame.pc = target;
                    }
                }
                Op::NextItem { to, state, exit } => {
                    if !self.next_item(site, to, state) {
                        frame.pc = exit;
                    }
                }
                Op::NextNumber { to, state, exit } => {
                    if !self.next_number(site, to, state) {
                        frame.pc = exit;
                    }
                }
                Op::Call { .. } | Op::CallFunction { .. } => {
                    if let Some(callee) = self.begin_call(site, op)? {
                        self.frames.push(frame);
                        frame = callee;
                        self.raise(frame);
                    }
                }
                Op::Return { from } => {
                    self.stack.set(site.base - 1, self.register(site, from).0);
                    self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) - 1);
                    if self.frames.len() == floor {
                        return Ok(());
                    }
                    frame = self.frames.pop().unwrap_or(start);
                }
                _ => self.operate_as(site, op)?,
            }
        }
    }

    /// Makes the call, or returns the frame in which to interpret it.
    fn begin_call(&mut self, site: Frame, op: Op) -> Result<Option<Frame>, Diagnostic> {
        match self.callee(site, op)? {
            Callee::Builtin { builtin, slot, arguments } => {
                self.operate_as(site, Op::CallBuiltin { slot, arguments, builtin })?;
                Ok(None)
            }
            Callee::Function { function, base } => {
                if let Some(entry) = self.compiled(function) {
                    self.run_compiled(entry, base)?;
                    return Ok(None);
                }
                self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) + 1);
                Ok(Some(Frame { function, pc: 0, base }))
            }
        }
    }

    /// What the call at the site leads to, once everything about it is right.
    pub(crate) fn callee(&mut self, site: Frame, op: Op) -> Result<Callee, Diagnostic> {
        self.heap.observed(|observer| observer.runs((site.function, site.pc)));
        self.find_callee(site, op).map_err(|trap| self.diagnostic(site, trap))
    }

    fn find_callee(&self, site: Frame, op: Op) -> Result<Callee, Trap> {
        let (slot, function) = match op {
            Op::CallFunction { slot, function } => (slot, function),
            Op::Call { slot, arguments } => {
                let value = self.register(site, slot);
                if let Some(builtin) = value.as_builtin() {
                    if let Some(wanted) = BUILTINS[usize::from(builtin)].arguments {
                        check_count(arguments, wanted)?;
                    }
                    return Ok(Callee::Builtin { builtin, slot, arguments });
                }
                let Some(closure) = self.heap.address_of(value, Kind::Closure) else {
                    return Err(Trap::error(format!("cannot call {}", self.a_type(value))));
                };
                let function = self.heap.header(closure).function();
                check_count(arguments, self.program.functions[function as usize].parameters)?;
                (slot, function)
            }
            _ => return Err(Trap::error("no call")),
        };
        if self.stack.get(DEPTH_WORD) >= CALL_DEPTH_LIMIT {
            return Err(too_deep());
        }
        Ok(Callee::Function { function, base: site.base + usize::from(slot) + 1 })
    }

    fn count_round(&mut self, function: u32) {
        if self.jit.can_compile() {
            let index = self.program.functions.len() + function as usize;
            self.counters.set(index, self.counters.get(index) + 1);
        }
    }

    fn next_item(&mut self, site: Frame, to: u8, state: u8) -> bool {
        let list = self.register(site, state).0;
        let index = self.register(site, state + 1).as_small_int().unwrap_or(i64::MAX).cast_unsigned();
        if index >= self.heap.load(list, LIST_COUNT) {
            return false;
        }
        let item = self.heap.list_item(list, index);
        self.set_register(site, to, item);
        // Tagged integers count by two.
        self.set_register(site, state + 1, Value(self.register(site, state + 1).0 + 2));
        true
    }

    fn next_number(&mut self, site: Frame, to: u8, state: u8) -> bool {
        let number = self.register(site, state);
        // Tagging keeps the order of integers.
        if number.0.cast_signed() >= self.register(site, state + 1).0.cast_signed() {
            return false;
        }
        self.set_register(site, to, number);
        self.set_register(site, state, Value(number.0.wrapping_add(2)));
        true
    }
}

fn too_deep() -> Trap {
    Trap::error(format!("the calls are nested deeper than {CALL_DEPTH_LIMIT}; is this an endless recursion?"))
}

fn check_count(given: u8, wanted: u8) -> Result<(), Trap> {
    if given == wanted {
        return Ok(());
    }
    Err(Trap::error(format!("the function takes {wanted} arguments, not {given}")))
}
