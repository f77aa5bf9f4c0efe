//! Compiles hot functions, and patches the compiled code where it stands.
//!
//! Compiled code keeps every value in the machine's registers on the VM stack, so roots are the same
//! for both ways of running. Three kinds of places inside the code are patched:
//!
//! - the target of a call to a named function: from "let the machine call it" to the callee's code;
//! - the guard and the target of a call through a value: the function it saw, and that one's code;
//! - the guard and the offset of a field access: the shape of the record it saw, and where the field
//!   stands in it.

mod code;
mod native;
#[cfg(not(target_arch = "x86_64"))]
mod no_back_end;
#[cfg(target_arch = "x86_64")]
mod x64;

#[cfg(not(target_arch = "x86_64"))]
use no_back_end as back_end;
#[cfg(target_arch = "x86_64")]
use x64 as back_end;

use super::options::JitMode;
use crate::error::Result;
use crate::runtimes::Region;
use code::CodeArena;

/// Most patchable places of one runtime.
pub(crate) const SITE_LIMIT: usize = 1 << 16;
/// How often one place is patched before it is left as it is.
const PATCH_LIMIT: u64 = 4;
/// Bytes for compiled code.
const CODE_BYTES: u64 = 16 << 20;
/// A place in compiled code that is patched. Addresses are those of aligned 4-byte operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Site {
    function: u32,
    pc: u32,
    /// Compared with the upper half of an object's header; a call to a named function has none.
    guard: Option<usize>,
    /// The field's offset, or the call's distance to its target.
    operand: usize,
}

/// What a back end makes of one function.
struct Assembled {
    code: Vec<u8>,
    sites: Vec<Site>,
}

/// The compiler's state: the code, where functions begin in it, and what can be patched.
pub(crate) struct Jit {
    arena: Option<CodeArena>,
    missing: Option<&'static str>,
    trampoline: u64,
    entries: Vec<u64>,
    sites: Vec<Site>,
}

impl Jit {
    pub(crate) fn new(mode: JitMode, functions: usize) -> Result<Self> {
        let mut jit = Self {
            arena: None,
            missing: None,
            trampoline: 0,
            entries: vec![0; functions],
            sites: Vec::new(),
        };
        if mode == JitMode::Off {
            return Ok(jit);
        }
        let Some(trampoline) = back_end::trampoline() else {
            jit.missing =
                Some("the toy compiler has no back end for this processor; everything is interpreted");
            return Ok(jit);
        };
        let mut arena = CodeArena::map(CODE_BYTES)?;
        match arena.emit(&trampoline) {
            Some(address) => {
                jit.trampoline = address;
                jit.arena = Some(arena);
            }
            None => jit.missing = Some("the system refuses executable memory; everything is interpreted"),
        }
        Ok(jit)
    }

    /// The address of the function's compiled code.
    pub(crate) fn entry(&self, function: u32) -> Option<u64> {
        self.entries.get(function as usize).copied().filter(|entry| *entry != 0)
    }

    /// Whether there is a back end with room for more code.
    pub(crate) fn can_compile(&self) -> bool {
        self.arena.is_some() && self.sites.len() < SITE_LIMIT
    }

    /// Why nothing is compiled although it was asked for.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    pub(crate) fn patched_sites(&self) -> &[usize] {
        self.arena.as_ref().map_or(&[], |arena| arena.patched())
    }

    pub(crate) fn code_bytes_used(&self) -> u64 {
        self.arena.as_ref().map_or(0, CodeArena::used)
    }

    pub(crate) fn compiled_functions(&self) -> usize {
        self.entries.iter().filter(|entry| **entry != 0).count()
    }

    /// Forgets the zygote's patches, and puts new code on pages that the zygote has not written.
    pub(crate) fn begin_worker(&mut self) {
        if let Some(arena) = &mut self.arena {
            arena.begin_worker();
        }
    }

    pub(crate) fn region(&self) -> Option<Region> {
        let arena = self.arena.as_ref()?;
        Some(Region { start: arena.start(), end: arena.end(), name: "code cache".to_owned() })
    }

    /// Writes the operand, then the guard that leads to it.
    fn patch(&mut self, site: Site, operand: u32, guard: u32) {
        let Some(arena) = &mut self.arena else { return };
        if arena.patch(site.operand, operand)
            && let Some(address) = site.guard
        {
            arena.patch(address, guard);
        }
    }
}
