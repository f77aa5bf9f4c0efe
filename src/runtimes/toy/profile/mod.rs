//! What a program does to its objects, whatever the memory policy: the input of the laboratory's model.
//!
//! One run of the program, interpreted and in this process, is watched by an [`Observer`]. Objects are
//! known by their *ordinal*: the first one made is 0. Addresses never leave the observer, so nothing of
//! the policy that happens to run below gets into the profile.

mod code;
mod observer;
mod ordinals;

pub use code::CodeProfile;
pub(crate) use observer::Observer;
pub use ordinals::Ordinals;

use super::lang::bytecode::{Function, Op, Program, Step};
use super::lang::diagnostic::Diagnostic;
use super::options::{AtFork, GcPolicy, ToyOptions};
use super::source::compile_file;
use super::vm::{CONTEXT_WORDS, Vm};
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// A program's doings before the fork, and in each step.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Every object, by ordinal.
    pub objects: Vec<ObjectProfile>,
    /// How many of them are older than the fork.
    pub older: usize,
    /// Those of them that are alive at the fork.
    pub alive: Ordinals,
    /// The same, in the order in which a breadth-first trace meets them.
    pub packing: Vec<usize>,
    /// Every object that was given back as soon as nothing referred to it, before the fork and after it:
    /// none unless references are counted.
    pub deaths: Vec<Death>,
    /// How many of them are older than the fork.
    pub older_deaths: usize,
    /// Every collection, before the fork and after it.
    pub collections: Vec<Collection>,
    /// How many of them are older than the fork.
    pub older_collections: usize,
    /// Global variables and constants.
    pub globals: u32,
    /// Each function of the program.
    pub functions: Vec<FunctionProfile>,
    /// How often each function was called, and how often its loops went round, before the fork.
    pub heat: Vec<Heat>,
    /// Places that ran before the fork.
    pub sites: BTreeSet<Site>,
    /// The steps, in order.
    pub steps: Vec<StepProfile>,
}

/// One function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionProfile {
    /// Instructions.
    pub instructions: u32,
    /// Those of them that compiled code learns from, by index, and whether it keeps an inline cache there
    /// or only the target of a call.
    pub places: Vec<(u32, bool)>,
}

/// One object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectProfile {
    /// Its size, header included.
    pub bytes: u64,
    /// Bytes from its start that were written when it was new; an array is filled from its front.
    pub written: u64,
}

/// One collection.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// Objects made before it.
    pub at: usize,
    /// Whether the program asked for it; else enough was allocated.
    pub is_asked: bool,
    /// Those of them that it found alive.
    pub live: Ordinals,
    /// Slots of theirs that lead to objects younger than their holder.
    pub links: Vec<Link>,
}

/// A slot that leads to an object younger than its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Ordinal of the object that holds the slot.
    pub holder: u32,
    /// Index of the slot's word in it.
    pub word: u32,
    /// Ordinal of the object it leads to.
    pub target: u32,
}

/// The end of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Objects made before it.
    pub at: usize,
    /// The object.
    pub ordinal: usize,
}

/// How hot a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heat {
    /// Calls.
    pub calls: u64,
    /// Rounds of its loops.
    pub rounds: u64,
}

/// A place that compiled code would patch: a field access or a call, by function and instruction.
pub type Site = (u32, u32);

/// One step.
#[derive(Debug, Clone, Default)]
pub struct StepProfile {
    /// Its name.
    pub name: String,
    /// Ordinals of the objects that it made.
    pub made: Range<usize>,
    /// Words of older objects that it stored to: (ordinal, index of the word in the object).
    pub stored: BTreeSet<(u32, u32)>,
    /// Objects a reference to which it put into a register, a variable or an object, or took away.
    pub visited: Ordinals,
    /// Objects that are alive at its end.
    pub alive: Ordinals,
    /// Older objects that it gave a reference to one made since the fork.
    pub linked: Ordinals,
    /// Its collections, as indexes into [`Profile::collections`].
    pub collections: Range<usize>,
    /// Its deaths, as indexes into [`Profile::deaths`].
    pub deaths: Range<usize>,
    /// Whether the zygote runs it, and no worker.
    pub in_zygote: bool,
    /// Words of the stack, from its start, that it may have written.
    pub stack_words: u64,
    /// Global variables that it assigned, by index.
    pub globals: BTreeSet<u32>,
    /// Calls and rounds of each function, from the start of the program to the end of the step.
    pub heat: Vec<Heat>,
    /// Places that ran in it.
    pub sites: BTreeSet<Site>,
}

