//! What can be done with a source file without running it.

use super::lang::diagnostic::{Diagnostic, Sources};
use super::lang::disassembler;
use super::lang::module_level;
use super::lang::modules::Loader;
use super::lang::printer;
use crate::error::{Context, Error, Result};
use std::path::Path;

/// Reads a source file, which must be UTF-8.
pub fn read_source(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).at("cannot read the toy program", path)?;
    String::from_utf8(bytes).map_err(|refused| {
        let valid = &refused.as_bytes()[..refused.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        Error::new("cannot read the toy program")
            .path(path)
            .why(format!("line {line} is not UTF-8"))
            .fix("save the file as UTF-8")
    })
}

/// The program in the one form that its printer gives it. The name is what errors call it.
pub fn format_source(name: &str, source: &str) -> Result<String> {
    let place = |why: &Diagnostic| format!("{name}:{}", why.at);
    printer::print(source)
        .map_err(|why| Error::new("the toy program is malformed").location(place(&why)).why(&why.message))
}

/// The bytecode of a program and all that it imports, one listing a function.
pub fn disassemble_file(path: &Path) -> Result<Vec<String>> {
    let source = read_source(path)?;
    let mut loader = Loader::default();
    let read = loader.main(&path.display().to_string(), &source, Some(path));
    let program = read.and_then(|()| module_level::compile(&loader.units));
    let program = program.map_err(|why| malformed(&loader.sources, &why))?;
    Ok(disassembler::disassemble(&program, None))
}

/// A program that cannot be compiled, as an error of the user's.
pub(super) fn malformed(sources: &Sources, why: &Diagnostic) -> Error {
    Error::new("the toy program is malformed").location(sources.place(why.at)).why(&why.message)
}
