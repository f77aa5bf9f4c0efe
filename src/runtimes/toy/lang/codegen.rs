//! Expressions to register code.

use super::ast::{Binary, Expression, ExpressionKind, Function};
use super::bytecode::{Arithmetic, BUILTINS, Comparison, Constant, Op, Register, Shape};
use super::compiler::{Compiler, Global, builtin, narrow};
use super::diagnostic::{Diagnostic, Position};
use super::scope::{Capture, CaptureSource};
use crate::runtimes::toy::vm::value::Value;
use std::rc::Rc;

/// Where a name leads.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Register(Register),
    Cell(Register),
    Capture(u8),
    Global(u32),
    Function(u32),
    Builtin(u8),
}

impl Compiler {
    /// Computes the expression into any register: a plain variable stays where it is.
    pub(super) fn operand(&mut self, expression: &Expression) -> Result<Register, Diagnostic> {
        if let Some(Place::Register(register)) = self.place(expression)? {
            return Ok(register);
        }
        let register = self.take(expression.at)?;
        self.expression(expression, register)?;
        Ok(register)
    }

    /// Computes the expression into the register.
    pub(super) fn expression(&mut self, expression: &Expression, to: Register) -> Result<(), Diagnostic> {
        let at = expression.at;
        let mark = self.frame().next;
        match &expression.kind {
            ExpressionKind::Nil => self.emit_nil(at, to),
            ExpressionKind::Bool(value) => self.emit_value(at, to, Value::boolean(*value)),
            ExpressionKind::Int(value) => self.emit_int(at, to, *value),
            ExpressionKind::Float(value) => {
                let index = self.constant(Constant::Float(value.to_bits()));
                self.emit(at, Op::Constant { to, index });
            }
            ExpressionKind::Text(text) => {
                let index = self.text_constant(text);
                self.emit(at, Op::Constant { to, index });
            }
            ExpressionKind::List(items) => self.list(items, at, to)?,
            ExpressionKind::Map(entries) => self.map(entries, at, to)?,
            ExpressionKind::Record(fields) => self.record(fields, at, to)?,
            ExpressionKind::Function(function) => {
                self.closure(format!("fn at {at}").into(), function, at, to)?;
            }
            ExpressionKind::Negate(operand) => {
                let from = self.operand(operand)?;
                self.emit(at, Op::Negate { to, from });
            }
            ExpressionKind::Not(operand) => {
                let from = self.operand(operand)?;
                self.emit(at, Op::Not { to, from });
            }
            ExpressionKind::Binary { operator, left, right } => {
                let left = self.operand(left)?;
                let right = self.operand(right)?;
                self.emit(at, binary(*operator, to, left, right));
            }
            ExpressionKind::Shortcut { and, left, right } => {
                // `to` may be a variable that the right side reads.
                let result = self.take(at)?;
                self.expression(left, result)?;
                let done = self.emit(
                    at,
                    if *and {
                        Op::JumpIfFalse { condition: result, target: 0 }
                    } else {
                        Op::JumpIfTrue { condition: result, target: 0 }
                    },
                );
                self.expression(right, result)?;
                self.land(done);
                self.emit(at, Op::Move { to, from: result });
            }
            ExpressionKind::Call { callee, arguments } => self.call(callee, arguments, at, to)?,
            ExpressionKind::Index { object, index } => {
                let object = self.operand(object)?;
                let index = self.operand(index)?;
                self.emit(at, Op::GetIndex { to, object, index });
            }
            ExpressionKind::Name(_) | ExpressionKind::Field { .. } => self.load(expression, to)?,
        }
        self.frame().next = mark;
        Ok(())
    }

    pub(super) fn emit_nil(&mut self, at: Position, to: Register) {
        self.emit_value(at, to, Value::NIL);
    }

    fn emit_value(&mut self, at: Position, to: Register, value: Value) {
        let bits = value.short_bits().unwrap_or_default();
        self.emit(at, Op::Immediate { to, bits });
    }

    pub(super) fn emit_int(&mut self, at: Position, to: Register, value: i64) {
        let short = Value::small_int(value).and_then(Value::short_bits);
        let op = if let Some(bits) = short {
            Op::Immediate { to, bits }
        } else {
            Op::Constant { to, index: self.constant(Constant::Int(value)) }
        };
        self.emit(at, op);
    }

    fn list(&mut self, items: &[Expression], at: Position, to: Register) -> Result<(), Diagnostic> {
        let list = self.take(at)?;
        let room = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.emit(at, Op::NewList { to: list, room });
        for item in items {
            let mark = self.frame().next;
            let from = self.operand(item)?;
            self.emit(item.at, Op::Append { list, from });
            self.frame().next = mark;
        }
        self.emit(at, Op::Move { to, from: list });
        Ok(())
    }

