//! Syntax tree to register code: functions and what they share. `module_level.rs` compiles what
//! stands at the top of files, `statements.rs` and `codegen.rs` what stands inside of functions.
//!
//! Registers are taken like a stack: a variable takes the next free one for as long as its block
//! lasts, a temporary for as long as its expression is computed.

use super::ast;
use super::bytecode::{BUILTINS, Constant, Function, Op, Program, Register, Shape, Step};
use super::diagnostic::{Diagnostic, Position};
use super::scope::{Capture, Local, names_in_closures};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Registers of one frame. The machine's stack has room for this many at every call depth.
pub(crate) const FRAME_LIMIT: usize = 250;

/// Compiles a parsed file that imports nothing.
#[cfg(test)]
pub(crate) fn compile(module: &ast::Module) -> Result<Program, Diagnostic> {
    super::module_level::compile_one(module)
}

/// What a name at the module level means.
#[derive(Clone, Copy)]
pub(super) enum Global {
    Variable(u32),
    Function(u32),
    /// Another file, by its index in [`Compiler::scopes`].
    Module(usize),
}

#[derive(Default, Clone)]
pub(super) struct Compiler {
    functions: Vec<Option<Function>>,
    pub(super) parameters: HashMap<u32, u8>,
    pub(super) steps: Vec<Step>,
    /// What the names at the top of each file mean.
    pub(super) scopes: Vec<HashMap<Rc<str>, Global>>,
    /// The file being compiled.
    pub(super) scope: usize,
    /// Whether a name may get another meaning: a variable keeps its place, a function does not.
    pub(super) may_redefine: bool,
    global_names: Vec<Rc<str>>,
    constants: Vec<Constant>,
    text_constants: HashMap<Rc<str>, u32>,
    function_constants: HashMap<u32, u32>,
    names: Vec<Rc<str>>,
    name_indexes: HashMap<Rc<str>, u32>,
    shapes: Vec<Shape>,
    shape_indexes: HashMap<Shape, u32>,
    /// Functions being compiled, the innermost last.
    pub(super) frames: Vec<Frame>,
}

/// The function being compiled.
#[derive(Clone)]
pub(super) struct Frame {
    name: Rc<str>,
    parameters: u8,
    pub(super) code: Vec<Op>,
    positions: Vec<Position>,
    pub(super) next: usize,
    highest: usize,
    pub(super) locals: Vec<Local>,
    /// Where in `locals` the innermost block begins.
    pub(super) block_start: usize,
    pub(super) captures: Vec<Capture>,
    pub(super) needs_cell: HashSet<Rc<str>>,
    pub(super) loops: Vec<LoopJumps>,
}

/// Jumps out of a loop that wait for their targets.
#[derive(Default, Clone)]
pub(super) struct LoopJumps {
    pub(super) breaks: Vec<usize>,
    pub(super) continues: Vec<usize>,
}

impl Compiler {
    /// A compiler for a program that grows, with one scope for what is typed. The function stands where
    /// other programs have their module level.
    pub(super) fn for_session(first: Function) -> Self {
        let functions = vec![Some(first)];
        Self { functions, scopes: vec![HashMap::new()], may_redefine: true, ..Self::default() }
    }

