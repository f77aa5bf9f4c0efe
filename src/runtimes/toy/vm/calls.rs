//! Calls, and the choice between interpreting and compiled code.

use super::{CALL_DEPTH_LIMIT, DEPTH_WORD, Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::Kind;
use crate::runtimes::toy::lang::bytecode::{BUILTINS, Op};
use crate::runtimes::toy::lang::diagnostic::Diagnostic;

/// Rounds of a loop that make a function as hot as one call does.
const ROUNDS_PER_CALL: u64 = 100;
/// How deep compiled and interpreted code may alternate before callees are compiled at once: the
/// native stack holds this many interpreter loops.
pub(crate) const NESTING_LIMIT: u32 = 48;

/// What a call leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// Runs with its registers from this stack index on.
    Function {
        function: u32,
        base: usize,
    },
    Builtin {
        builtin: u8,
        slot: u8,
        arguments: u8,
    },
}

impl Vm {
    /// Runs a function to its end, compiled if it is hot. Its arguments stand on the stack.
    pub(crate) fn invoke(&mut self, function: u32, base: usize) -> Result<(), Diagnostic> {
        match self.compiled(function, base) {
            Some(entry) => self.run_compiled(entry, base),
            None => self.interpret(function, base),
        }
    }

    /// The entry of the function's compiled code, for a call whose registers are at this index; counts the call and compiles what got hot.
    pub(crate) fn compiled(&mut self, function: u32, base: usize) -> Option<u64> {
        if let Some(entry) = self.jit.entry(function) {
            return Some(entry);
        }
        if !self.jit.can_compile() {
            return None;
        }
        let calls = self.counters.get(function as usize) + 1;
        let rounds = self.counters.get(self.program.functions.len() + function as usize);
        let heat = calls + rounds / ROUNDS_PER_CALL;
        if heat >= u64::from(self.hot_calls) || self.nesting >= NESTING_LIMIT {
            return self.compile(function, Some(base));
        }
        self.counters.set(function as usize, calls);
        None
    }

    /// Whether a function after so many rounds of its loops is worth being compiled in the middle of one.
    pub(super) fn is_loop_hot(&self, function: u32, rounds: u64) -> bool {
        rounds >= u64::from(self.hot_calls) * ROUNDS_PER_CALL || self.jit.entry(function).is_some()
    }

    /// What the call at the site leads to, once everything about it is right.
    pub(crate) fn callee(&mut self, site: Frame, op: Op) -> Result<Callee, Diagnostic> {
        self.find_callee(site, op).map_err(|trap| self.diagnostic(site, trap))
    }

    fn find_callee(&self, site: Frame, op: Op) -> Result<Callee, Trap> {
        let (slot, function) = match op {
            Op::CallFunction { slot, function } => (slot, function),
            Op::Call { slot, arguments } => {
                let value = self.register(site, slot);
                if let Some(builtin) = value.as_builtin() {
                    if let Some(wanted) = BUILTINS[usize::from(builtin)].arguments {
                        check_count(arguments, wanted)?;
                    }
                    return Ok(Callee::Builtin { builtin, slot, arguments });
                }
                let Some(closure) = self.heap.address_of(value, Kind::Closure) else {
                    return Err(Trap::error(format!("cannot call {}", self.a_type(value))));
                };
                let function = self.heap.header(closure).function();
                check_count(arguments, self.program.functions[function as usize].parameters)?;
                (slot, function)
            }
            _ => return Err(Trap::error("no call")),
        };
        if self.stack.get(DEPTH_WORD) >= CALL_DEPTH_LIMIT {
            return Err(too_deep());
        }
        Ok(Callee::Function { function, base: site.base + usize::from(slot) + 1 })
    }
}

pub(super) fn too_deep() -> Trap {
    Trap::error(format!("the calls are nested deeper than {CALL_DEPTH_LIMIT}; is this an endless recursion?"))
}

fn check_count(given: u8, wanted: u8) -> Result<(), Trap> {
    if given == wanted {
        return Ok(());
    }
    Err(Trap::error(format!("the function takes {wanted} arguments, not {given}")))
}
