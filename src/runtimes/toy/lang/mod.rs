//! From source text to bytecode.

pub(crate) mod ast;
pub(crate) mod bytecode;
mod codegen;
pub(crate) mod compiler;
pub(crate) mod diagnostic;
pub(crate) mod disassembler;
mod expressions;
pub(crate) mod lexer;
pub(crate) mod module_level;
pub(crate) mod modules;
pub(crate) mod parser;
pub(crate) mod printer;
mod scope;
pub(crate) mod session;
mod statements;
pub(crate) mod verifier;