    /// How many functions, variables and constants there are.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.functions.len(), self.global_names.len(), self.constants.len())
    }

    pub(super) fn reserve_function(&mut self) -> u32 {
        self.functions.push(None);
        index_of(self.functions.len() - 1)
    }

    /// Reserves the next global variable.
    pub(super) fn reserve_global(&mut self, name: &Rc<str>) -> u32 {
        self.global_names.push(name.clone());
        index_of(self.global_names.len() - 1)
    }

    /// Compiles a function's body into a frame of its own; returns what it captures.
    pub(super) fn function_body(
        &mut self,
        index: u32,
        name: Rc<str>,
        function: &ast::Function,
        at: Position,
    ) -> Result<Vec<Capture>, Diagnostic> {
        let needs_cell = names_in_closures(&function.body);
        self.frames.push(Frame::new(name, narrow(function.parameters.len()), needs_cell));
        for (parameter, at) in &function.parameters {
            let register = self.take(*at)?;
            self.bind(parameter, register, *at);
        }
        self.block(&function.body)?;
        self.finish_function(index, at)
    }

    pub(super) fn finish_function(&mut self, index: u32, at: Position) -> Result<Vec<Capture>, Diagnostic> {
        let from = self.take(at)?;
        self.emit_nil(at, from);
        self.emit(at, Op::Return { from });
        let Some(frame) = self.frames.pop() else { return Ok(Vec::new()) };
        self.functions[index as usize] = Some(Function {
            name: frame.name,
            parameters: frame.parameters,
            captures: narrow(frame.captures.len()),
            frame: u16::try_from(frame.highest).unwrap_or(u16::MAX),
            code: frame.code,
            positions: frame.positions,
        });
        Ok(frame.captures)
    }

    pub(super) fn constant(&mut self, constant: Constant) -> u32 {
        self.constants.push(constant);
        index_of(self.constants.len() - 1)
    }

    pub(super) fn text_constant(&mut self, text: &Rc<str>) -> u32 {
        if let Some(index) = self.text_constants.get(text) {
            return *index;
        }
        let index = self.constant(Constant::Text(text.clone()));
        self.text_constants.insert(text.clone(), index);
        index
    }

    pub(super) fn function_constant(&mut self, function: u32) -> u32 {
        if let Some(index) = self.function_constants.get(&function) {
            return *index;
        }
        let index = self.constant(Constant::Function(function));
        self.function_constants.insert(function, index);
        index
    }

    pub(super) fn name_index(&mut self, name: &Rc<str>) -> u32 {
        let next = index_of(self.names.len());
        let index = *self.name_indexes.entry(name.clone()).or_insert(next);
        if index == next {
            self.names.push(name.clone());
        }
        index
    }

    pub(super) fn shape_index(&mut self, shape: Shape) -> u32 {
        let next = index_of(self.shapes.len());
        let index = *self.shape_indexes.entry(shape.clone()).or_insert(next);
        if index == next {
            self.shapes.push(shape);
        }
        index
    }

    pub(super) fn program(self) -> Program {
        Program {
            functions: self.functions.into_iter().flatten().collect(),
            steps: self.steps,
            constants: self.constants,
            globals: self.global_names,
            names: self.names,
            shapes: self.shapes,
        }
    }

    /// The function being compiled. There is always one while statements are compiled.
    pub(super) fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::new("module level".into(), 0, HashSet::new()));
        }
        let innermost = self.frames.len() - 1;
        &mut self.frames[innermost]
    }

    /// Takes the next free register.
    pub(super) fn take(&mut self, at: Position) -> Result<Register, Diagnostic> {
        let frame = self.frame();
        if frame.next >= FRAME_LIMIT {
            let message =
                format!("the function needs more than {FRAME_LIMIT} variables and temporaries here");
            return Err(Diagnostic::new(at, message));
        }
        let register = narrow(frame.next);
        frame.next += 1;
        frame.highest = frame.highest.max(frame.next);
        Ok(register)
    }

    pub(super) fn emit(&mut self, at: Position, op: Op) -> usize {
        let frame = self.frame();
        frame.code.push(op);
        frame.positions.push(at);
        frame.code.len() - 1
    }

    pub(super) fn here(&mut self) -> u32 {
        index_of(self.frame().code.len())
    }

    /// Makes an earlier jump arrive at the next instruction.
    pub(super) fn land(&mut self, jump: usize) {
        let here = self.here();
        match &mut self.frame().code[jump] {
            Op::Jump { target }
            | Op::JumpIfFalse { target, .. }
            | Op::JumpIfTrue { target, .. }
            | Op::NextItem { exit: target, .. }
            | Op::NextNumber { exit: target, .. } => *target = here,
            _ => {}
        }
    }
}

impl Frame {
    pub(super) fn new(name: Rc<str>, parameters: u8, needs_cell: HashSet<Rc<str>>) -> Self {
        Self {
            name,
            parameters,
            code: Vec::new(),
            positions: Vec::new(),
            next: 0,
            highest: 0,
            locals: Vec::new(),
            block_start: 0,
            captures: Vec::new(),
            needs_cell,
            loops: Vec::new(),
        }
    }
}

