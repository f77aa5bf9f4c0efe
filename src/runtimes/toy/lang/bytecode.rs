//! What the compiler hands to the machine: register code, constants and record shapes.

use super::diagnostic::Position;
use std::rc::Rc;

/// A slot of the current frame.
pub(crate) type Register = u8;

/// One instruction. Registers come first, wide operands last, eight bytes in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// A value that is no object: a tagged word, sign extended.
    Immediate {
        to: Register,
        bits: i32,
    },
    Constant {
        to: Register,
        index: u32,
    },
    Move {
        to: Register,
        from: Register,
    },
    GetGlobal {
        to: Register,
        index: u32,
    },
    SetGlobal {
        from: Register,
        index: u32,
    },
    /// A new cell for a variable that closures capture. `to` may equal `from`.
    NewCell {
        to: Register,
        from: Register,
    },
    GetCell {
        to: Register,
        cell: Register,
    },
    SetCell {
        cell: Register,
        from: Register,
    },
    /// The value in the running closure's captured cell.
    GetCapture {
        to: Register,
        index: u8,
    },
    SetCapture {
        index: u8,
        from: Register,
    },
    /// The captured cell itself, to hand it to a closure inside this one.
    CaptureCell {
        to: Register,
        index: u8,
    },
    /// A closure over the cells that stand in the registers from `first` on.
    NewClosure {
        to: Register,
        first: Register,
        function: u32,
    },
    Arithmetic {
        operator: Arithmetic,
        to: Register,
        left: Register,
        right: Register,
    },
    Compare {
        operator: Comparison,
        to: Register,
        left: Register,
        right: Register,
    },
    Negate {
        to: Register,
        from: Register,
    },
    Not {
        to: Register,
        from: Register,
    },
    Jump {
        target: u32,
    },
    /// A jump back to the head of a loop.
    Loop {
        target: u32,
    },
    JumpIfFalse {
        condition: Register,
        target: u32,
    },
    JumpIfTrue {
        condition: Register,
        target: u32,
    },
    /// Calls the value in `slot` with the arguments after it; the result replaces the value.
    Call {
        slot: Register,
        arguments: u8,
    },
    /// Calls a named function of the file; nothing can change which one that is.
    CallFunction {
        slot: Register,
        function: u32,
    },
    CallBuiltin {
        slot: Register,
        arguments: u8,
        builtin: u8,
    },
    Return {
        from: Register,
    },
    /// An empty list with room for so many items.
    NewList {
        to: Register,
        room: u32,
    },
    /// An empty map with room for so many entries.
    NewMap {
        to: Register,
        room: u32,
    },
    Append {
        list: Register,
        from: Register,
    },
    /// A record of the shape, its fields standing in the registers from `first` on.
    NewRecord {
        to: Register,
        first: Register,
        shape: u32,
    },
    GetField {
        to: Register,
        object: Register,
        name: u32,
    },
    SetField {
        object: Register,
        from: Register,
        name: u32,
    },
    GetIndex {
        to: Register,
        object: Register,
        index: Register,
    },
    SetIndex {
        object: Register,
        index: Register,
        from: Register,
    },
    /// Checks that the register holds a list.
    CheckList {
        list: Register,
    },
    /// The next item of the list in `state`, counted by the integer after it, or a jump.
    NextItem {
        to: Register,
        state: Register,
        exit: u32,
    },
    /// Checks that the register and the one after it hold integers a loop can count.
    CheckRange {
        state: Register,
    },
    /// Counts the register `state` up to the bound after it, or jumps.
    NextNumber {
        to: Register,
        state: Register,
        exit: u32,
    },
    /// Fails with the message in the register.
    FailAssertion {
        message: Register,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An object that exists from the start of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Constant {
    Text(Rc<str>),
    Int(i64),
    /// The bits of a float.
    Float(u64),
    /// A function of the file, which captures nothing.
    Function(u32),
}

/// Code of one function, and all that running and explaining it takes.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: Rc<str>,
    pub(crate) parameters: u8,
    pub(crate) captures: u8,
    /// Registers that a frame has, parameters among them.
    pub(crate) frame: u16,
    pub(crate) code: Vec<Op>,
    /// One a code word: where in the source it comes from.
    pub(crate) positions: Vec<Position>,
}

/// The body of a `step` block.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: Rc<str>,
    pub(crate) function: u32,
    /// Runs once, in the zygote, and not in every worker.
    pub(crate) in_zygote: bool,
}

/// A compiled program of one file or several.
#[derive(Debug)]
pub(crate) struct Program {
    /// The first one is the module level.
    pub(crate) functions: Vec<Function>,
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) globals: Vec<Rc<str>>,
    /// Field names that the code asks for, by the index in the instruction.
    pub(crate) names: Vec<Rc<str>>,
    pub(crate) shapes: Vec<Shape>,
}

/// The field names of a kind of record, as indexes into [`Program::names`], in memory order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shape(pub(crate) Vec<u32>);

impl Shape {
    pub(crate) fn position(&self, name: u32) -> Option<usize> {
        self.0.iter().position(|known| *known == name)
    }
}

/// Functions that every program has, by the index in the instruction.
pub(crate) const BUILTINS: [BuiltinName; 18] = [
    BuiltinName { name: "print", arguments: None },
    BuiltinName { name: "len", arguments: Some(1) },
    BuiltinName { name: "push", arguments: Some(2) },
    BuiltinName { name: "pop", arguments: Some(1) },
    BuiltinName { name: "str", arguments: Some(1) },
    BuiltinName { name: "list", arguments: Some(2) },
    BuiltinName { name: "type", arguments: Some(1) },
    BuiltinName { name: "has", arguments: Some(2) },
    BuiltinName { name: "get", arguments: Some(3) },
    BuiltinName { name: "remove", arguments: Some(2) },
    BuiltinName { name: "keys", arguments: Some(1) },
    BuiltinName { name: "int", arguments: Some(1) },
    BuiltinName { name: "float", arguments: Some(1) },
    BuiltinName { name: "sqrt", arguments: Some(1) },
    BuiltinName { name: "collect", arguments: Some(0) },
    BuiltinName { name: "box", arguments: Some(1) },
    BuiltinName { name: "fetch_add", arguments: Some(2) },
    BuiltinName { name: "has_forked", arguments: Some(0) },
];

/// What the compiler knows about a builtin.
pub(crate) struct BuiltinName {
    pub(crate) name: &'static str,
    /// How many arguments it takes; any number when nothing is said.
    pub(crate) arguments: Option<u8>,
}
