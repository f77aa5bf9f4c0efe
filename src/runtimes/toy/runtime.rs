//! A loaded program as a [`Runtime`], and what tests and reports want to know about its memory.

use super::jit::{CodeStats, Emitted};
use super::lang::diagnostic::{Diagnostic, Sources};
use super::options::{JitMode, ToyOptions};
use super::source::{compile, read_source};
use super::vm::Vm;
use crate::error::{Context, Error, Result};
use crate::runtimes::{ForkSide, Region, Runtime, StepFailure};
use nix::unistd::{ForkResult, fork};
use std::io::Write;
use std::path::Path;

/// A toy program whose module level has run.
pub struct ToyRuntime {
    name: String,
    sources: Sources,
    description: String,
    options: ToyOptions,
    vm: Vm,
    /// Whether what is done once before the first fork is done.
    is_prepared: bool,
}

impl ToyRuntime {
    /// Reads, compiles and loads a source file. `print` writes to the standard output.
    pub fn load(path: &Path, options: ToyOptions) -> Result<Self> {
        Self::load_file(path, options, Box::new(std::io::stdout()))
    }

    /// The same, with `print` writing elsewhere. The program may import files that lie around it.
    pub fn load_file(path: &Path, options: ToyOptions, output: Box<dyn Write>) -> Result<Self> {
        let source = read_source(path)?;
        Self::start(&path.display().to_string(), &source, Some(path), options, output)
    }

    /// Compiles a program and runs its module level. The name is what errors call it. It may import
    /// the library only.
    pub fn load_source(name: &str, source: &str, options: ToyOptions) -> Result<Self> {
        Self::load_with_output(name, source, options, Box::new(std::io::stdout()))
    }

    /// The same, with `print` writing elsewhere.
    pub fn load_with_output(
        name: &str,
        source: &str,
        options: ToyOptions,
        output: Box<dyn Write>,
    ) -> Result<Self> {
        Self::start(name, source, None, options, output)
    }

    fn start(
        name: &str,
        source: &str,
        file: Option<&Path>,
        options: ToyOptions,
        output: Box<dyn Write>,
    ) -> Result<Self> {
        let (sources, program) = compile(name, source, file)?;
        let mut vm = Vm::new(program, &options, output)?;
        vm.run(0).map_err(|why| {
            let failed = Error::new("the toy program failed while it was loaded");
            failed.location(sources.place(why.at)).why(&why.message)
        })?;
        let description = header_comment(source);
        Ok(Self { name: name.to_owned(), sources, description, options, vm, is_prepared: false })
    }

    /// Finds what is wrong with a program without running any of it.
    pub fn check(name: &str, source: &str) -> Result<()> {
        compile(name, source, None).map(drop)
    }

    /// What the runtime was loaded with.
    pub fn options(&self) -> &ToyOptions {
        &self.options
    }

    /// Does what is done once before the first fork. Forking does it as well.
    pub fn prepare_fork(&mut self) -> Result<()> {
        if self.is_prepared {
            return Ok(());
        }
        self.is_prepared = true;
        self.vm.prepare_fork(self.options.at_fork)
    }

    /// Addresses of every patch made to compiled code since the program was loaded, or since the
    /// fork in a worker. Each is the first byte of an aligned 4-byte store.
    pub fn patched_sites(&self) -> &[usize] {
        self.vm.jit.patched_sites()
    }

    /// Addresses of every word of the inline-cache data that changed since the program was loaded, or
    /// since the fork in a worker: what compiled code keeps outside of itself. The counters of how hot
    /// functions are, which stand on pages of their own, are not among them.
    pub fn written_slots(&self) -> Vec<u64> {
        let start = self.vm.counters.start();
        self.vm.jit.written_slots().iter().map(|index| start + *index as u64 * 8).collect()
    }

    /// Compiled code in numbers.
    pub fn code_stats(&self) -> CodeStats {
        self.vm.jit.stats()
    }

    /// Every piece of compiled code, in the order it was made.
    pub fn emitted_code(&self) -> &[Emitted] {
        self.vm.jit.emitted()
    }

    /// Bytes of compiled code, padding included.
    pub fn code_bytes_used(&self) -> u64 {
        let stats = self.code_stats();
        stats.hot_bytes + stats.cold_bytes
    }

    /// How many functions are compiled.
    pub fn compiled_functions(&self) -> usize {
        self.vm.jit.compiled_functions()
    }

    /// Addresses of the heap pages that hold at least one byte of a live object, ascending.
    ///
    /// Counts what the globals lead to, without writing to the heap or its bitmaps.
    pub fn live_pages(&mut self) -> Result<Vec<u64>> {
        Ok(self.vm.census()?.pages)
    }

    /// How many objects are alive, and how many bytes they take.
    pub fn live_objects(&mut self) -> Result<(u64, u64)> {
        let census = self.vm.census()?;
        Ok((census.objects, census.bytes))
    }

    /// How many pages of a mark bitmap one collection of the live objects writes.
    pub fn bitmap_pages_of_live_set(&mut self) -> Result<u64> {
        Ok(self.vm.census()?.bitmap_pages)
    }

    /// How many collections ran since the program was loaded.
    pub fn collections(&self) -> u64 {
        self.vm.heap.collections()
    }

    /// How many objects have a reference count other than the number of references to them that a walk
    /// through everything finds. None have while no step runs, whatever happened before.
    pub fn miscounted_objects(&mut self) -> usize {
        self.vm.miscounted()
    }

    fn failure(&self, diagnostic: &Diagnostic) -> StepFailure {
        let message = format!("{}: {}", self.sources.place(diagnostic.at), diagnostic.message);
        StepFailure { message, traceback: None }
    }
}

fn header_comment(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//"));
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}

impl Runtime for ToyRuntime {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// The comment at the top of the source.
    fn description(&self) -> String {
        self.description.clone()
    }

    fn steps(&self) -> Vec<String> {
        self.vm.program.steps.iter().map(|step| step.name.to_string()).collect()
    }

    fn runs_in_zygote(&self, index: usize) -> bool {
        self.vm.program.steps.get(index).is_some_and(|step| step.in_zygote)
    }

    fn run_step(&mut self, index: usize) -> Result<(), StepFailure> {
        let Some(step) = self.vm.program.steps.get(index) else {
            let message = format!("{}: there is no step {index}", self.name);
            return Err(StepFailure { message, traceback: None });
        };
        let function = step.function;
        self.vm.run(function).map_err(|diagnostic| self.failure(&diagnostic))
    }

    fn regions(&self) -> Vec<Region> {
        self.vm.regions()
    }

    fn notes(&self) -> Vec<String> {
        if self.options.jit == JitMode::Off {
            return Vec::new();
        }
        self.vm.jit.missing().map(str::to_owned).into_iter().collect()
    }

    fn prepare_fork(&mut self) -> Result<()> {
        Self::prepare_fork(self)
    }

    fn fork(&mut self) -> Result<ForkSide> {
        Self::prepare_fork(self)?;
        self.vm.has_forked = true;
        self.vm.flush().map_err(|_| Error::new("cannot write the toy program's output before the fork"))?;
        #[expect(unsafe_code, reason = "fork has no safe form")]
        // SAFETY: the runtime has no thread of its own. The caller of Runtime::fork answers for the
        // rest of the process, as the trait asks.
        let forked = unsafe { fork() }.doing("cannot fork the toy runtime")?;
        Ok(match forked {
            ForkResult::Parent { child } => ForkSide::Zygote(child.as_raw().cast_unsigned()),
            ForkResult::Child => {
                self.vm.jit.begin_worker();
                ForkSide::Worker
            }
        })
    }
}
