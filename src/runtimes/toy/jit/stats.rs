//! How much code there is and how much of it changed, for those who predict which pages break.

use super::Jit;
use crate::units::PAGE_SIZE;
use std::collections::BTreeSet;

/// Compiled code in numbers. Changes are counted since the program was loaded, or since the fork in a
/// worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeStats {
    /// Functions that are compiled.
    pub functions: usize,
    /// Bytes of code that runs when guesses hold, padding included.
    pub hot_bytes: u64,
    /// Bytes of code that runs when they do not, padding included.
    pub cold_bytes: u64,
    /// Places that may change: calls and inline caches.
    pub sites: usize,
    /// Operands in the code that were changed, each counted as often as it was.
    pub patches: usize,
    /// Pages of code on which they stand.
    pub patched_pages: usize,
    /// Words of the table beside the code that were changed, each counted as often as it was. How hot
    /// functions are is not among them.
    pub slot_writes: usize,
    /// Pages of the table on which they stand.
    pub slot_pages: usize,
}

/// Code that was made in one go: of a function, or of the rest of one from a loop on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emitted {
    /// The function, by its number in the program.
    pub function: u32,
    /// Bytes of code that runs when guesses hold.
    pub hot_bytes: u64,
    /// Bytes of code that runs when they do not.
    pub cold_bytes: u64,
}

impl Jit {
    /// Every piece of code, in the order it was made.
    pub(crate) fn emitted(&self) -> &[Emitted] {
        self.compiled.as_ref().map_or(&[], |code| &code.emitted)
    }

    pub(crate) fn stats(&self) -> CodeStats {
        let Some(code) = &self.compiled else { return CodeStats::default() };
        let (hot_bytes, cold_bytes) = code.arena.used();
        let (patched, written) = (code.arena.patched(), code.slots.written());
        CodeStats {
            functions: self.compiled_functions(),
            hot_bytes,
            cold_bytes,
            sites: code.sites.len(),
            patches: patched.len(),
            patched_pages: pages(patched.iter().map(|address| *address as u64)),
            slot_writes: written.len(),
            slot_pages: pages(written.iter().map(|index| *index as u64 * 8)),
        }
    }
}

fn pages(addresses: impl Iterator<Item = u64>) -> usize {
    addresses.map(|address| address / PAGE_SIZE).collect::<BTreeSet<_>>().len()
}
