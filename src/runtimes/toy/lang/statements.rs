//! Statements to register code.

use super::ast::{self, Block, Expression, ExpressionKind, Statement, StatementKind};
use super::bytecode::{Op, Register};
use super::compiler::{Compiler, LoopJumps};
use super::diagnostic::{Diagnostic, Position};
use super::scope::Local;
use std::rc::Rc;

impl Compiler {
    pub(super) fn block(&mut self, block: &Block) -> Result<(), Diagnostic> {
        let frame = self.frame();
        let (outer_start, outer_next) = (frame.block_start, frame.next);
        frame.block_start = frame.locals.len();
        for statement in &block.statements {
            self.statement(statement)?;
        }
        let frame = self.frame();
        frame.locals.truncate(frame.block_start);
        (frame.block_start, frame.next) = (outer_start, outer_next);
        Ok(())
    }

    pub(super) fn statement(&mut self, statement: &Statement) -> Result<(), Diagnostic> {
        let at = statement.at;
        let mark = self.frame().next;
        match &statement.kind {
            StatementKind::Let { name, value } => {
                self.refuse_duplicate(name, at)?;
                let register = self.take(at)?;
                self.expression(value, register)?;
                self.bind(name, register, at);
                return Ok(());
            }
            StatementKind::Function { name, function } => {
                self.refuse_duplicate(name, at)?;
                return self.local_function(name, function, at);
            }
            StatementKind::Assign { target, value } => self.assign(target, value)?,
            StatementKind::Expression(expression) => {
                self.operand(expression)?;
            }
            StatementKind::Block(block) => self.block(block)?,
            StatementKind::If { condition, then, otherwise } => {
                self.if_statement(condition, then, otherwise.as_ref(), at)?;
            }
            StatementKind::While { condition, body } => self.while_loop(condition, body, at)?,
            StatementKind::ForEach { name, list, body } => {
                let state = self.take(at)?;
                self.expression(list, state)?;
                self.emit(list.at, Op::CheckList { list: state });
                let index = self.take(at)?;
                self.emit_int(at, index, 0);
                self.counted_loop(name, body, at, |to, exit| Op::NextItem { to, state, exit })?;
            }
            StatementKind::ForRange { name, from, to, body } => {
                let state = self.take(at)?;
                self.expression(from, state)?;
                let end = self.take(at)?;
                self.expression(to, end)?;
                self.emit(from.at, Op::CheckRange { state });
                self.counted_loop(name, body, at, |to, exit| Op::NextNumber { to, state, exit })?;
            }
            StatementKind::Return(value) => {
                let from = if let Some(value) = value { self.operand(value)? } else { self.nil(at)? };
                self.emit(at, Op::Return { from });
            }
            StatementKind::Assert { condition, message } => {
                self.assertion(condition, message.as_ref(), at)?;
            }
            StatementKind::Break => self.leave_loop(at, "break", |jumps| &mut jumps.breaks)?,
            StatementKind::Continue => self.leave_loop(at, "continue", |jumps| &mut jumps.continues)?,
        }
        self.frame().next = mark;
        Ok(())
    }

    fn refuse_duplicate(&mut self, name: &Rc<str>, at: Position) -> Result<(), Diagnostic> {
        let frame = self.frame();
        if frame.locals[frame.block_start..].iter().any(|local| local.name == *name) {
            return Err(Diagnostic::new(at, format!("'{name}' is defined in this block already")));
        }
        Ok(())
    }

    /// Gives the value in the register its name; a variable that closures need moves into a cell.
    pub(super) fn bind(&mut self, name: &Rc<str>, register: Register, at: Position) {
        let boxed = self.frame().needs_cell.contains(name);
        if boxed {
            self.emit(at, Op::NewCell { to: register, from: register });
        }
        self.frame().locals.push(Local { name: name.clone(), register, boxed });
    }

    /// The name is bound before the body is compiled, so that the function can call itself.
    fn local_function(
        &mut self,
        name: &Rc<str>,
        function: &ast::Function,
        at: Position,
    ) -> Result<(), Diagnostic> {
        let register = self.take(at)?;
        self.emit_nil(at, register);
        self.bind(name, register, at);
        let boxed = self.frame().needs_cell.contains(name);
        let mark = self.frame().next;
        let to = if boxed { self.take(at)? } else { register };
        self.closure(name.clone(), function, at, to)?;
        if boxed {
            self.emit(at, Op::SetCell { cell: register, from: to });
        }
        self.frame().next = mark;
        Ok(())
    }