pub(super) fn builtin(name: &str) -> Option<u8> {
    BUILTINS.iter().position(|known| known.name == name).map(narrow)
}

/// Counts that are limited far below 256 by [`FRAME_LIMIT`] or the parser.
pub(super) fn narrow(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Source files are far smaller than 4 GiB, and so is everything counted in them.
fn index_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::toy::lang::parser::parse;

    fn compiled(source: &str) -> Result<Program, String> {
        parse(source).and_then(|module| compile(&module)).map_err(|diagnostic| diagnostic.to_string())
    }

    fn code<'a>(program: &'a Program, name: &str) -> &'a [Op] {
        &program.functions.iter().find(|function| &*function.name == name).unwrap().code
    }

    #[test]
    fn plain_variables_are_registers_and_captured_ones_are_cells() {
        let program =
            compiled("fn plain(a) { let b = a; return b + a; } fn boxed(a) { return fn() { return a; }; }")
                .unwrap();
        assert!(!code(&program, "plain").iter().any(|op| matches!(op, Op::NewCell { .. })));
        assert_eq!(code(&program, "boxed")[0], Op::NewCell { to: 0, from: 0 });
        assert!(matches!(code(&program, "fn at 1:63")[0], Op::GetCapture { index: 0, .. }));
    }

    #[test]
    fn named_functions_are_called_directly_and_values_are_not() {
        let program = compiled("fn f() {} fn g(h) { f(); h(); len([]); }").unwrap();
        let calls: Vec<&Op> = code(&program, "g")
            .iter()
            .filter(|op| matches!(op, Op::Call { .. } | Op::CallFunction { .. } | Op::CallBuiltin { .. }))
            .collect();
        assert!(matches!(calls[..], [Op::CallFunction { .. }, Op::Call { .. }, Op::CallBuiltin { .. }]));
    }

    #[test]
    fn every_function_ends_and_every_jump_arrives() {
        let program = compiled(
            "fn f(a) { for x in a { if x { continue; } while x or a { break; } } if a { return 1; } else { } }
             step s { for i in 0..3 { assert i and not i, i; } }",
        )
        .unwrap();
        for function in &program.functions {
            assert!(matches!(function.code.last(), Some(Op::Return { .. })));
            assert_eq!(function.code.len(), function.positions.len());
            for op in &function.code {
                let target = match op {
                    Op::Jump { target }
                    | Op::Loop { target }
                    | Op::JumpIfFalse { target, .. }
                    | Op::JumpIfTrue { target, .. } => *target,
                    Op::NextItem { exit, .. } | Op::NextNumber { exit, .. } => *exit,
                    _ => 1,
                };
                assert!(target > 0 && (target as usize) < function.code.len(), "{op:?}");
            }
        }
    }

    #[test]
    fn records_with_the_same_fields_have_the_same_shape() {
        let program = compiled("let a = {x: 1, y: 2}; let b = {x: 3, y: 4}; let c = {y: 1, x: 2};").unwrap();
        assert_eq!(program.shapes, [Shape(vec![0, 1]), Shape(vec![1, 0])]);
    }

    #[test]
    fn functions_that_are_too_large_are_errors() {
        let declare =
            |count: usize| (0..count).map(|number| format!("let v{number} = 0; ")).collect::<Vec<_>>();
        let variables = declare(300).concat();
        let refused = compiled(&format!("fn f() {{ {variables} }}")).unwrap_err();
        assert!(refused.contains("needs more than 250 variables"), "{refused}");
        let arguments = "1, ".repeat(300);
        assert!(compiled(&format!("print({arguments});")).is_err());
        let declared = declare(70).concat();
        let used = declared.replace("let ", "").replace(" = 0", "");
        let refused = compiled(&format!("fn f() {{ {declared} let g = fn() {{ {used} }}; }}")).unwrap_err();
        assert!(refused.contains("captures more than 64 variables"), "{refused}");
    }
}
