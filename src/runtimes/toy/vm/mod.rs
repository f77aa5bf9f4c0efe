//! The machine: registers, globals and counters around the heap, and the two ways to run code.

mod boxes;
mod builtins;
pub(crate) mod calls;
mod cursor;
mod display;
mod interpreter;
mod maps;
pub(crate) mod numbers;
mod objects;
mod operations;
mod quick;
mod registers;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use super::gc::Roots;
use super::gc::heap::{Heap, HeapFull};
use super::gc::object::{FUNCTION_TAG, Header, Kind};
use super::gc::plan::Reason;
use super::jit::Jit;
use super::lang::bytecode::{Constant, Program};
use super::lang::compiler::FRAME_LIMIT;
use super::lang::diagnostic::Diagnostic;
use super::memory::shared::SharedWords;
use super::memory::words::Words;
use super::options::{AtFork, ToyOptions};
use crate::error::{Error, Result};
use crate::runtimes::Region;
use std::io::Write;
use std::ops::Range;
use value::Value;

/// Calls that may be running at once.
pub(crate) const CALL_DEPTH_LIMIT: u64 = 10_000;
/// Words at the bottom of the stack that compiled code uses for itself; see [`super::jit`].
pub(crate) const CONTEXT_WORDS: usize = 16;
/// The context word that counts running calls.
pub(crate) const DEPTH_WORD: usize = 0;
/// The context word that holds the highest address of a register, exclusive, that any call since the
/// last collection could write. Every call that begins raises it.
pub(crate) const HIGH_WORD: usize = 6;
/// Output that is held back before it is written.
const OUTPUT_BYTES: usize = 64 << 10;

/// A running function: where it is and where its registers begin on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) function: u32,
    pub(crate) pc: u32,
    /// Index of register 0. The word before it holds the callee and takes the result.
    pub(crate) base: usize,
}

/// Why an operation did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trap {
    /// The program's mistake.
    Error(String),
    /// A collection may help.
    HeapFull,
}

impl From<HeapFull> for Trap {
    fn from(_: HeapFull) -> Self {
        Self::HeapFull
    }
}

impl Trap {
    fn error(message: impl Into<String>) -> Self {
        Self::Error(message.into())
    }
}

pub(crate) struct Vm {
    pub(crate) program: Program,
    pub(crate) heap: Heap,
    /// Context words, then the registers of all running calls.
    pub(crate) stack: Words,
    /// Global variables, then constants.
    pub(crate) globals: Words,
    /// Calls of every function, rounds of every function's loops, and what compiled code keeps outside
    /// of itself; see [`super::jit`].
    pub(crate) counters: Words,
    /// How many boxes there are, then what they hold.
    boxes: SharedWords,
    pub(crate) jit: Jit,
    /// Whether the zygote has forked, this process being it or one of its workers.
    pub(crate) has_forked: bool,
    /// The error on its way through compiled code, which only says that there is one.
    pub(crate) failure: Option<Diagnostic>,
    /// How many times compiled and interpreted code alternate on the native stack.
    pub(crate) nesting: u32,
    hot_calls: u32,
    frames: Vec<cursor::Cursor>,
    heap_limit: u64,
    output: Box<dyn Write>,
    held_output: Vec<u8>,
}

impl Vm {
    /// Sets up memory and constants; runs nothing yet.
    pub(crate) fn new(program: Program, options: &ToyOptions, output: Box<dyn Write>) -> Result<Self> {
        let mut vm = Self::set_up(program, options, output)?;
        vm.fill_globals(options)?;
        Ok(vm)
    }

    fn set_up(program: Program, options: &ToyOptions, output: Box<dyn Write>) -> Result<Self> {
        let functions = program.functions.len();
        Ok(Self {
            heap: Heap::new(options)?,
            stack: Words::map((CALL_DEPTH_LIMIT + 4) * (FRAME_LIMIT as u64 + 6) * 8, "stack")?,
            globals: Words::map((program.globals.len() + program.constants.len()) as u64 * 8 + 8, "globals")?,
            counters: Words::map(super::jit::table_bytes(functions), "counters")?,
            boxes: boxes::map()?,
            jit: Jit::new(options, functions)?,
            has_forked: false,
            failure: None,
            nesting: 0,
            hot_calls: options.hot_calls.max(1),
            frames: Vec::with_capacity(64),
            heap_limit: options.heap_limit,
            output,
            held_output: Vec::new(),
            program,
        })
    }

    fn fill_globals(&mut self, options: &ToyOptions) -> Result<()> {
        self.set_up_globals().map_err(|_| {
            Error::new("the program's constants do not fit into the heap")
                .why(format!("the heap limit is {}", crate::units::Bytes(options.heap_limit)))
                .fix("choose a larger heap limit")
        })
    }

    /// The same, with a heap that notes what happens.
    pub(crate) fn new_watched(
        program: Program,
        options: &ToyOptions,
        output: Box<dyn Write>,
    ) -> Result<Self> {
        let mut vm = Self::set_up(program, options, output)?;
        vm.heap.watch();
        vm.fill_globals(options)?;
        Ok(vm)
    }

    fn set_up_globals(&mut self) -> Result<(), Trap> {
        let variables = self.program.globals.len();
        for index in 0..variables {
            self.globals.set(index, Value::UNSET.0);
        }
        self.set_up_constants(0..self.program.constants.len())
    }