    fn if_statement(
        &mut self,
        condition: &Expression,
        then: &Block,
        otherwise: Option<&Block>,
        at: Position,
    ) -> Result<(), Diagnostic> {
        let condition = self.operand(condition)?;
        let skip = self.emit(at, Op::JumpIfFalse { condition, target: 0 });
        self.block(then)?;
        let Some(otherwise) = otherwise else {
            self.land(skip);
            return Ok(());
        };
        let done = self.emit(at, Op::Jump { target: 0 });
        self.land(skip);
        self.block(otherwise)?;
        self.land(done);
        Ok(())
    }

    fn while_loop(&mut self, condition: &Expression, body: &Block, at: Position) -> Result<(), Diagnostic> {
        let head = self.here();
        let mark = self.frame().next;
        let register = self.operand(condition)?;
        let exit = self.emit(at, Op::JumpIfFalse { condition: register, target: 0 });
        self.frame().next = mark;
        self.loop_body(head, exit, at, |compiler| compiler.block(body))
    }

    fn counted_loop(
        &mut self,
        name: &Rc<str>,
        body: &Block,
        at: Position,
        next: impl FnOnce(Register, u32) -> Op,
    ) -> Result<(), Diagnostic> {
        let variable = self.take(at)?;
        let head = self.here();
        let exit = self.emit(at, next(variable, 0));
        self.loop_body(head, exit, at, |compiler| {
            let frame = compiler.frame();
            let (outer_start, outer_next) = (frame.block_start, frame.next);
            frame.block_start = frame.locals.len();
            compiler.bind(name, variable, at);
            compiler.block(body)?;
            let frame = compiler.frame();
            frame.locals.truncate(frame.block_start);
            (frame.block_start, frame.next) = (outer_start, outer_next);
            Ok(())
        })
    }

    fn loop_body(
        &mut self,
        head: u32,
        exit: usize,
        at: Position,
        body: impl FnOnce(&mut Self) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        self.frame().loops.push(LoopJumps::default());
        body(self)?;
        let jumps = self.frame().loops.pop().unwrap_or_default();
        jumps.continues.into_iter().for_each(|jump| self.land(jump));
        self.emit(at, Op::Loop { target: head });
        self.land(exit);
        jumps.breaks.into_iter().for_each(|jump| self.land(jump));
        Ok(())
    }

    fn leave_loop(
        &mut self,
        at: Position,
        word: &str,
        which: impl FnOnce(&mut LoopJumps) -> &mut Vec<usize>,
    ) -> Result<(), Diagnostic> {
        let jump = self.emit(at, Op::Jump { target: 0 });
        match self.frame().loops.last_mut() {
            Some(jumps) => which(jumps).push(jump),
            None => return Err(Diagnostic::new(at, format!("'{word}' stands outside of a loop"))),
        }
        Ok(())
    }

    fn assertion(
        &mut self,
        condition: &Expression,
        message: Option<&Expression>,
        at: Position,
    ) -> Result<(), Diagnostic> {
        let condition = self.operand(condition)?;
        let passed = self.emit(at, Op::JumpIfTrue { condition, target: 0 });
        let register = self.take(at)?;
        match message {
            Some(message) => self.expression(message, register)?,
            None => self.emit_nil(at, register),
        }
        self.emit(at, Op::FailAssertion { message: register });
        self.land(passed);
        Ok(())
    }

    fn assign(&mut self, target: &Expression, value: &Expression) -> Result<(), Diagnostic> {
        if let Some(place) = self.place(target)? {
            return self.assign_place(place, target, value);
        }
        match &target.kind {
            ExpressionKind::Index { object, index } => {
                let object = self.operand(object)?;
                let index = self.operand(index)?;
                let from = self.operand(value)?;
                self.emit(target.at, Op::SetIndex { object, index, from });
                Ok(())
            }
            ExpressionKind::Field { object, name } => {
                let object = self.operand(object)?;
                let from = self.operand(value)?;
                let name = self.name_index(name);
                self.emit(target.at, Op::SetField { object, from, name });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn nil(&mut self, at: Position) -> Result<Register, Diagnostic> {
        let register = self.take(at)?;
        self.emit_nil(at, register);
        Ok(register)
    }
}
