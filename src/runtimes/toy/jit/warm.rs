//! Compiles everything before the first fork, so that nothing of the code changes after it.

use super::site::{Cache, NEVER, Operand};
use crate::runtimes::toy::gc::object::SHAPE_TAG;
use crate::runtimes::toy::lang::bytecode::Op;
use crate::runtimes::toy::vm::Vm;

impl Vm {
    /// Under a policy that freezes: compiles every function, links every call of a named one, gives
    /// inline caches of field accesses the shapes that they may meet, and lets nothing change from
    /// then on. What a call through a value may meet is not known: it keeps what it saw.
    pub(crate) fn freeze_code(&mut self) {
        if self.jit.is_frozen || !self.jit.compiled.as_ref().is_some_and(|code| code.policy.freezes) {
            return;
        }
        let functions = u32::try_from(self.program.functions.len()).unwrap_or(u32::MAX);
        for function in 0..functions {
            if self.jit.entry(function).is_none() {
                self.compile(function, None);
            }
        }
        let sites = self.jit.compiled.as_ref().map_or(0, |code| code.sites.len());
        for site in 0..sites {
            self.warm_up(site);
        }
        self.jit.is_frozen = true;
    }

    fn warm_up(&mut self, index: usize) {
        let Some(code) = &self.jit.compiled else { return };
        let site = &code.sites[index];
        match (self.program.functions[site.function as usize].code[site.pc as usize], &site.cache) {
            (Op::CallFunction { function, .. }, _) => {
                if let Some(entry) = self.jit.entry(function) {
                    self.jit.learn(&mut self.counters, index, 0, 0, Operand::Target(entry));
                }
            }
            (Op::GetField { name, .. } | Op::SetField { name, .. }, Cache::Entries { entries, .. }) => {
                let guards: Vec<_> =
                    entries.iter().filter_map(|entry| code.number(&self.counters, entry.guard)).collect();
                let known = guards.iter().filter(|guard| **guard != NEVER).count();
                let room = entries.len() - known;
                let unknown = self.shapes_with(name).filter(|(guard, _)| !guards.contains(guard));
                let added: Vec<(u32, Operand)> = unknown.take(room).collect();
                for (misses, (guard, offset)) in (known..).zip(added) {
                    self.jit.learn(&mut self.counters, index, misses, guard, offset);
                }
            }
            _ => {}
        }
    }

    /// Guards and offsets of all shapes with this field.
    fn shapes_with(&self, name: u32) -> impl Iterator<Item = (u32, Operand)> {
        (0..).zip(&self.program.shapes).filter_map(move |(shape, fields)| {
            let position = fields.position(name)?;
            Some((SHAPE_TAG | shape, super::caches::field_offset(position as u64)?))
        })
    }
}