    fn set_up_constants(&mut self, which: Range<usize>) -> Result<(), Trap> {
        let variables = self.program.globals.len();
        for index in which {
            let value = match self.program.constants[index].clone() {
                Constant::Text(text) => self.new_text(text.as_bytes())?,
                Constant::Int(value) => self.new_int(value)?,
                Constant::Float(bits) => self.new_float(f64::from_bits(bits))?,
                Constant::Function(function) => {
                    Value(self.heap.allocate(Header::new(Kind::Closure, 0, FUNCTION_TAG | function))?)
                }
            };
            self.set_global(variables + index, value);
        }
        Ok(())
    }

    /// Runs a function without parameters to its end, with nothing else running.
    pub(crate) fn run(&mut self, function: u32) -> Result<(), Diagnostic> {
        self.stack.set(DEPTH_WORD, 0);
        let finished = self.invoke(function, CONTEXT_WORDS + 1);
        if finished.is_err() {
            self.clear_above(CONTEXT_WORDS);
        }
        let written = self.flush();
        finished?;
        written.map_err(|trap| self.diagnostic(Frame { function, pc: 0, base: 0 }, trap))
    }

    /// Runs a function as [`Vm::run`] does; tells what it returned, unless that is nil.
    pub(crate) fn evaluate(&mut self, function: u32) -> Result<Option<String>, Diagnostic> {
        self.run(function)?;
        let value = Value(self.stack.get(CONTEXT_WORDS));
        Ok((value != Value::NIL).then(|| self.quoted(value)))
    }

    /// Takes a later version of the program, whose tables are as large and whose new constants are these.
    /// False when these do not fit into the heap.
    pub(crate) fn extend(&mut self, program: Program, constants: Range<usize>) -> bool {
        self.program = program;
        self.set_up_constants(constants).is_ok()
    }

    /// Index of a constant among the globals.
    pub(crate) fn constant_word(&self, index: u32) -> usize {
        self.program.globals.len() + index as usize
    }

    /// Collects, with the frame's registers and all below it as roots.
    pub(crate) fn collect(&mut self, frame: Frame, reason: Reason) {
        let top = self.top(frame);
        self.clear_above(top);
        let mut roots =
            Roots { stack: &mut self.stack, registers: CONTEXT_WORDS..top, globals: &mut self.globals };
        self.heap.collect(&mut roots, reason);
    }

    /// Collects as a program may ask for it, with nothing running.
    pub(crate) fn collect_at_rest(&mut self) {
        self.clear_above(CONTEXT_WORDS);
        let (heap, mut roots) = self.roots_at_rest();
        heap.collect(&mut roots, Reason::Asked);
    }

    /// Gets ready for the first fork, with nothing running.
    pub(crate) fn prepare_fork(&mut self, at_fork: AtFork) -> Result<()> {
        self.freeze_code();
        self.clear_above(CONTEXT_WORDS);
        let mut roots = Roots { stack: &mut self.stack, registers: 0..0, globals: &mut self.globals };
        self.heap.prepare_fork(at_fork, &mut roots)
    }

    /// The roots when nothing runs.
    pub(crate) fn roots_at_rest(&mut self) -> (&mut Heap, Roots<'_>) {
        let roots = Roots { stack: &mut self.stack, registers: 0..0, globals: &mut self.globals };
        (&mut self.heap, roots)
    }

    /// What is alive when nothing runs.
    pub(crate) fn census(&mut self) -> Result<super::gc::Census> {
        let (heap, roots) = self.roots_at_rest();
        heap.census(&roots)
    }

    /// How many objects have a count that is wrong, when nothing runs and references are counted. The
    /// stack holds one value then, the result of what ran last.
    pub(crate) fn miscounted(&mut self) -> usize {
        if !self.heap.is_counting() {
            return 0;
        }
        let registers = CONTEXT_WORDS..CONTEXT_WORDS + 1;
        let roots = Roots { stack: &mut self.stack, registers, globals: &mut self.globals };
        self.heap.miscounted(&roots).len()
    }

    fn top(&self, frame: Frame) -> usize {
        frame.base + usize::from(self.program.functions[frame.function as usize].frame)
    }

    /// Says where the trap's operation stands in the source.
    pub(crate) fn diagnostic(&self, frame: Frame, trap: Trap) -> Diagnostic {
        let at = self.program.functions[frame.function as usize].positions[frame.pc as usize];
        match trap {
            Trap::Error(message) => Diagnostic::new(at, message),
            Trap::HeapFull => {
                let limit = crate::units::Bytes(self.heap_limit);
                Diagnostic::new(at, format!("out of memory: the heap limit of {limit} is reached"))
            }
        }
    }

    /// Holds output back, so that a program that prints much writes seldom.
    fn print(&mut self, text: &[u8]) -> Result<(), Trap> {
        self.held_output.extend_from_slice(text);
        if self.held_output.len() >= OUTPUT_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes held-back output.
    pub(crate) fn flush(&mut self) -> Result<(), Trap> {
        if self.held_output.is_empty() {
            return Ok(());
        }
        let written = self.output.write_all(&self.held_output).and_then(|()| self.output.flush());
        self.held_output.clear();
        written.map_err(|why| Trap::error(format!("cannot write the output: {why}")))
    }

    /// All memory that the machine can name.
    pub(crate) fn regions(&self) -> Vec<Region> {
        let named = [
            (&self.counters, "inline-cache data"),
            (&self.globals, "global variables"),
            (&self.stack, "vm stack"),
        ];
        let mut regions = self.heap.regions();
        regions.extend(named.map(|(words, name)| words.region(name)));
        regions.push(self.boxes.region("shared boxes"));
        regions.extend(self.jit.regions());
        regions
    }
}
