//! Explains single events: what stood at the byte, what the instruction did to it, and whose it was.

use super::code::Code;
use super::heap::{Heap, Site};
use super::instruction::{Decoded, Store};
use super::names::Names;
use super::symbols::Symbolizer;
use super::verdict::decide;
use crate::cpython::census::Census;
use crate::cpython::memory::Memory;
use crate::family::Cause;
use crate::family::breaks::{NONE, Owner, Writer};
use crate::kernel::event::BreakEvent;
use std::collections::HashMap;

/// What is known of the fork, and caches of what was looked up in it.
pub struct Explainer<'a> {
    heap: Heap<'a>,
    memory: &'a dyn Memory,
    symbolizer: &'a Symbolizer,
    census: Option<&'a Census>,
    version: (u8, u8),
    code: &'a Code,
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
    /// `memory` holds the bytes of the fork, `code` the instructions of all events. `version` is that of
    /// `CPython`, if any.
    pub fn new(
        heap: Heap<'a>,
        memory: &'a dyn Memory,
        code: &'a Code,
        symbolizer: &'a Symbolizer,
        census: Option<&'a Census>,
        version: Option<(u8, u8)>,
    ) -> Self {
        Self {
            heap,
            memory,
            symbolizer,
            census,
            version: version.unwrap_or_default(),
            code,
            writers: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// Whether an event is a write, as far as its instruction tells: reads fault too.
    pub fn is_write(&self, event: &BreakEvent) -> bool {
        event.by_kernel()
            || self.decode(event).is_some_and(|store| store.writes() && store.covers != Some(false))
    }

    /// Explains an event that is the first write to its page since the fork.
    pub fn explain(&mut self, names: &mut Names, event: &BreakEvent) -> Explained {
        let Site { place, ty, field, node } = self.heap.locate(event.address);
        let (ty, field) = (names.ty(ty.as_deref()), names.field(field.as_deref()));
        let owner = node.map_or(NONE, |node| self.owner(names, node));
        if event.by_kernel() {
            let writer = names.writer(Writer { symbol: String::new(), library: "kernel".into() });
            return Explained { cause: Cause::KernelWrite, ty, field, owner, writer };
        }
        let (store, version) = (self.decode(event), self.version);
        let WriterName { symbol, number } = self.writer(names, event.instruction);
        let cause = decide(place, store.as_ref(), symbol, false, version);
        Explained { cause, ty, field, owner, writer: *number }
    }

    fn decode(&self, event: &BreakEvent) -> Option<Decoded> {
        let bytes = self.code.of(event);
        // Before the first write of a page its bytes are still those of the fork.
        let old = event.old.or_else(|| {
            let mut old = [0; 16];
            self.memory.read(event.address & !7, &mut old).then_some(old)
        });
        let old = old.as_ref().map(<[u8; 16]>::as_slice);
        Store::decode(&bytes, event.instruction, event.address, event.registers.as_ref(), old)
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
