//! The syntax tree. Every node knows how deep it is, so that no pass can run out of stack.

use super::diagnostic::Position;
use std::rc::Rc;

/// A whole source file.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
}

/// What may stand at the top of a file.
#[derive(Debug)]
pub(crate) enum Item {
    Function { name: Rc<str>, at: Position, function: Function },
    Step(Step),
    Import(Import),
    Statement(Statement),
}

/// A block that a process runs after the fork.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: Rc<str>,
    pub(crate) at: Position,
    /// Runs once, in the zygote, and not in every worker.
    pub(crate) in_zygote: bool,
    pub(crate) body: Block,
}

/// `import "path" as name;`
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) path: Rc<str>,
    pub(crate) name: Rc<str>,
    pub(crate) at: Position,
}

/// Parameters and body of a function, named or not.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) parameters: Vec<(Rc<str>, Position)>,
    pub(crate) body: Block,
}

/// Statements in braces: a scope of their own.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) statements: Vec<Statement>,
    pub(crate) depth: u32,
}

#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) at: Position,
    pub(crate) kind: StatementKind,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Let { name: Rc<str>, value: Expression },
    Function { name: Rc<str>, function: Function },
    Assign { target: Expression, value: Expression },
    Expression(Expression),
    Block(Block),
    If { condition: Expression, then: Block, otherwise: Option<Block> },
    While { condition: Expression, body: Block },
    ForEach { name: Rc<str>, list: Expression, body: Block },
    ForRange { name: Rc<str>, from: Expression, to: Expression, body: Block },
    Return(Option<Expression>),
    Assert { condition: Expression, message: Option<Expression> },
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) at: Position,
    pub(crate) depth: u32,
    pub(crate) kind: ExpressionKind,
}

#[derive(Debug)]
pub(crate) enum ExpressionKind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Name(Rc<str>),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    Record(Vec<(Rc<str>, Expression)>),
    Function(Box<Function>),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Binary {
        operator: Binary,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// `and` and `or`, which may leave the right side out.
    Shortcut {
        and: bool,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Call {
        callee: Box<Expression>,
        arguments: Vec<Expression>,
    },
    Index {
        object: Box<Expression>,
        index: Box<Expression>,
    },
    Field {
        object: Box<Expression>,
        name: Rc<str>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}
