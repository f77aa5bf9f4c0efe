//! From source text to bytecode.

pub(crate) mod ast;
pub(crate) mod bytecode;
pub(crate) mod compiler;
pub(crate) mod diagnostic;
mod codegen;
mod expressions;
pub(crate) mod lexer;
pub(crate) mod parser;
mod scope;
