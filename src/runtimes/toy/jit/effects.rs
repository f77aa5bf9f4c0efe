//! What instructions do to registers and where they lead: the facts a compiler needs about code.

use crate::runtimes::toy::lang::bytecode::{Function, Op, Program};

/// A set of registers of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Registers([u64; 4]);

impl Registers {
    pub(super) fn contains(self, register: u8) -> bool {
        self.0[usize::from(register >> 6)] >> (register & 63) & 1 == 1
    }

    pub(super) fn insert(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] |= 1 << (register & 63);
    }

    fn remove_all(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
    }

    /// The registers, ascending.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4_u8).flat_map(move |word| {
            let mut bits = self.0[usize::from(word)];
            std::iter::from_fn(move || {
                let lowest = u8::try_from(bits.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                bits &= bits - 1;
                Some(word * 64 + lowest)
            })
        })
    }

    fn insert_range(&mut self, first: u8, count: u8) {
        for register in first..first.saturating_add(count) {
            self.insert(register);
        }
    }

    fn join(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }
}

/// What one instruction does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effect {
    pub(super) reads: Registers,
    pub(super) writes: Registers,
    /// A call that may write all registers above this one.
    pub(super) clobbers: Option<u8>,
    pub(super) target: Option<u32>,
    /// Whether the next instruction never comes after it.
    pub(super) ends: bool,
}

impl Effect {
    fn reading<const N: usize>(mut self, registers: [u8; N]) -> Self {
        for register in registers {
            self.reads.insert(register);
        }
        self
    }

    fn reading_range(mut self, first: u8, count: u8) -> Self {
        self.reads.insert_range(first, count);
        self
    }

    fn writing<const N: usize>(mut self, registers: [u8; N]) -> Self {
        for register in registers {
            self.writes.insert(register);
        }
        self
    }

    fn jumping(mut self, target: u32) -> Self {
        self.target = Some(target);
        self
    }

    fn ending(mut self) -> Self {
        self.ends = true;
        self
    }

    fn clobbering(mut self, above: u8) -> Self {
        self.clobbers = Some(above);
        self
    }
}

pub(super) fn effect(program: &Program, op: Op) -> Effect {
    let none = Effect::default();
    match op {
        Op::Immediate { to, .. }
        | Op::Constant { to, .. }
        | Op::GetGlobal { to, .. }
        | Op::GetCapture { to, .. }
        | Op::CaptureCell { to, .. }
        | Op::NewList { to, .. }
        | Op::NewMap { to, .. } => none.writing([to]),
        Op::Move { to, from } | Op::NewCell { to, from } | Op::Negate { to, from } | Op::Not { to, from } => {
            none.reading([from]).writing([to])
        }
        Op::SetGlobal { from, .. } | Op::SetCapture { from, .. } => none.reading([from]),
        Op::GetCell { to, cell } => none.reading([cell]).writing([to]),
        Op::SetCell { cell, from } => none.reading([cell, from]),
        Op::NewClosure { to, first, function } => {
            let captures = program.functions[function as usize].captures;
            none.reading_range(first, captures).writing([to])
        }
        Op::Arithmetic { to, left, right, .. } | Op::Compare { to, left, right, .. } => {
            none.reading([left, right]).writing([to])
        }
        Op::Jump { target } | Op::Loop { target } => none.jumping(target).ending(),
        Op::JumpIfFalse { condition, target } | Op::JumpIfTrue { condition, target } => {
            none.reading([condition]).jumping(target)
        }
        Op::Call { slot, arguments } => {
            none.reading_range(slot, arguments.saturating_add(1)).writing([slot]).clobbering(slot)
        }
        Op::CallFunction { slot, function } => {
            let parameters = program.functions[function as usize].parameters;
            none.reading_range(slot + 1, parameters).writing([slot]).clobbering(slot)
        }
        Op::CallBuiltin { slot, arguments, .. } => none.reading_range(slot + 1, arguments).writing([slot]),
        Op::Return { from } => none.reading([from]).ending(),
        Op::Append { list, from } => none.reading([list, from]),
        Op::NewRecord { to, first, shape } => {
            let fields = u8::try_from(program.shapes[shape as usize].0.len()).unwrap_or(u8::MAX);
            none.reading_range(first, fields).writing([to])
        }
        Op::GetField { to, object, .. } => none.reading([object]).writing([to]),
        Op::SetField { object, from, .. } => none.reading([object, from]),
        Op::GetIndex { to, object, index } => none.reading([object, index]).writing([to]),
        Op::SetIndex { object, index, from } => none.reading([object, index, from]),
        Op::CheckList { list } => none.reading([list]),
        Op::NextItem { to, state, exit } => {
            none.reading([state, state + 1]).writing([to, state + 1]).jumping(exit)
        }
        Op::CheckRange { state } => none.reading([state, state + 1]),
        Op::NextNumber { to, state, exit } => {
            none.reading([state, state + 1]).writing([to, state]).jumping(exit)
        }
        Op::FailAssertion { message } => none.reading([message]).ending(),
    }
}

