//! Leaving compiled code where a guess is wrong, and what is learned from that.
//!
//! The values of the frame are back on the VM stack when [`Vm::leave`] is called. The interpreter goes
//! on with the instruction whose guess failed and runs the call to its end. Where compiled and
//! interpreted code already alternate too deeply, code that guesses nothing goes on instead: then the
//! native stack does not grow.

use super::Jit;
use super::plan::{Plan, Start};
use super::types::{SEEN_FLOATS, SEEN_MIXED, SEEN_OTHER, Seen, Type};
use crate::runtimes::toy::gc::object::Kind;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::vm::calls::NESTING_LIMIT;
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::vm::{Frame, Vm};
use std::collections::HashMap;

/// Wrong guesses of one function, after each of which it is compiled anew with what was learned. After
/// so many, it is compiled without any.
const WRONG_GUESSES: u32 = 8;

/// A way out of compiled code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) function: u32,
    pub(super) pc: u32,
    /// Registers whose words on the stack are the bits of floats.
    pub(super) floats: Vec<u8>,
    /// Whether a guess about an argument, or about a register at the head of a loop, was wrong.
    pub(super) is_seed: bool,
}

/// What is known about one function besides its code.
#[derive(Debug, Default)]
pub(super) struct Experience {
    /// What the interpreter saw at each instruction.
    seen: Vec<Seen>,
    wrong_guesses: u32,
    /// Whether what comes in at the start changes too much to guess it.
    is_unsteady: bool,
    /// Code that guesses nothing: the address of every instruction's.
    plain: Vec<u64>,
    /// Code for the rest of a call from the head of a loop on.
    loops: HashMap<u32, u64>,
    /// Code of the function that wrong guesses outdated, and that calls may still lead to.
    outdated: Vec<u64>,
}

impl Jit {
    /// Notes what an instruction worked on besides integers in the word.
    pub(crate) fn note(&mut self, function: u32, pc: u32, operands: [Value; 2]) {
        let Some(experience) = self.experience.get_mut(function as usize) else { return };
        let [left, right] = operands.map(number_in_word);
        let seen = match (left, right) {
            (Some(Type::Float), Some(Type::Float)) => SEEN_FLOATS,
            (Some(Type::Float), Some(_)) | (Some(_), Some(Type::Float)) => SEEN_MIXED,
            _ => SEEN_OTHER,
        };
        let pc = pc as usize;
        if experience.seen.len() <= pc {
            experience.seen.resize(pc + 1, 0);
        }
        experience.seen[pc] |= seen;
    }

    /// Notes that an item access was not that of a list with an index inside of it.
    pub(crate) fn note_other(&mut self, function: u32, pc: u32) {
        self.note(function, pc, [Value::NIL; 2]);
    }

    fn guesses(&self, function: u32) -> bool {
        let freezes = self.compiled.as_ref().is_some_and(|code| code.policy.freezes);
        let experience = self.experience.get(function as usize);
        !freezes && experience.is_some_and(|experience| experience.wrong_guesses < WRONG_GUESSES)
    }

    /// Outdates the function's code, so that it is compiled anew when it is entered next.
    fn guessed_wrong(&mut self, exit: &Exit) {
        if !self.can_compile() {
            return;
        }
        let function = exit.function as usize;
        let Some(experience) = self.experience.get_mut(function) else { return };
        experience.wrong_guesses += 1;
        experience.is_unsteady |= exit.is_seed;
        experience.loops.clear();
        let entry = std::mem::take(&mut self.entries[function]);
        if entry != 0 {
            experience.outdated.push(entry);
        }
    }
}

impl Vm {
    /// Compiles a function whose registers are at this index of the stack; nothing when there is no
    /// room left.
    pub(crate) fn compile(&mut self, function: u32, base: Option<usize>) -> Option<u64> {
        let guess = self.plan(function, Start::Call, base);
        let entry = match guess {
            Some(plan) => self.assemble(function, plan)?,
            None => *self.plain(function)?.first()?,
        };
        self.jit.entries[function as usize] = entry;
        let outdated = std::mem::take(&mut self.jit.experience[function as usize].outdated);
        self.relink(&outdated, entry);
        Some(entry)
    }

