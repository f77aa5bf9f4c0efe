//! A program that grows by one entry after the other, as somebody types it.
//!
//! Functions, variables and constants of earlier entries keep their numbers, and every table has its
//! full size from the start: the machine that runs the program can take the next version of it and
//! go on.

use super::ast::{Expression, Item, Module, Statement, StatementKind};
use super::bytecode::{Constant, Function, Op, Program};
use super::compiler::{Compiler, Frame};
use super::diagnostic::{Diagnostic, Position, Sources};
use super::modules::{Loader, Unit};
use super::parser::parse_file;
use super::verifier;
use crate::runtimes::toy::vm::value::Value;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

/// Most functions, variables and constants of one session. Every entry takes a function.
const FUNCTIONS: usize = 1 << 12;
const GLOBALS: usize = 1 << 10;
const CONSTANTS: usize = 1 << 13;

/// The scope of what was typed. Scopes of imported modules follow.
const TYPED: usize = 0;

pub(crate) struct Session {
    compiler: Compiler,
    loader: Loader,
    entries: u32,
    constants: usize,
}

/// What one entry adds to the program.
pub(crate) struct Increment {
    pub(crate) program: Program,
    /// Runs the entry.
    pub(crate) start: u32,
    /// Whether running it gives a value to show.
    pub(crate) has_value: bool,
    /// The constants that are new.
    pub(crate) constants: Range<usize>,
}

impl Session {
    /// An empty program, and the session that makes it grow.
    pub(crate) fn new() -> (Self, Program) {
        let compiler = Compiler::for_session(spare());
        let mut loader = Loader::default();
        // The unit of what is typed, so that units and scopes have the same numbers.
        loader.units.push(Unit { module: Module { items: Vec::new() }, imports: Vec::new() });
        loader.origins.push(None);
        let session = Self { compiler, loader, entries: 0, constants: 0 };
        let program = session.program();
        (session, program)
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.loader.sources
    }

    /// Compiles one more entry. `folder` is where its imports are looked for. A wrong entry changes
    /// nothing.
    pub(crate) fn extend(&mut self, source: &str, folder: Option<&Path>) -> Result<Increment, Diagnostic> {
        self.entries += 1;
        let number = self.loader.sources.add(&format!("input {}", self.entries));
        let number = number.ok_or_else(|| full(Position::start_of(0), "entries"))?;
        let (compiler, units) = (self.compiler.clone(), self.loader.units.len());
        let extended = self.compile(source, number, folder);
        if extended.is_err() {
            self.compiler = compiler;
            self.loader.forget_from(units);
        }
        extended
    }

    fn compile(&mut self, source: &str, number: u16, folder: Option<&Path>) -> Result<Increment, Diagnostic> {
        let at = Position::start_of(number);
        let mut module = parse_file(source, number)?;
        check_items(&module)?;
        let known = self.loader.units.len();
        let imports = self.loader.imports(&module, folder)?;
        let value = take_value(&mut module);
        let unit = Unit { module, imports };
        let compiler = &mut self.compiler;
        for (scope, unit) in self.loader.units.iter().enumerate().skip(known) {
            compiler.scopes.push(HashMap::new());
            compiler.scope = scope;
            compiler.declare(unit, false)?;
        }
        compiler.scope = TYPED;
        compiler.declare(&unit, false)?;
        let start = compiler.reserve_function();
        compiler.frames.push(Frame::new("module level".into(), 0, HashSet::new()));
        for (scope, unit) in self.loader.units.iter().enumerate().skip(known) {
            compiler.scope = scope;
            compiler.top_level(&unit.module)?;
        }
        compiler.scope = TYPED;
        compiler.top_level(&unit.module)?;
        if let Some(value) = &value {
            let from = compiler.operand(value)?;
            compiler.emit(value.at, Op::Return { from });
        }
        compiler.finish_function(start, at)?;
        for (scope, unit) in self.loader.units.iter().enumerate().skip(known) {
            compiler.scope = scope;
            compiler.bodies(&unit.module)?;
        }
        compiler.scope = TYPED;
        compiler.bodies(&unit.module)?;
        let sizes = compiler.sizes();
        for (size, limit, what) in [
            (sizes.0, FUNCTIONS, "functions"),
            (sizes.1, GLOBALS, "variables"),
            (sizes.2, CONSTANTS, "constants"),
        ] {
            if size > limit {
                return Err(full(at, what));
            }
        }
        let constants = self.constants..sizes.2;
        self.constants = sizes.2;
        let program = self.program();
        verifier::verify(&program)?;
        Ok(Increment { program, start, has_value: value.is_some(), constants })
    }

    /// The program so far, its tables filled up to their full size.
    fn program(&self) -> Program {
        let mut program = self.compiler.clone().program();
        program.functions.resize_with(FUNCTIONS, spare);
        program.globals.resize_with(GLOBALS, || "".into());
        program.constants.resize(CONSTANTS, Constant::Int(0));
        program
    }
}

/// A function that nobody can call yet.
fn spare() -> Function {
    let nil = Op::Immediate { to: 0, bits: Value::NIL.short_bits().unwrap_or_default() };
    Function {
        name: "".into(),
        parameters: 0,
        captures: 0,
        frame: 1,
        code: vec![nil, Op::Return { from: 0 }],
        positions: vec![Position::start_of(0); 2],
    }
}

fn full(at: Position, what: &str) -> Diagnostic {
    Diagnostic::new(at, format!("the session has no room for more {what}; begin a new one"))
}

/// Refuses what only a file may hold, and what one entry may hold once.
fn check_items(module: &Module) -> Result<(), Diagnostic> {
    let mut names = HashSet::new();
    for item in &module.items {
        let (name, at) = match item {
            Item::Step(step) => {
                let message = "a step stands in a file; here, type its statements";
                return Err(Diagnostic::new(step.at, message));
            }
            Item::Function { name, at, .. }
            | Item::Statement(Statement { at, kind: StatementKind::Let { name, .. } }) => (name, *at),
            Item::Import(import) => (&import.name, import.at),
            Item::Statement(_) => continue,
        };
        if !names.insert(name) {
            return Err(Diagnostic::new(at, format!("'{name}' is defined already")));
        }
    }
    Ok(())
}

/// Takes the last statement out of the module, if it is an expression whose value can be shown.
fn take_value(module: &mut Module) -> Option<Expression> {
    match module.items.pop()? {
        Item::Statement(Statement { kind: StatementKind::Expression(value), .. }) => Some(value),
        item => {
            module.items.push(item);
            None
        }
    }
}