/// The effects of a function's instructions, and which registers are read later on.
pub(super) struct Effects {
    pub(super) at: Vec<Effect>,
    /// Registers that are read before they are written, from each instruction on.
    live: Vec<Registers>,
    /// The loops: index of the head and of the jump back to it, the inner ones first.
    pub(super) loops: Vec<(usize, usize)>,
    joins: Vec<bool>,
}

impl Effects {
    pub(super) fn of(program: &Program, function: &Function) -> Self {
        let at: Vec<Effect> = function.code.iter().map(|op| effect(program, *op)).collect();
        let mut joins = vec![false; at.len()];
        at.iter().filter_map(|effect| effect.target).for_each(|target| joins[target as usize] = true);
        let loops = function.code.iter().enumerate().filter_map(|(pc, op)| match op {
            Op::Loop { target } => Some((*target as usize, pc)),
            _ => None,
        });
        let mut effects =
            Self { live: vec![Registers::default(); at.len()], loops: loops.collect(), at, joins };
        while effects.spread_liveness() {}
        effects
    }

    /// One pass from the end; whether it found anything new. Loops take one more pass a nesting.
    fn spread_liveness(&mut self) -> bool {
        let mut found = false;
        for pc in (0..self.at.len()).rev() {
            let effect = self.at[pc];
            let mut live = Registers::default();
            if !effect.ends && pc + 1 < self.at.len() {
                live = self.live[pc + 1];
            }
            if let Some(target) = effect.target {
                live.join(self.live[target as usize]);
            }
            live.remove_all(effect.writes);
            live.join(effect.reads);
            found |= live != self.live[pc];
            self.live[pc] = live;
        }
        found
    }

    /// Whether the register's value may be read at the instruction or after it.
    pub(super) fn is_live(&self, pc: usize, register: u8) -> bool {
        self.live[pc].contains(register)
    }

    /// Whether jumps lead to the instruction.
    pub(super) fn is_join(&self, pc: usize) -> bool {
        self.joins[pc]
    }

    /// The instructions of the loop that begins at the head.
    pub(super) fn loop_at(&self, head: usize) -> Option<std::ops::RangeInclusive<usize>> {
        let last = self.loops.iter().filter(|(start, _)| *start == head).map(|(_, end)| *end).max()?;
        Some(head..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::toy::lang::{compiler, parser};

    fn effects(source: &str) -> Effects {
        let program = compiler::compile(&parser::parse(source).unwrap()).unwrap();
        Effects::of(&program, &program.functions[1])
    }

    #[test]
    fn what_a_loop_reads_is_alive_all_through_it() {
        let effects =
            effects("fn f(n, unused) { let sum = 0; for i in 0..n { sum = sum + i; } return sum; }");
        let (head, end) = effects.loops[0];
        let sum = 2;
        assert!((head..=end).all(|pc| effects.is_live(pc, sum)));
        assert!(effects.is_live(0, 0) && !effects.is_live(0, 1) && !effects.is_live(0, sum));
        assert!(!effects.is_live(end, 0), "the bound was copied");
        assert_eq!(effects.loop_at(head), Some(head..=end));
        assert!(effects.is_join(head) && !effects.is_join(0));
    }

    #[test]
    fn arguments_are_read_by_calls_and_dead_after_them() {
        let effects = effects("fn f(a, b) { return f(b, a); }");
        let call = effects.at.iter().position(|effect| effect.clobbers.is_some()).unwrap();
        let slot = effects.at[call].clobbers.unwrap();
        assert!(effects.is_live(call, slot + 1) && effects.is_live(call, slot + 2));
        assert!(!effects.is_live(call + 1, slot + 1) && effects.is_live(call + 1, slot));
    }
}