    fn plan(&self, function: u32, start: Start, base: Option<usize>) -> Option<Plan> {
        let experience = self.jit.experience.get(function as usize)?;
        if !self.jit.guesses(function) {
            return None;
        }
        let type_of = |register: u8| match base {
            Some(base) if !experience.is_unsteady => {
                self.type_of(self.register(Frame { function, pc: 0, base }, register))
            }
            _ => Type::Unknown,
        };
        let code = &self.program.functions[function as usize];
        Plan::guessing(&self.program, code, start, type_of, &experience.seen, self.heap.barrier())
    }

    fn type_of(&self, value: Value) -> Type {
        match number_in_word(value) {
            Some(kind) => kind,
            None if self.heap.address_of(value, Kind::List).is_some() => Type::List,
            None => Type::Unknown,
        }
    }

    /// Code for the rest of a call whose registers are at this index, from the head of a loop on. It is
    /// entered with [`Vm::enter_code`].
    pub(crate) fn loop_code(&mut self, function: u32, head: u32, base: usize) -> Option<u64> {
        if let Some(code) = self.jit.experience.get(function as usize)?.loops.get(&head) {
            return Some(*code).filter(|code| *code != 0);
        }
        if !self.jit.can_compile() {
            return None;
        }
        let code = match self.plan(function, Start::Loop(head), Some(base)) {
            Some(plan) => self.assemble(function, plan),
            None => self.plain(function).and_then(|plain| plain.get(head as usize + 1).copied()),
        };
        // Zero: it was tried in vain.
        self.jit.experience[function as usize].loops.insert(head, code.unwrap_or_default());
        code
    }

    /// Addresses of code that guesses nothing: the function's entry, then every instruction.
    fn plain(&mut self, function: u32) -> Option<&[u64]> {
        let known = self.jit.experience.get(function as usize)?;
        if known.plain.is_empty() {
            if !self.jit.can_compile() {
                return None;
            }
            let plan = Plan::plain(&self.program, &self.program.functions[function as usize]);
            self.assemble(function, plan)?;
        }
        Some(&self.jit.experience[function as usize].plain)
    }

    /// Goes on where compiled code left at an exit. Answers nothing after the call has ended, or the
    /// address of code to go on with.
    pub(super) fn leave(&mut self, registers: u64, number: u32) -> Result<Option<u64>, Diagnostic> {
        let exit = self.jit.compiled.as_ref().and_then(|code| code.exits.get(number as usize)).cloned();
        let Some(exit) = exit else { return Err(self.lost("compiled code left by an unknown way")) };
        let frame = self.frame_of(registers, exit.function, exit.pc);

        if let Err(diagnostic) = self.box_floats(frame, &exit.floats) {
            self.abandon_call();
            return Err(diagnostic);
        }
        if !self.was_told_to_leave() {
            self.jit.guessed_wrong(&exit);
        }
        if self.nesting >= NESTING_LIMIT
            && let Some(code) =
                self.plain(exit.function).and_then(|plain| plain.get(exit.pc as usize + 1).copied())
        {
            return Ok(Some(code));
        }
        self.resume(frame)?;
        Ok(None)
    }

    /// Makes values of words that are the bits of floats. Those that need an object have to wait until
    /// no word is raw any more, for their allocation may collect.
    fn box_floats(&mut self, frame: Frame, floats: &[u8]) -> Result<(), Diagnostic> {
        let mut rare = Vec::new();
        for register in floats {
            let float = f64::from_bits(self.register(frame, *register).0);
            let value = Value::small_float(float);
            if value.is_none() {
                rare.push((*register, float));
            }
            self.set_register(frame, *register, value.unwrap_or(Value::NIL));
        }
        rare.into_iter().try_for_each(|(register, float)| self.set_rare_float(frame, register, float))
    }
}

impl Experience {
    pub(super) fn set_plain(&mut self, entry: u64, instructions: &[usize]) {
        self.plain =
            std::iter::once(entry).chain(instructions.iter().map(|address| *address as u64)).collect();
    }
}

fn number_in_word(value: Value) -> Option<Type> {
    if value.as_small_int().is_some() {
        return Some(Type::Int);
    }
    value.as_small_float().map(|_| Type::Float)
}
