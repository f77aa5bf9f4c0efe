//! From source text to bytecode.

pub(crate) mod ast;
pub(crate) mod bytecode;
mod codegen;
pub(crate) mod compiler;
pub(crate) mod diagnostic;
mod expressions;
pub(crate) mod lexer;
pub(crate) mod parser;
mod scope;
mod statements;
pub(crate) mod verifier;
