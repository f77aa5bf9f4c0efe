//! A program that is typed: one entry after the other runs in the same machine.

use super::lang::diagnostic::Diagnostic;
use super::lang::disassembler::disassemble;
use super::lang::lexer::{Lexer, Token};
use super::lang::parser::parse;
use super::lang::session::{Increment, Session};
use super::options::ToyOptions;
use super::vm::Vm;
use crate::error::{Error, Result};
use crate::runtimes::Region;
use std::io::Write;
use std::path::PathBuf;

/// What was typed so far, and the machine that ran it.
pub struct ToySession {
    session: Session,
    vm: Vm,
    folder: Option<PathBuf>,
}

impl ToySession {
    /// Nothing typed yet. Imports are looked for in the folder.
    pub fn new(options: &ToyOptions, folder: Option<PathBuf>, output: Box<dyn Write>) -> Result<Self> {
        let (session, program) = Session::new();
        Ok(Self { session, vm: Vm::new(program, options, output)?, folder })
    }

    /// Runs one entry. Gives what its last expression is worth, as a program would write it, unless
    /// that is nil. An entry that is malformed changes nothing.
    pub fn enter(&mut self, source: &str) -> Result<Option<String>> {
        let entry = with_semicolon(source);
        let extended = self.session.extend(&entry, self.folder.as_deref());
        let Increment { program, start, has_value, constants } =
            extended.map_err(|why| self.error("this is malformed", &why))?;
        if !self.vm.extend(program, constants) {
            return Err(
                Error::new("the constants do not fit into the heap").fix("choose a larger heap limit")
            );
        }
        let value = self.vm.evaluate(start).map_err(|why| self.error("this failed", &why))?;
        Ok(value.filter(|_| has_value))
    }

    /// Whether an entry has brackets that are still open.
    pub fn is_unfinished(source: &str) -> bool {
        let mut lexer = Lexer::new(source, 0);
        let mut open = 0_i64;
        loop {
            match lexer.next_token() {
                Ok((Token::Symbol("(" | "[" | "{"), _)) => open += 1,
                Ok((Token::Symbol(")" | "]" | "}"), _)) => open -= 1,
                Ok((Token::End, _)) => return open > 0,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The bytecode of the functions of this name, the last defined first.
    pub fn disassemble(&self, name: &str) -> Vec<String> {
        let mut listings = disassemble(&self.vm.program, self.session.sources(), Some(name));
        listings.reverse();
        listings
    }

    /// Collects garbage. Gives live objects and their bytes afterwards.
    pub fn collect(&mut self) -> Result<(u64, u64)> {
        self.vm.collect_at_rest();
        let census = self.vm.census()?;
        Ok((census.objects, census.bytes))
    }

    /// The machine's memory, by name.
    pub fn regions(&self) -> Vec<Region> {
        self.vm.regions()
    }

    fn error(&self, what: &str, diagnostic: &Diagnostic) -> Error {
        Error::new(what).location(self.session.sources().place(diagnostic.at)).why(&diagnostic.message)
    }
}

/// The entry, with the semicolon that people leave out after the last expression.
fn with_semicolon(source: &str) -> String {
    let ended = format!("{source}\n;");
    if parse(source).is_err() && parse(&ended).is_ok() { ended } else { source.to_owned() }
}
