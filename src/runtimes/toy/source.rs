//! What can be done with a source file without running it.

use super::lang::bytecode::Program;
use super::lang::diagnostic::{Diagnostic, Sources};
use super::lang::modules::Loader;
use super::lang::{disassembler, module_level, printer, verifier};
use crate::error::{Context, Error, Result};
use std::path::Path;

/// Reads a source file, which must be UTF-8.
pub fn read_source(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).at("cannot read the toy program", path).map_err(|error| {
        error.fix("check the path; `forkprint demo --export workloads` writes programs to start from")
    })?;
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
    let (sources, program) = compile_file(path)?;
    Ok(disassembler::disassemble(&program, &sources, None))
}

/// Reads and compiles a source file and all that it imports.
pub(super) fn compile_file(path: &Path) -> Result<(Sources, Program)> {
    compile(&path.display().to_string(), &read_source(path)?, Some(path))
}

/// Compiles a program and all that it imports. `file` says where it lies, if it lies anywhere.
pub(super) fn compile(name: &str, source: &str, file: Option<&Path>) -> Result<(Sources, Program)> {
    let mut loader = Loader::default();
    let read = loader.main(name, source, file);
    let compiled = read.and_then(|()| {
        let program = module_level::compile(&loader.units)?;
        verifier::verify(&program)?;
        Ok(program)
    });
    match compiled {
        Ok(program) => Ok((loader.sources, program)),
        Err(why) => Err(Error::new("the toy program is malformed")
            .location(loader.sources.place(why.at))
            .why(&why.message)),
    }
}
