//! What the compiler makes of a program under one code policy: sizes of code, and when it is made.

use crate::error::{Error, Result};
use crate::runtimes::Runtime;
use crate::runtimes::toy::jit::Emitted;
use crate::runtimes::toy::options::ToyOptions;
use crate::runtimes::toy::runtime::ToyRuntime;
use std::path::Path;

/// Code of a program that runs all its steps in one process. Nothing is known of which of it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeProfile {
    /// Every piece, in the order it was made.
    pub emitted: Vec<Emitted>,
    /// How many of them were there at the fork.
    pub older: usize,
    /// How many of them were there after each step.
    pub after: Vec<usize>,
}

impl CodeProfile {
    /// Loads a program and runs each of its steps once, without a fork.
    ///
    /// Errors: the program cannot be read or compiled, or fails.
    pub fn of(path: &Path, options: ToyOptions) -> Result<Self> {
        let mut runtime = ToyRuntime::load_file(path, options, Box::new(std::io::sink()))?;
        runtime.prepare_fork()?;
        let older = runtime.emitted_code().len();
        let mut after = Vec::new();
        for step in 0..runtime.steps().len() {
            runtime
                .run_step(step)
                .map_err(|failure| Error::new("a step of the toy program failed").why(failure.message))?;
            after.push(runtime.emitted_code().len());
        }
        Ok(Self { emitted: runtime.emitted_code().to_vec(), older, after })
    }
}