impl Profile {
    /// Runs a program once, and each of its steps once, without a fork. Objects die at collections or,
    /// where the policy counts references, with the last reference to them.
    ///
    /// Errors: the program cannot be read or compiled, or fails.
    pub fn of(path: &Path, gc: GcPolicy) -> Result<Self> {
        let (sources, program) = compile_file(path)?;
        let (steps, functions) = (program.steps.clone(), functions_of(&program));
        let globals = u32::try_from(program.globals.len() + program.constants.len()).unwrap_or(u32::MAX);
        // Counts calls and rounds as the compiler would, and compiles nothing.
        let options = ToyOptions { gc, hot_calls: u32::MAX, ..ToyOptions::default() };
        let mut vm = Vm::new_watched(program, &options, Box::new(std::io::sink()))?;
        let fail =
            |what: &str, why: &Diagnostic| Error::new(what).location(sources.place(why.at)).why(&why.message);
        vm.run(0).map_err(|why| fail("the toy program failed while it was loaded", &why))?;
        vm.prepare_fork(AtFork::Nothing)?;
        let (heap, roots) = vm.roots_at_rest();
        let alive = heap.live_ordinals(&roots);
        let packing = heap.ordinals_in_trace_order(&roots)?;
        let heat_at_fork = heat_of(&vm, functions.len());
        let mut profile = vm.heap.observed(|observer| observer.fork(alive)).unwrap_or_default();
        profile.heat = heat_at_fork;
        profile.packing = packing;
        for Step { name, function, in_zygote } in steps {
            vm.run(function).map_err(|why| fail("a step of the toy program failed", &why))?;
            vm.clear_above(CONTEXT_WORDS);
            let counted = heat_of(&vm, functions.len());
            let (heap, roots) = vm.roots_at_rest();
            let alive = heap.live_ordinals(&roots);
            if let Some(step) = heap.observed(|observer| observer.end_step(name.to_string())) {
                profile.steps.push(StepProfile { heat: counted, alive, in_zygote, ..step });
            }
        }
        vm.heap.observed(|observer| observer.finish(&mut profile));
        profile.functions = functions;
        profile.globals = globals;
        Ok(profile)
    }
}

fn functions_of(program: &Program) -> Vec<FunctionProfile> {
    let place = |(pc, op): (u32, &Op)| match op {
        Op::GetField { .. } | Op::SetField { .. } | Op::Call { .. } => Some((pc, true)),
        Op::CallFunction { .. } => Some((pc, false)),
        _ => None,
    };
    let function = |function: &Function| FunctionProfile {
        instructions: u32::try_from(function.code.len()).unwrap_or(u32::MAX),
        places: (0..).zip(&function.code).filter_map(place).collect(),
    };
    program.functions.iter().map(function).collect()
}

/// The counters that the interpreter keeps for the compiler.
fn heat_of(vm: &Vm, functions: usize) -> Vec<Heat> {
    (0..functions)
        .map(|function| Heat {
            calls: vm.counters.get(function),
            rounds: vm.counters.get(functions + function),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(source: &str) -> Profile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program.toy");
        std::fs::write(&path, source).unwrap();
        Profile::of(&path, GcPolicy::MarkBitmap).unwrap()
    }

    #[test]
    fn a_profile_counts_what_the_source_says() {
        let profile = profile(
            "let boxes = [];
            for number in 0..10 { push(boxes, {value: number, other: nil}); }
            collect();
            step read { let sum = 0; for one in boxes { sum = sum + one.value; } }
            step write { boxes[3].other = 7; }
            step make { let kept = {a: 1}; collect(); }",
        );
        let records = profile.objects[..profile.older].iter().filter(|object| object.bytes == 32).count();
        assert!(records >= 10, "{:?}", profile.objects);
        assert_eq!((profile.older_collections, profile.collections.len()), (1, 2));
        let [read, write, make] = &profile.steps[..] else { panic!("{:?}", profile.steps) };
        assert_eq!((read.made.len(), read.stored.len()), (0, 0));
        assert!(read.visited.len() >= 11, "ten records and the list: {}", read.visited.len());
        assert_eq!(write.stored.iter().map(|(_, word)| *word).collect::<Vec<_>>(), [3], "the second field");
        assert_eq!((make.made.len(), make.collections.len()), (1, 1));
        assert_eq!(profile.objects[make.made.start], ObjectProfile { bytes: 24, written: 24 });
    }
}
