//! Explains single events: what stood at the byte, what the instruction did to it, and whose it was.

use super::heap::{Heap, Site};
use super::names::Names;
use super::rows::Seen;
use super::symbols::Symbolizer;
use super::verdict::decide;
use crate::cpython::census::Census;
use crate::family::Cause;
use crate::family::breaks::{NONE, Owner, Writer};
use std::collections::HashMap;

/// What is known of the fork, and caches of what was looked up in it.
pub struct Explainer<'a> {
    heap: Heap<'a>,
    symbolizer: &'a Symbolizer,
    census: Option<&'a Census>,
    version: (u8, u8),
    writers: HashMap<u64, WriterName>,
    owners: HashMap<u32, u32>,
}

/// What an instruction belongs to.
struct WriterName {
    symbol: String,
    number: u32,
}

/// One event, explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// Class of the write.
    pub cause: Cause,
    /// Number of the type, or [`NONE`].
    pub ty: u32,
    /// Number of the field, or [`NONE`].
    pub field: u32,
    /// Number of the owner, or [`NONE`].
    pub owner: u32,
    /// Number of the writer, or [`NONE`].
    pub writer: u32,
}

impl<'a> Explainer<'a> {
    /// `version` is that of `CPython`, if any.
    pub fn new(
        heap: Heap<'a>,
        symbolizer: &'a Symbolizer,
        census: Option<&'a Census>,
        version: Option<(u8, u8)>,
    ) -> Self {
        Self {
            heap,
            symbolizer,
            census,
            version: version.unwrap_or_default(),
            writers: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// Explains an event that is the first write to its page since the fork.
    pub fn explain(&mut self, names: &mut Names, seen: &Seen) -> Explained {
        let Site { place, ty, field, node } = self.heap.locate(seen.address);
        let (ty, field) = (names.ty(ty.as_deref()), names.field(field.as_deref()));
        let owner = node.map_or(NONE, |node| self.owner(names, node));
        if seen.by_kernel() {
            let writer = names.writer(Writer { symbol: String::new(), library: "kernel".into() });
            return Explained { cause: Cause::KernelWrite, ty, field, owner, writer };
        }
        let version = self.version;
        let WriterName { symbol, number } = self.writer(names, seen.instruction);
        let cause = decide(place, seen.store.as_ref(), symbol, false, version);
        Explained { cause, ty, field, owner, writer: *number }
    }

    fn writer(&mut self, names: &mut Names, instruction: u64) -> &WriterName {
        self.writers.entry(instruction).or_insert_with(|| {
            let symbol = self.symbolizer.at(instruction);
            let number = if symbol.library.is_empty() {
                NONE
            } else {
                names.writer(Writer { symbol: symbol.name.clone(), library: symbol.library })
            };
            WriterName { symbol: symbol.name, number }
        })
    }

    /// The number of the owner that a node of the census stands for.
    fn owner(&mut self, names: &mut Names, node: u32) -> u32 {
        let mut chain = Vec::new();
        let mut known = NONE;
        let mut next = Some(node);
        while let Some(at) = next
            && let Some((parent, label)) = self.census.and_then(|census| census.node(at))
        {
            if let Some(&owner) = self.owners.get(&at) {
                known = owner;
                break;
            }
            // Parents stand before their children: a census that says otherwise would never end.
            chain.push((at, label));
            next = parent.filter(|&parent| parent < at);
        }
        for (node, label) in chain.into_iter().rev() {
            known = names.owner(Owner { parent: known, label });
            self.owners.insert(node, known);
        }
        known
    }
}
