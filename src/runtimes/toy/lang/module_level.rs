//! What stands at the top of files: which names there are, and the statements that run first.

use super::ast::{Expression, Item, Module, Statement, StatementKind};
use super::bytecode::{Op, Program, Step};
use super::compiler::{Compiler, Frame, Global, narrow};
use super::diagnostic::{Diagnostic, Position};
use super::modules::Unit;
use super::scope::{names_in_closures, names_in_closures_of};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Compiles the files of a program, imported ones before those that import them.
///
/// The first function runs the module level of all files, in this order.
pub(crate) fn compile(units: &[Unit]) -> Result<Program, Diagnostic> {
    let mut compiler = Compiler::default();
    let start = compiler.reserve_function();
    for (index, unit) in units.iter().enumerate() {
        compiler.scopes.push(HashMap::new());
        compiler.scope = index;
        compiler.declare(unit, index + 1 == units.len())?;
    }
    compiler.frames.push(Frame::new("module level".into(), 0, HashSet::new()));
    for (index, unit) in units.iter().enumerate() {
        compiler.scope = index;
        compiler.top_level(&unit.module)?;
    }
    compiler.finish_function(start, Position::start_of(0))?;
    for (index, unit) in units.iter().enumerate() {
        compiler.scope = index;
        compiler.bodies(&unit.module)?;
    }
    Ok(compiler.program())
}

#[cfg(test)]
pub(super) fn compile_one(module: &Module) -> Result<Program, Diagnostic> {
    let mut compiler = Compiler::default();
    let start = compiler.reserve_function();
    compiler.scopes.push(HashMap::new());
    compiler.declare_items(module, true)?;
    compiler.frames.push(Frame::new("module level".into(), 0, HashSet::new()));
    compiler.top_level(module)?;
    compiler.finish_function(start, Position::start_of(0))?;
    compiler.bodies(module)?;
    Ok(compiler.program())
}

impl Compiler {
    pub(super) fn declare(&mut self, unit: &Unit, is_main: bool) -> Result<(), Diagnostic> {
        let imports = unit.module.items.iter().filter_map(|item| match item {
            Item::Import(import) => Some(import),
            _ => None,
        });
        for (import, scope) in imports.zip(&unit.imports) {
            self.declare_global(&import.name, import.at, Global::Module(*scope))?;
        }
        self.declare_items(&unit.module, is_main)
    }

    fn declare_items(&mut self, module: &Module, is_main: bool) -> Result<(), Diagnostic> {
        for item in &module.items {
            match item {
                Item::Function { name, at, function } => {
                    let index = self.reserve_function();
                    self.parameters.insert(index, narrow(function.parameters.len()));
                    self.declare_global(name, *at, Global::Function(index))?;
                }
                Item::Statement(Statement { at, kind: StatementKind::Let { name, .. } }) => {
                    let known = self.scopes[self.scope].get(name).copied();
                    let index = match known {
                        Some(Global::Variable(index)) if self.may_redefine => index,
                        _ => self.reserve_global(name),
                    };
                    self.declare_global(name, *at, Global::Variable(index))?;
                }
                Item::Statement(_) | Item::Import(_) => {}
                Item::Step(step) if !is_main => {
                    let message = "a step stands in the file that is run, not in one that is imported";
                    return Err(Diagnostic::new(step.at, message));
                }
                Item::Step(step) => {
                    if self.steps.iter().any(|known| known.name == step.name) {
                        let message = format!("there is a step '{}' already", step.name);
                        return Err(Diagnostic::new(step.at, message));
                    }
                    let function = self.reserve_function();
                    self.steps.push(Step { name: step.name.clone(), function, in_zygote: step.in_zygote });
                }
            }
        }
        Ok(())
    }

    fn declare_global(&mut self, name: &Rc<str>, at: Position, global: Global) -> Result<(), Diagnostic> {
        match self.scopes[self.scope].insert(name.clone(), global) {
            None => Ok(()),
            Some(_) if self.may_redefine => Ok(()),
            Some(_) => Err(Diagnostic::new(at, format!("'{name}' is defined already"))),
        }
    }

    /// Compiles the statements at the top of a file into the innermost frame.
    pub(super) fn top_level(&mut self, module: &Module) -> Result<(), Diagnostic> {
        let statements = module.items.iter().filter_map(|item| match item {
            Item::Statement(statement) => Some(statement),
            _ => None,
        });
        self.frame().needs_cell = names_in_closures_of(statements.clone());
        for statement in statements {
            match &statement.kind {
                StatementKind::Let { name, value } => self.global_let(name, value)?,
                _ => self.statement(statement)?,
            }
        }
        Ok(())
    }

    fn global_let(&mut self, name: &Rc<str>, value: &Expression) -> Result<(), Diagnostic> {
        let mark = self.frame().next;
        let from = self.operand(value)?;
        if let Some(Global::Variable(index)) = self.scopes[self.scope].get(name).copied() {
            self.emit(value.at, Op::SetGlobal { from, index });
        }
        self.frame().next = mark;
        Ok(())
    }

    /// Compiles the functions and steps of a file.
    pub(super) fn bodies(&mut self, module: &Module) -> Result<(), Diagnostic> {
        for item in &module.items {
            match item {
                Item::Function { name, at, function } => {
                    if let Some(Global::Function(index)) = self.scopes[self.scope].get(name).copied() {
                        self.function_body(index, name.clone(), function, *at)?;
                    }
                }
                Item::Step(step) => {
                    let known = self.steps.iter().find(|known| known.name == step.name);
                    if let Some(index) = known.map(|known| known.function) {
                        let label = format!("step {}", step.name).into();
                        self.frames.push(Frame::new(label, 0, names_in_closures(&step.body)));
                        self.block(&step.body)?;
                        self.finish_function(index, step.at)?;
                    }
                }
                Item::Statement(_) | Item::Import(_) => {}
            }
        }
        Ok(())
    }
}
