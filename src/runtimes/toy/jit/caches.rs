//! What compiled code asks the machine at a place that does not know the answer yet, and the change
//! that lets it do the same alone the next time.

use super::site::{Cache, Operand, Slot};
use super::{Compiled, Jit};
use crate::runtimes::toy::gc::object::{BODY, FUNCTION_TAG, SHAPE_TAG};
use crate::runtimes::toy::lang::bytecode::Op;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::vm::Vm;
use crate::runtimes::toy::vm::calls::Callee;

impl Vm {
    /// Makes the call, unless the callee is compiled: then returns where the caller has to go, so
    /// that compiled code calling compiled code never takes room for the machine on the native stack.
    pub(super) fn call_at(
        &mut self,
        site: usize,
        callee_registers: u64,
        misses: usize,
    ) -> Result<Option<u64>, Diagnostic> {
        let Some((function, pc, op)) = self.instruction_of(site) else { return Ok(None) };
        let (Op::Call { slot, .. } | Op::CallFunction { slot, .. }) = op else { return Ok(None) };
        let frame = self.frame_of(callee_registers - 8 * (u64::from(slot) + 1), function, pc);
        match self.callee(frame, op)? {
            Callee::Builtin { builtin, slot, arguments } => {
                self.operate_as(frame, Op::CallBuiltin { slot, arguments, builtin })?;
                Ok(None)
            }
            Callee::Function { function, base } => {
                let entry = self.compiled(function, base);
                match entry {
                    Some(entry) => self.learn(site, misses, FUNCTION_TAG | function, Operand::Target(entry)),
                    None => self.interpret(function, base)?,
                }
                Ok(entry)
            }
        }
    }

    pub(super) fn access_field_at(
        &mut self,
        site: usize,
        registers: u64,
        misses: usize,
    ) -> Result<(), Diagnostic> {
        let Some((function, pc, op)) = self.instruction_of(site) else { return Ok(()) };
        let (Op::GetField { object, name, .. } | Op::SetField { object, name, .. }) = op else {
            return Ok(());
        };
        let frame = self.frame_of(registers, function, pc);
        let found = self.find_field(self.register(frame, object), name);
        self.operate_as(frame, op)?;
        if let Some((shape, position)) = found
            && let Some(offset) = field_offset(position)
        {
            self.learn(site, misses, SHAPE_TAG | shape, offset);
        }
        Ok(())
    }

    fn instruction_of(&self, site: usize) -> Option<(u32, u32, Op)> {
        let site = self.jit.compiled.as_ref()?.sites.get(site)?;
        let op = self.program.functions[site.function as usize].code[site.pc as usize];
        Some((site.function, site.pc, op))
    }

    /// Makes calls that lead to outdated code lead to other code.
    pub(super) fn relink(&mut self, outdated: &[u64], entry: u64) {
        if outdated.is_empty() {
            return;
        }
        let sites = 0..self.jit.compiled.as_ref().map_or(0, |code| code.sites.len());
        for site in sites {
            if let Some((_, _, Op::Call { .. } | Op::CallFunction { .. })) = self.instruction_of(site)
                && let Some(code) = &mut self.jit.compiled
            {
                code.relink(&mut self.counters, site, outdated, entry);
            }
        }
    }

    fn learn(&mut self, site: usize, misses: usize, guard: u32, operand: Operand) {
        self.jit.learn(&mut self.counters, site, misses, guard, operand);
    }
}

/// A field's offset, from its place in its shape.
pub(super) fn field_offset(position: u64) -> Option<Operand> {
    u32::try_from(BODY + 8 * position).ok().map(Operand::Number)
}

impl Jit {
    /// Lets the place do this case alone from now on, if code may change and the place has room.
    pub(super) fn learn(
        &mut self,
        table: &mut Words,
        site: usize,
        misses: usize,
        guard: u32,
        operand: Operand,
    ) {
        if self.is_frozen {
            return;
        }
        let Some(code) = &mut self.compiled else { return };
        match code.sites.get(site).map(|site| site.cache.clone()) {
            Some(Cache::Target(slot)) => {
                code.write(table, slot, operand);
            }
            Some(Cache::Entries { entries, counter }) => {
                // The guard comes last: it leads to the operand.
                if let (Some(entry), Ok(known)) = (entries.get(misses), u32::try_from(misses + 1))
                    && code.write(table, entry.operand, operand)
                    && code.write(table, entry.guard, Operand::Number(guard))
                {
                    code.write(table, counter, Operand::Number(known));
                }
            }
            None => {}
        }
    }
}

impl Compiled {
    /// Changes a slot, wherever it stands; false if that cannot be done.
    fn write(&mut self, table: &mut Words, slot: Slot, operand: Operand) -> bool {
        let Some(bits) = operand.bits(slot) else { return false };
        match slot {
            Slot::Code(address) => u32::try_from(bits).is_ok_and(|bits| self.arena.patch(address, bits)),
            Slot::Table(index) => {
                self.slots.write(table, index, bits);
                true
            }
        }
    }

    fn relink(&mut self, table: &mut Words, site: usize, outdated: &[u64], entry: u64) {
        let targets = match &self.sites[site].cache {
            Cache::Target(slot) => vec![*slot],
            Cache::Entries { entries, .. } => entries.iter().map(|entry| entry.operand).collect(),
        };
        for slot in targets {
            let found = match slot {
                Slot::Code(address) => self.arena.read(address).map(u64::from),
                Slot::Table(index) => Some(table.get(index)),
            };
            if outdated.iter().any(|code| found.is_some() && Operand::Target(*code).bits(slot) == found) {
                self.write(table, slot, Operand::Target(entry));
            }
        }
    }

    /// The number in a slot that holds no target.
    pub(super) fn number(&self, table: &Words, slot: Slot) -> Option<u32> {
        match slot {
            Slot::Code(address) => self.arena.read(address),
            Slot::Table(index) => u32::try_from(table.get(index)).ok(),
        }
    }
}
