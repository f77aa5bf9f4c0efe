//! How to compile one function: from where, for which values, and whether to guess.

use super::effects::Effects;
use super::types::{Seen, Type, Types};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::lang::bytecode::{Function, Program};

/// Where control comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Start {
    /// At a call.
    Call,
    /// At the head of a loop, in a call that the interpreter began.
    Loop(u32),
}

impl Start {
    pub(super) const fn pc(self) -> u32 {
        match self {
            Self::Call => 0,
            Self::Loop(head) => head,
        }
    }
}

pub(super) struct Plan {
    pub(super) start: Start,
    pub(super) effects: Effects,
    pub(super) types: Types,
    /// What registers are guessed to hold at the start.
    pub(super) seeds: Vec<(u8, Type)>,
    /// What the interpreter saw at each instruction.
    pub(super) seen: Vec<Seen>,
    /// Whether guesses are guarded. If not, nothing is guessed: control may come in at every
    /// instruction, and every value stands on the VM stack between two of them.
    pub(super) guards: bool,
    /// Whether registers have homes.
    pub(super) homes: bool,
}

impl Plan {
    /// Guesses nothing.
    pub(super) fn plain(program: &Program, function: &Function) -> Self {
        Self {
            start: Start::Call,
            effects: Effects::of(program, function),
            types: Types::unknown(function),
            seeds: Vec::new(),
            seen: Vec::new(),
            guards: false,
            homes: false,
        }
    }

    /// Guesses from what was seen. `type_of` tells what a register holds right now.
    ///
    /// A policy that counts references has to see every write of a register, so that there is nothing to
    /// gain.
    pub(super) fn guessing(
        program: &Program,
        function: &Function,
        start: Start,
        type_of: impl Fn(u8) -> Type,
        seen: &[Seen],
        barrier: Barrier,
    ) -> Option<Self> {
        if matches!(barrier, Barrier::CountInHeader | Barrier::CountBeside) {
            return None;
        }
        let effects = Effects::of(program, function);
        let registers = match start {
            Start::Call => u16::from(function.parameters),
            Start::Loop(_) => function.frame,
        };
        let pc = start.pc() as usize;
        let seeds: Vec<(u8, Type)> = (0..u8::try_from(registers).unwrap_or(u8::MAX))
            .filter(|register| effects.is_live(pc, *register))
            .map(|register| (register, type_of(register)))
            .filter(|(_, kind)| *kind != Type::Unknown)
            .collect();
        let mut at_start = vec![Type::Unknown; usize::from(function.frame)];
        for (register, kind) in &seeds {
            at_start[usize::from(*register)] = *kind;
        }
        let types = Types::flow(program, function, &effects, seen, (pc, at_start.into()))?;
        let homes = barrier == Barrier::None;
        Some(Self { start, effects, types, seeds, seen: seen.to_vec(), guards: true, homes })
    }
}
