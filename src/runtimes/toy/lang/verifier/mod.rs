//! Checks bytecode before a machine runs it, so that no mistake of the compiler can make interpreted
//! or compiled code read or write what it must not.
//!
//! Instructions check the types of values as they run. What they do not check, the verifier proves:
//! indexes are in range, jumps arrive, registers are set before they are read, and those that must
//! hold a cell, a list or a small integer do so on every way there.

mod accesses;
mod flow;
#[cfg(test)]
mod tests;

use super::bytecode::{BUILTINS, Constant, Function, Op, Program, Shape};
use super::compiler::FRAME_LIMIT;
use super::diagnostic::{Diagnostic, Position};
use crate::runtimes::toy::vm::value::Value;
use accesses::accesses;
use std::collections::HashSet;

/// Why an instruction is refused.
type Checked = Result<(), String>;

/// Refuses a program that a machine must not run.
pub(crate) fn verify(program: &Program) -> Result<(), Diagnostic> {
    let start = Position::start_of(0);
    check_tables(program).map_err(|why| refused(start, "the program", &why))?;
    for function in &program.functions {
        let place = function.positions.first().copied().unwrap_or(start);
        let name = format!("the function '{}'", function.name);
        check_frame(function).map_err(|why| refused(place, &name, &why))?;
        let at = |pc: usize, why: &String| {
            let instruction = format!("{name}, instruction {pc}, {:?}", function.code[pc]);
            refused(function.positions[pc], &instruction, why)
        };
        for (pc, op) in function.code.iter().enumerate() {
            check_op(program, function, pc, *op).map_err(|why| at(pc, &why))?;
        }
        flow::check(program, function).map_err(|(pc, why)| at(pc, &why))?;
    }
    Ok(())
}

fn refused(at: Position, what: &str, why: &str) -> Diagnostic {
    Diagnostic::new(at, format!("the bytecode is wrong: {what}: {why}; this is an error of forkprint"))
}

/// Functions that nobody makes a closure of cannot capture anything.
fn check_tables(program: &Program) -> Checked {
    let plain = |index: u32| program.functions.get(index as usize).filter(|found| found.captures == 0);
    let started = |index: u32| plain(index).is_some_and(|found| found.parameters == 0);
    if !started(0) || !program.steps.iter().all(|step| started(step.function)) {
        return Err("the module level or a step is no function without parameters and captures".to_owned());
    }
    for constant in &program.constants {
        if let Constant::Function(index) = constant
            && plain(*index).is_none()
        {
            return Err(format!("the constant function {index} is missing or captures variables"));
        }
    }
    for Shape(names) in &program.shapes {
        let different: HashSet<&u32> = names.iter().collect();
        if names.len() > FRAME_LIMIT || different.len() < names.len() {
            return Err("a record shape has too many fields, or one of them twice".to_owned());
        }
        names.iter().try_for_each(|name| inside("name", *name, program.names.len()))?;
    }
    Ok(())
}

fn check_frame(function: &Function) -> Checked {
    if usize::from(function.frame) > FRAME_LIMIT || u16::from(function.parameters) > function.frame {
        return Err(format!("{} registers, {} parameters", function.frame, function.parameters));
    }
    if function.positions.len() != function.code.len() {
        return Err(format!(
            "{} positions for {} instructions",
            function.positions.len(),
            function.code.len()
        ));
    }
    match function.code.last() {
        Some(Op::Return { .. } | Op::Jump { .. } | Op::Loop { .. } | Op::FailAssertion { .. }) => Ok(()),
        _ => Err("the code runs over its end".to_owned()),
    }
}

/// What can be said about an instruction without knowing how the program gets there.
fn check_op(program: &Program, function: &Function, pc: usize, op: Op) -> Checked {
    check_indexes(program, function, op)?;
    check_jump(function, pc, op)?;
    accesses(program, op, &mut |access| {
        if access.register() < u32::from(function.frame) {
            return Ok(());
        }
        Err(format!("register {} is outside of the frame of {}", access.register(), function.frame))
    })
}

fn check_indexes(program: &Program, function: &Function, op: Op) -> Checked {
    match op {
        Op::Immediate { bits, .. } if !is_immediate(Value::from_short_bits(bits)) => {
            Err("this is no value that stands in an instruction".to_owned())
        }
        Op::Constant { index, .. } => inside("constant", index, program.constants.len()),
        Op::GetGlobal { index, .. } | Op::SetGlobal { index, .. } => {
            inside("variable", index, program.globals.len())
        }
        Op::GetCapture { index, .. } | Op::SetCapture { index, .. } | Op::CaptureCell { index, .. } => {
            inside("capture", index.into(), function.captures.into())
        }
        Op::NewClosure { function, .. } => inside("function", function, program.functions.len()),
        Op::CallFunction { function, .. } => {
            inside("function", function, program.functions.len())?;
            match program.functions[function as usize].captures {
                0 => Ok(()),
                captures => Err(format!("a function with {captures} captures is called without a closure")),
            }
        }
        Op::CallBuiltin { builtin, arguments, .. } => {
            inside("builtin", builtin.into(), BUILTINS.len())?;
            match BUILTINS[usize::from(builtin)].arguments {
                Some(wanted) if wanted != arguments => Err(format!("{arguments} arguments, not {wanted}")),
                _ => Ok(()),
            }
        }
        Op::NewRecord { shape, .. } => inside("shape", shape, program.shapes.len()),
        Op::GetField { name, .. } | Op::SetField { name, .. } => inside("name", name, program.names.len()),
        _ => Ok(()),
    }
}

/// Loops go back, everything else goes forward.
fn check_jump(function: &Function, pc: usize, op: Op) -> Checked {
    let (target, is_right_way) = match op {
        Op::Loop { target } => (target, target as usize <= pc),
        _ => match flow::jump_target(op) {
            Some(target) => (target, target as usize > pc),
            None => return Ok(()),
        },
    };
    inside("jump to", target, function.code.len())?;
    if is_right_way { Ok(()) } else { Err("the jump goes the wrong way".to_owned()) }
}

fn is_immediate(value: Value) -> bool {
    value.as_small_int().is_some()
        || value.as_small_float().is_some()
        || [Value::NIL, Value::TRUE, Value::FALSE].contains(&value)
        || value.as_builtin().is_some_and(|builtin| usize::from(builtin) < BUILTINS.len())
}

fn inside(what: &str, index: u32, count: usize) -> Checked {
    if (index as usize) < count { Ok(()) } else { Err(format!("{what} {index} of {count}")) }
}
