//! Compiles hot functions, and changes what compiled code keeps: call targets and inline caches.
//!
//! Compiled code keeps every value in the machine's registers on the VM stack, so roots are the same
//! for both ways of running. Two kinds of places change while it runs ([`site`]):
//!
//! - the target of a call to a named function: from "let the machine call it" to the callee's code;
//! - inline caches of field accesses and of calls through values: up to four pairs of a guard, the
//!   shape or function that was seen, and an operand, the field's offset or the callee's code.
//!
//! A [`policy`] says where guards, operands and counters stand: inside the code, or in a table.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for back ends, of which there is none"))]

mod caches;
mod code;
mod deopt;
mod effects;
mod native;
#[cfg(not(target_arch = "x86_64"))]
mod no_back_end;
mod plan;
mod policy;
mod site;
mod stats;
mod table;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
mod types;
mod warm;
#[cfg(target_arch = "x86_64")]
#[allow(
    clippy::useless_conversion,
    clippy::used_underscore_binding,
    reason = "what dynasm makes of registers that are chosen at run time"
)]
mod x64;

#[cfg(not(target_arch = "x86_64"))]
use no_back_end as back_end;
#[cfg(target_arch = "x86_64")]
use x64 as back_end;

pub use stats::{CodeStats, Emitted};
pub(crate) use table::table_bytes;

use super::options::ToyOptions;
use crate::error::Result;
use crate::runtimes::Region;
use code::CodeArena;
use deopt::{Exit, Experience};
use policy::CodePolicy;
use site::Site;
use table::Slots;

/// Most changing places of one runtime.
const SITE_LIMIT: usize = 1 << 16;
/// Bytes for compiled code, hot and cold.
const CODE_BYTES: u64 = 16 << 20;

/// Where one function's code will stand, and what changes of it.
#[derive(Debug, Clone, Copy)]
struct Layout {
    policy: CodePolicy,
    /// Address of the code that runs when guesses hold.
    hot: usize,
    /// Address of the code that runs when they do not.
    cold: usize,
    /// Number of the first place.
    first_site: usize,
    /// Number of the first exit.
    first_exit: usize,
    /// Index of the first free word of the table.
    first_slot: usize,
    /// Address of the table's first word.
    table: u64,
    /// Whether guards are counted, to leave at some that hold.
    leaves_at_random: bool,
}

/// What a back end makes of one function.
struct Assembled {
    hot: Vec<u8>,
    cold: Vec<u8>,
    sites: Vec<Site>,
    exits: Vec<Exit>,
    /// Address of every instruction's code, if it can be entered there.
    instructions: Vec<usize>,
    /// Words of the table from the first free one on.
    words: Vec<u64>,
}

/// What there is once a back end can work: the code, and what of it changes.
struct Compiled {
    policy: CodePolicy,
    arena: CodeArena,
    trampoline: u64,
    resumption: u64,
    sites: Vec<Site>,
    exits: Vec<Exit>,
    slots: Slots,
    /// Every piece of code, in the order it was made.
    emitted: Vec<Emitted>,
}

/// The compiler's state: the code, and where functions begin in it.
pub(crate) struct Jit {
    compiled: Option<Compiled>,
    missing: Option<&'static str>,
    entries: Vec<u64>,
    experience: Vec<Experience>,
    deopt_every: u32,
    is_frozen: bool,
}

impl Jit {
    pub(crate) fn new(options: &ToyOptions, functions: usize) -> Result<Self> {
        let mut jit = Self {
            compiled: None,
            missing: None,
            entries: vec![0; functions],
            experience: Vec::new(),
            deopt_every: options.deopt_every,
            is_frozen: false,
        };
        let Some(policy) = CodePolicy::of(options.jit) else { return Ok(jit) };
        let (Some(trampoline), Some(resumption)) = (back_end::trampoline(), back_end::resumption()) else {
            jit.missing =
                Some("the toy compiler has no back end for this processor; everything is interpreted");
            return Ok(jit);
        };
        let mut arena = CodeArena::map(CODE_BYTES)?;
        let Some((trampoline, resumption)) = arena.emit(&trampoline, &[]).zip(arena.emit(&resumption, &[]))
        else {
            jit.missing = Some("the system refuses executable memory; everything is interpreted");
            return Ok(jit);
        };
        let (sites, exits, emitted, slots) = (Vec::new(), Vec::new(), Vec::new(), Slots::new(functions));
        jit.compiled = Some(Compiled { policy, arena, trampoline, resumption, sites, exits, slots, emitted });
        jit.experience.resize_with(functions, Experience::default);
        Ok(jit)
    }

    /// The address of the function's compiled code.
    pub(crate) fn entry(&self, function: u32) -> Option<u64> {
        self.entries.get(function as usize).copied().filter(|entry| *entry != 0)
    }

    /// Whether there is a back end with room for more code, and code may still change. If not, nobody
    /// needs to count how hot anything is.
    pub(crate) fn can_compile(&self) -> bool {
        !self.is_frozen && self.compiled.as_ref().is_some_and(|code| code.sites.len() < SITE_LIMIT)
    }

    /// Why nothing is compiled although it was asked for.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    /// Addresses of every operand in the code that was changed, in order.
    pub(crate) fn patched_sites(&self) -> &[usize] {
        self.compiled.as_ref().map_or(&[], |code| code.arena.patched())
    }

    /// Indexes of every word of the table that compiled code's places changed, in order.
    pub(crate) fn written_slots(&self) -> &[usize] {
        self.compiled.as_ref().map_or(&[], |code| code.slots.written())
    }

    pub(crate) fn compiled_functions(&self) -> usize {
        self.entries.iter().filter(|entry| **entry != 0).count()
    }

    /// Forgets the zygote's changes, and puts new code and its words on pages that the zygote has not
    /// written.
    pub(crate) fn begin_worker(&mut self) {
        if let Some(code) = &mut self.compiled {
            code.arena.begin_worker();
            code.slots.begin_worker();
        }
    }

    pub(crate) fn regions(&self) -> Vec<Region> {
        self.compiled.as_ref().map_or_else(Vec::new, |code| code.arena.regions().into())
    }
}
