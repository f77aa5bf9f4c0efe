//! What registers hold at every instruction, along every way that leads there.

use super::super::bytecode::{Function, Op, Program};
use super::accesses::{Access, Holds, accesses};
use std::collections::{BTreeMap, BTreeSet};

/// One entry a register.
type State = Vec<Holds>;

/// Follows all ways through a function. Its instructions have passed the other checks.
///
/// Where ways meet, a register holds what it holds on all of them. A place is followed again whenever
/// less is known about it than before, which happens at most twice for each register.
pub(super) fn check(program: &Program, function: &Function) -> Result<(), (usize, String)> {
    let mut ways = Ways::default();
    let mut start = vec![Holds::Nothing; usize::from(function.frame)];
    start[..usize::from(function.parameters)].fill(Holds::Value);
    ways.meet(0, &start);
    while let Some((mut pc, mut state)) = ways.next() {
        loop {
            let op = function.code[pc];
            pass(program, op, &mut state).map_err(|why| (pc, why))?;
            if let Some(target) = jump_target(op) {
                ways.meet(target as usize, &state);
            }
            if !goes_on(op) {
                break;
            }
            pc += 1;
            if ways.met.contains_key(&pc) {
                ways.meet(pc, &state);
                break;
            }
        }
    }
    Ok(())
}

/// Where an instruction may jump to.
pub(super) fn jump_target(op: Op) -> Option<u32> {
    match op {
        Op::Jump { target }
        | Op::Loop { target }
        | Op::JumpIfFalse { target, .. }
        | Op::JumpIfTrue { target, .. }
        | Op::NextItem { exit: target, .. }
        | Op::NextNumber { exit: target, .. } => Some(target),
        _ => None,
    }
}

fn goes_on(op: Op) -> bool {
    !matches!(op, Op::Jump { .. } | Op::Loop { .. } | Op::Return { .. } | Op::FailAssertion { .. })
}

/// Checks what the instruction reads, and notes what it writes.
fn pass(program: &Program, op: Op, state: &mut State) -> Result<(), String> {
    accesses(program, op, &mut |access| {
        match access {
            Access::Read(register, wanted) => {
                let found = state[register as usize];
                let is_fine = match wanted {
                    Holds::Value => matches!(found, Holds::Value | Holds::List | Holds::Small),
                    _ => found == wanted,
                };
                if !is_fine {
                    return Err(format!("register {register} holds {found:?} here, not {wanted:?}"));
                }
            }
            Access::Copy(from, to) => match state[from as usize] {
                Holds::Nothing => return Err(format!("register {from} holds Nothing here")),
                held => state[to as usize] = held,
            },
            Access::Write(register, holds) => state[register as usize] = holds,
            Access::Clobber(first) => state[first as usize..].fill(Holds::Nothing),
        }
        Ok(())
    })
}

/// Places where ways meet, and which of them have to be followed.
#[derive(Default)]
struct Ways {
    met: BTreeMap<usize, State>,
    waiting: BTreeSet<usize>,
}

impl Ways {
    /// The first place in the code, so that most places are followed only when all is known.
    fn next(&mut self) -> Option<(usize, State)> {
        let pc = self.waiting.pop_first()?;
        Some((pc, self.met.get(&pc)?.clone()))
    }

    fn meet(&mut self, pc: usize, state: &State) {
        let Some(known) = self.met.get_mut(&pc) else {
            self.met.insert(pc, state.clone());
            self.waiting.insert(pc);
            return;
        };
        for (known, found) in known.iter_mut().zip(state) {
            let common = common(*known, *found);
            if common != *known {
                *known = common;
                self.waiting.insert(pc);
            }
        }
    }
}

/// What is true on both ways.
fn common(left: Holds, right: Holds) -> Holds {
    let is_value = |holds| matches!(holds, Holds::Value | Holds::List | Holds::Small);
    match (left, right) {
        _ if left == right => left,
        _ if is_value(left) && is_value(right) => Holds::Value,
        _ => Holds::Nothing,
    }
}
