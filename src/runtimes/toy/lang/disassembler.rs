//! Bytecode as people read it.

use super::bytecode::{Arithmetic, BUILTINS, Comparison, Constant, Function, Op, Program};
use super::diagnostic::Sources;
use std::fmt::Write as _;

/// The functions of the program with this name, one listing each; all functions if none is given.
pub(crate) fn disassemble(program: &Program, sources: &Sources, name: Option<&str>) -> Vec<String> {
    let chosen = program.functions.iter().filter(|function| name.is_none_or(|name| *function.name == *name));
    chosen.map(|function| listing(program, sources, function)).collect()
}

/// The lines and columns of a listing are of the file that its first line names.
fn listing(program: &Program, sources: &Sources, function: &Function) -> String {
    let file = function.positions.first().map_or("?", |at| sources.name(at.file));
    let mut text = format!(
        "{} in {file}: parameters {}, captures {}, registers {}\n",
        function.name, function.parameters, function.captures, function.frame
    );
    for (pc, (op, at)) in function.code.iter().zip(&function.positions).enumerate() {
        let _ = writeln!(text, "  {pc:4}  {:>7}  {}", at.to_string(), instruction(program, *op));
    }
    text
}

fn instruction(program: &Program, op: Op) -> String {
    let name = |index: u32| program.names.get(index as usize).map_or("?", |name| name);
    let called = |index: u32| program.functions.get(index as usize).map_or("?", |function| &function.name);
    let global = |index: u32| program.globals.get(index as usize).map_or("?", |name| name);
    match op {
        Op::Immediate { to, bits } => format!("r{to} = {}", immediate(bits)),
        Op::Constant { to, index } => {
            let constant = program.constants.get(index as usize);
            format!("r{to} = {}", constant.map_or_else(String::new, |found| shown(program, found)))
        }
        Op::Move { to, from } => format!("r{to} = r{from}"),
        Op::GetGlobal { to, index } => format!("r{to} = global {}", global(index)),
        Op::SetGlobal { from, index } => format!("global {} = r{from}", global(index)),
        Op::NewCell { to, from } => format!("r{to} = new cell of r{from}"),
        Op::GetCell { to, cell } => format!("r{to} = value of cell r{cell}"),
        Op::SetCell { cell, from } => format!("value of cell r{cell} = r{from}"),
        Op::GetCapture { to, index } => format!("r{to} = capture {index}"),
        Op::SetCapture { index, from } => format!("capture {index} = r{from}"),
        Op::CaptureCell { to, index } => format!("r{to} = cell of capture {index}"),
        Op::NewClosure { to, first, function } => {
            format!("r{to} = closure {} over cells from r{first}", called(function))
        }
        Op::Arithmetic { operator, to, left, right } => {
            format!("r{to} = r{left} {} r{right}", arithmetic(operator))
        }
        Op::Compare { operator, to, left, right } => {
            format!("r{to} = r{left} {} r{right}", comparison(operator))
        }
        Op::Negate { to, from } => format!("r{to} = -r{from}"),
        Op::Not { to, from } => format!("r{to} = not r{from}"),
        Op::Jump { target } => format!("go to {target}"),
        Op::Loop { target } => format!("loop to {target}"),
        Op::JumpIfFalse { condition, target } => format!("unless r{condition} go to {target}"),
        Op::JumpIfTrue { condition, target } => format!("if r{condition} go to {target}"),
        Op::Call { slot, arguments } => format!("r{slot} = call r{slot} with {}", range(slot, arguments)),
        Op::CallFunction { slot, function } => {
            let arguments =
                program.functions.get(function as usize).map_or(0, |function| function.parameters);
            format!("r{slot} = call {} with {}", called(function), range(slot, arguments))
        }
        Op::CallBuiltin { slot, arguments, builtin } => {
            let name = BUILTINS.get(usize::from(builtin)).map_or("?", |builtin| builtin.name);
            format!("r{slot} = call builtin {name} with {}", range(slot, arguments))
        }
        Op::Return { from } => format!("return r{from}"),
        Op::NewList { to, room } => format!("r{to} = new list with room for {room}"),
        Op::NewMap { to, room } => format!("r{to} = new map with room for {room}"),
        Op::Append { list, from } => format!("append r{from} to r{list}"),
        Op::NewRecord { to, first, shape } => {
            let fields = program.shapes.get(shape as usize).map(|shape| shape.0.as_slice());
            let fields: Vec<&str> = fields.into_iter().flatten().map(|field| name(*field)).collect();
            format!("r{to} = new record {{{}}} from r{first}", fields.join(", "))
        }
        Op::GetField { to, object, name: field } => format!("r{to} = r{object}.{}", name(field)),
        Op::SetField { object, from, name: field } => format!("r{object}.{} = r{from}", name(field)),
        Op::GetIndex { to, object, index } => format!("r{to} = r{object}[r{index}]"),
        Op::SetIndex { object, index, from } => format!("r{object}[r{index}] = r{from}"),
        Op::CheckList { list } => format!("check that r{list} is a list"),
        Op::NextItem { to, state, exit } => {
            format!("r{to} = next item of r{state} at r{}, or go to {exit}", state + 1)
        }
        Op::CheckRange { state } => format!("check the range r{state}..r{}", state + 1),
        Op::NextNumber { to, state, exit } => {
            format!("r{to} = next number from r{state} to r{}, or go to {exit}", state + 1)
        }
        Op::FailAssertion { message } => format!("fail with r{message}"),
    }
}

/// The arguments of a call, which stand after its slot.
fn range(slot: u8, arguments: u8) -> String {
    match arguments {
        0 => "nothing".to_owned(),
        1 => format!("r{}", slot + 1),
        _ => format!("r{}..r{}", slot + 1, slot + arguments),
    }
}

/// A value in the instruction: an integer of 31 bits, nil, a boolean, or a builtin.
fn immediate(bits: i32) -> String {
    use crate::runtimes::toy::vm::value::Value;
    let value = Value::from_short_bits(bits);
    if let Some(int) = value.as_small_int() {
        return int.to_string();
    }
    if let Some(builtin) = value.as_builtin() {
        return BUILTINS.get(usize::from(builtin)).map_or("?", |builtin| builtin.name).to_owned();
    }
    match value {
        Value::TRUE => "true".to_owned(),
        Value::FALSE => "false".to_owned(),
        Value::NIL => "nil".to_owned(),
        other => other.as_small_float().map_or_else(|| format!("{bits:#x}"), |float| format!("{float:?}")),
    }
}

fn shown(program: &Program, constant: &Constant) -> String {
    match constant {
        Constant::Text(text) => format!("{text:?}"),
        Constant::Int(int) => int.to_string(),
        Constant::Float(bits) => format!("{:?}", f64::from_bits(*bits)),
        Constant::Function(function) => {
            let name = program.functions.get(*function as usize).map_or("?", |function| &function.name);
            format!("fn {name}")
        }
    }
}

const fn arithmetic(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "+",
        Arithmetic::Sub => "-",
        Arithmetic::Mul => "*",
        Arithmetic::Div => "/",
        Arithmetic::Rem => "%",
    }
}

const fn comparison(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Eq => "==",
        Comparison::Ne => "!=",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
    }
}