    fn map(
        &mut self,
        entries: &[(Expression, Expression)],
        at: Position,
        to: Register,
    ) -> Result<(), Diagnostic> {
        let object = self.take(at)?;
        let room = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.emit(at, Op::NewMap { to: object, room });
        for (key, value) in entries {
            let mark = self.frame().next;
            let index = self.operand(key)?;
            let from = self.operand(value)?;
            self.emit(key.at, Op::SetIndex { object, index, from });
            self.frame().next = mark;
        }
        self.emit(at, Op::Move { to, from: object });
        Ok(())
    }

    fn record(
        &mut self,
        fields: &[(Rc<str>, Expression)],
        at: Position,
        to: Register,
    ) -> Result<(), Diagnostic> {
        let first = narrow(self.frame().next);
        let mut names = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            names.push(self.name_index(name));
            let register = self.take(value.at)?;
            self.expression(value, register)?;
        }
        let shape = self.shape_index(Shape(names));
        self.emit(at, Op::NewRecord { to, first, shape });
        Ok(())
    }

    /// Compiles the function and emits the closure over the cells it captures.
    pub(super) fn closure(
        &mut self,
        name: Rc<str>,
        function: &Function,
        at: Position,
        to: Register,
    ) -> Result<(), Diagnostic> {
        let index = self.reserve_function();
        let captures = self.function_body(index, name, function, at)?;
        let mark = self.frame().next;
        let first = narrow(mark);
        for capture in &captures {
            let register = self.take(at)?;
            self.emit(
                at,
                match capture.source {
                    CaptureSource::Local(cell) => Op::Move { to: register, from: cell },
                    CaptureSource::Capture(index) => Op::CaptureCell { to: register, index },
                },
            );
        }
        self.emit(at, Op::NewClosure { to, first, function: index });
        self.frame().next = mark;
        Ok(())
    }

    fn call(
        &mut self,
        callee: &Expression,
        arguments: &[Expression],
        at: Position,
        to: Register,
    ) -> Result<(), Diagnostic> {
        let count = narrow(arguments.len());
        let slot = self.take(at)?;
        let op = match self.place(callee)? {
            Some(Place::Function(function)) => {
                let wanted = self.parameters.get(&function).copied().unwrap_or_default();
                check_count(arguments.len(), wanted, at)?;
                Op::CallFunction { slot, function }
            }
            Some(Place::Builtin(builtin)) => {
                if let Some(wanted) = BUILTINS[usize::from(builtin)].arguments {
                    check_count(arguments.len(), wanted, at)?;
                }
                Op::CallBuiltin { slot, arguments: count, builtin }
            }
            _ => {
                self.expression(callee, slot)?;
                Op::Call { slot, arguments: count }
            }
        };
        for argument in arguments {
            let register = self.take(argument.at)?;
            self.expression(argument, register)?;
        }
        self.emit(at, op);
        if slot != to {
            self.emit(at, Op::Move { to, from: slot });
        }
        Ok(())
    }

    /// Loads a name, a member of a module, or a field.
    fn load(&mut self, expression: &Expression, to: Register) -> Result<(), Diagnostic> {
        let at = expression.at;
        let op = match (self.place(expression)?, &expression.kind) {
            (Some(Place::Register(from)), _) => Op::Move { to, from },
            (Some(Place::Cell(cell)), _) => Op::GetCell { to, cell },
            (Some(Place::Capture(index)), _) => Op::GetCapture { to, index },
            (Some(Place::Global(index)), _) => Op::GetGlobal { to, index },
            (Some(Place::Function(function)), _) => {
                Op::Constant { to, index: self.function_constant(function) }
            }
            (Some(Place::Builtin(builtin)), _) => {
                self.emit_value(at, to, Value::builtin(builtin));
                return Ok(());
            }
            (None, ExpressionKind::Field { object, name }) => {
                let object = self.operand(object)?;
                Op::GetField { to, object, name: self.name_index(name) }
            }
            (None, _) => return Ok(()),
        };
        self.emit(at, op);
        Ok(())
    }

    pub(super) fn assign_place(
        &mut self,
        place: Place,
        target: &Expression,
        value: &Expression,
    ) -> Result<(), Diagnostic> {
        if let Place::Register(to) = place {
            return self.expression(value, to);
        }
        let from = self.operand(value)?;
        let op = match place {
            Place::Cell(cell) => Op::SetCell { cell, from },
            Place::Capture(index) => Op::SetCapture { index, from },
            Place::Global(index) => Op::SetGlobal { from, index },
            Place::Register(_) | Place::Function(_) | Place::Builtin(_) => {
                let (ExpressionKind::Name(name) | ExpressionKind::Field { name, .. }) = &target.kind else {
                    return Ok(());
                };
                let message = format!("'{name}' is a function and cannot be assigned to");
                return Err(Diagnostic::new(target.at, message));
            }
        };
        self.emit(target.at, op);
        Ok(())
    }

    /// Where the expression leads, if it is a name or `module.name`.
    pub(super) fn place(&mut self, expression: &Expression) -> Result<Option<Place>, Diagnostic> {
        match &expression.kind {
            ExpressionKind::Name(name) => self.resolve(name, expression.at).map(Some),
            ExpressionKind::Field { object, name } => self.member(object, name, expression.at),
            _ => Ok(None),
        }
    }

    /// A variable or function of an imported module; nothing if the object is none.
    fn member(&self, object: &Expression, name: &Rc<str>, at: Position) -> Result<Option<Place>, Diagnostic> {
        let ExpressionKind::Name(module) = &object.kind else { return Ok(None) };
        let Some(Global::Module(scope)) = self.scopes[self.scope].get(module).copied() else {
            return Ok(None);
        };
        if self.frames.iter().flat_map(|frame| &frame.locals).any(|local| local.name == *module) {
            return Ok(None);
        }
        match self.scopes[scope].get(name) {
            Some(Global::Variable(index)) => Ok(Some(Place::Global(*index))),
            Some(Global::Function(index)) => Ok(Some(Place::Function(*index))),
            _ => Err(Diagnostic::new(at, format!("the module '{module}' has no '{name}'"))),
        }
    }

    fn resolve(&mut self, name: &Rc<str>, at: Position) -> Result<Place, Diagnostic> {
        let innermost = self.frames.len() - 1;
        if let Some(local) = self.frames[innermost].locals.iter().rev().find(|local| local.name == *name) {
            let register = local.register;
            return Ok(if local.boxed { Place::Cell(register) } else { Place::Register(register) });
        }
        if let Some(index) = self.capture(innermost, name, at)? {
            return Ok(Place::Capture(index));
        }
        match self.scopes[self.scope].get(name) {
            Some(Global::Variable(index)) => Ok(Place::Global(*index)),
            Some(Global::Function(index)) => Ok(Place::Function(*index)),
            Some(Global::Module(_)) => {
                Err(Diagnostic::new(at, format!("'{name}' is a module; name something of it: {name}.…")))
            }
            None => builtin(name)
                .map(Place::Builtin)
                .ok_or_else(|| Diagnostic::new(at, format!("'{name}' is not defined"))),
        }
    }

    /// The index of a variable of an outer function among the captures of this one.
    fn capture(&mut self, frame: usize, name: &Rc<str>, at: Position) -> Result<Option<u8>, Diagnostic> {
        if let Some(known) = self.frames[frame].captures.iter().position(|capture| capture.name == *name) {
            return Ok(Some(narrow(known)));
        }
        let Some(outer) = frame.checked_sub(1) else { return Ok(None) };
        let local = self.frames[outer].locals.iter().rev().find(|local| local.name == *name);
        let source = match local {
            Some(local) => CaptureSource::Local(local.register),
            None => match self.capture(outer, name, at)? {
                Some(index) => CaptureSource::Capture(index),
                None => return Ok(None),
            },
        };
        let captures = &mut self.frames[frame].captures;
        if captures.len() >= CAPTURE_LIMIT {
            let message = format!("the function captures more than {CAPTURE_LIMIT} variables");
            return Err(Diagnostic::new(at, message));
        }
        captures.push(Capture { name: name.clone(), source });
        Ok(Some(narrow(captures.len() - 1)))
    }
}

/// Most variables that one function captures.
const CAPTURE_LIMIT: usize = 64;

fn check_count(given: usize, wanted: u8, at: Position) -> Result<(), Diagnostic> {
    if given == usize::from(wanted) {
        return Ok(());
    }
    Err(Diagnostic::new(at, format!("the function takes {wanted} arguments, not {given}")))
}

fn binary(operator: Binary, to: Register, left: Register, right: Register) -> Op {
    let arithmetic = |operator| Op::Arithmetic { operator, to, left, right };
    let comparison = |operator| Op::Compare { operator, to, left, right };
    match operator {
        Binary::Add => arithmetic(Arithmetic::Add),
        Binary::Sub => arithmetic(Arithmetic::Sub),
        Binary::Mul => arithmetic(Arithmetic::Mul),
        Binary::Div => arithmetic(Arithmetic::Div),
        Binary::Rem => arithmetic(Arithmetic::Rem),
        Binary::Eq => comparison(Comparison::Eq),
        Binary::Ne => comparison(Comparison::Ne),
        Binary::Lt => comparison(Comparison::Lt),
        Binary::Le => comparison(Comparison::Le),
        Binary::Gt => comparison(Comparison::Gt),
        Binary::Ge => comparison(Comparison::Ge),
    }
}
