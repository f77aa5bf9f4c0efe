//! Which registers every instruction reads and writes, and what they hold.

use super::super::bytecode::{Op, Program};
use super::Checked;
use crate::runtimes::toy::vm::value::Value;

/// What is known about a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing: it was not written on every way here, or a call has written over it.
    Nothing,
    /// Any value of the program.
    Value,
    /// A list.
    List,
    /// An integer of 63 bits.
    Small,
    /// The cell of a captured variable, which programs never see.
    Cell,
}

/// One thing an instruction does to a register. Reads come before writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    Read(u32, Holds),
    /// Reads whatever is there but nothing, and writes it to the second register.
    Copy(u32, u32),
    Write(u32, Holds),
    /// Leaves nothing in this register and all above it.
    Clobber(u32),
}

impl Access {
    /// The highest register that must be in the frame. What a call clobbers may begin at its end.
    pub(super) fn register(self) -> u32 {
        match self {
            Self::Read(register, _) | Self::Write(register, _) => register,
            Self::Copy(from, to) => from.max(to),
            Self::Clobber(first) => first.saturating_sub(1),
        }
    }
}

/// Calls the function with every access. Indexes of the instruction were found in range.
pub(super) fn accesses(program: &Program, op: Op, visit: &mut impl FnMut(Access) -> Checked) -> Checked {
    use Holds::{Cell, List, Small};
    let mut read = |register: u8, holds| visit(Access::Read(register.into(), holds));
    let value = Holds::Value;
    let (to, holds) = match op {
        Op::Immediate { to, bits } if Value::from_short_bits(bits).as_small_int().is_some() => (to, Small),
        Op::Immediate { to, .. }
        | Op::Constant { to, .. }
        | Op::GetGlobal { to, .. }
        | Op::GetCapture { to, .. }
        | Op::NewMap { to, .. } => (to, value),
        Op::CaptureCell { to, .. } => (to, Cell),
        Op::NewList { to, .. } => (to, List),
        Op::Move { to, from } => return visit(Access::Copy(from.into(), to.into())),
        Op::NewCell { to, from } => {
            read(from, value)?;
            (to, Cell)
        }
        Op::GetCell { to, cell } => {
            read(cell, Cell)?;
            (to, value)
        }
        Op::SetCell { cell, from } => {
            read(cell, Cell)?;
            return read(from, value);
        }
        Op::Append { list, from } => {
            read(list, List)?;
            return read(from, value);
        }
        Op::Arithmetic { to, left, right, .. }
        | Op::Compare { to, left, right, .. }
        | Op::GetIndex { to, object: left, index: right } => {
            read(left, value)?;
            read(right, value)?;
            (to, value)
        }
        Op::Negate { to, from } | Op::Not { to, from } | Op::GetField { to, object: from, .. } => {
            read(from, value)?;
            (to, value)
        }
        Op::Jump { .. } | Op::Loop { .. } => return Ok(()),
        Op::SetGlobal { from, .. }
        | Op::SetCapture { from, .. }
        | Op::Return { from }
        | Op::JumpIfFalse { condition: from, .. }
        | Op::JumpIfTrue { condition: from, .. }
        | Op::FailAssertion { message: from } => return read(from, value),
        Op::SetField { object, from, .. } => {
            read(object, value)?;
            return read(from, value);
        }
        Op::SetIndex { object, index, from } => {
            read(object, value)?;
            read(index, value)?;
            return read(from, value);
        }
        Op::CheckList { list } => {
            read(list, value)?;
            (list, List)
        }
        Op::NextItem { to, state, .. } => {
            read(state, List)?;
            visit(Access::Read(u32::from(state) + 1, Small))?;
            (to, value)
        }
        Op::NextNumber { to, state, .. } => {
            read(state, Small)?;
            visit(Access::Read(u32::from(state) + 1, Small))?;
            (to, Small)
        }
        Op::CheckRange { state } => {
            for bound in [u32::from(state), u32::from(state) + 1] {
                visit(Access::Read(bound, value))?;
                visit(Access::Write(bound, Small))?;
            }
            return Ok(());
        }
        Op::NewClosure { to, first, function } => {
            let captures = program.functions[function as usize].captures;
            read_all(first.into(), captures.into(), Cell, visit)?;
            (to, value)
        }
        Op::NewRecord { to, first, shape } => {
            let fields = program.shapes[shape as usize].0.len();
            read_all(first.into(), u32::try_from(fields).unwrap_or(u32::MAX), value, visit)?;
            (to, value)
        }
        Op::Call { .. } | Op::CallFunction { .. } | Op::CallBuiltin { .. } => {
            return call(program, op, visit);
        }
    };
    visit(Access::Write(to.into(), holds))
}

fn read_all(first: u32, count: u32, holds: Holds, visit: &mut impl FnMut(Access) -> Checked) -> Checked {
    (first..first.saturating_add(count)).try_for_each(|register| visit(Access::Read(register, holds)))
}

/// Reads the callee, if it is a value, and the arguments after it.
fn call(program: &Program, op: Op, visit: &mut impl FnMut(Access) -> Checked) -> Checked {
    let value = Holds::Value;
    match op {
        Op::Call { slot, arguments } => {
            read_all(slot.into(), u32::from(arguments) + 1, value, visit)?;
            called(slot, visit)
        }
        Op::CallFunction { slot, function } => {
            let parameters = program.functions[function as usize].parameters;
            read_all(u32::from(slot) + 1, parameters.into(), value, visit)?;
            called(slot, visit)
        }
        Op::CallBuiltin { slot, arguments, .. } => {
            read_all(u32::from(slot) + 1, arguments.into(), value, visit)?;
            visit(Access::Write(slot.into(), value))
        }
        _ => Ok(()),
    }
}

/// The result replaces the callee, and the callee's registers lie over all that come after.
fn called(slot: u8, visit: &mut impl FnMut(Access) -> Checked) -> Checked {
    visit(Access::Write(slot.into(), Holds::Value))?;
    visit(Access::Clobber(u32::from(slot) + 1))
}
