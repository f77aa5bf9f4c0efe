//! Crossing between the machine and compiled code, both ways.
//!
//! Compiled code finds the machine through words at the bottom of the VM stack, and calls back into
//! it through the helper addresses that stand there.
#![allow(unsafe_code, reason = "calls compiled code and is called by it")]

use super::{Layout, SITE_LIMIT, back_end};
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::vm::{Frame, Vm};

/// Context word: the address of the machine, while compiled code runs.
const MACHINE_WORD: usize = 1;
/// Context word: [`operate`].
pub(super) const OPERATE_WORD: usize = 2;
/// Context word: [`call`].
pub(super) const CALL_WORD: usize = 3;
/// Context word: [`access_field`].
pub(super) const FIELD_WORD: usize = 4;
/// Context word: the address of the first global variable.
pub(super) const GLOBALS_WORD: usize = 5;
/// Context word: where the count of an object at address zero would stand beside the heap.
pub(super) const COUNTS_WORD: usize = 14;
/// Context word: [`free`].
pub(super) const FREE_WORD: usize = 15;

/// What a helper or a compiled function answers: zero, or one with an error in [`Vm::failure`].
type Status = u64;

type Trampoline = extern "C" fn(context: *mut u64, base: u64, entry: u64) -> Status;

impl Vm {
    /// Runs a compiled function to its end.
    pub(crate) fn run_compiled(&mut self, entry: u64, base: usize) -> Result<(), Diagnostic> {
        let address = self.jit.compiled.as_ref().map_or(0, |code| code.trampoline) as *const ();
        if address.is_null() {
            return Err(self.lost("the toy compiler has no code"));
        }
        let outer = self.stack.get(MACHINE_WORD);
        let context = self.stack.start() as *mut u64;
        let registers = self.stack.start() + base as u64 * 8;
        // SAFETY: the address is that of the trampoline the back end made for this signature, which
        // stays mapped and executable as long as self lives.
        let trampoline = unsafe { std::mem::transmute::<*const (), Trampoline>(address) };
        let machine: *mut Self = self;
        self.set_up_context(machine);
        let status = trampoline(context, registers, entry);
        self.stack.set(MACHINE_WORD, outer);
        if status == 0 {
            return Ok(());
        }
        Err(self.failure.take().unwrap_or_else(|| self.lost("compiled code lost its error")))
    }

    fn lost(&self, message: &str) -> Diagnostic {
        Diagnostic::new(self.program.functions[0].positions[0], message)
    }

    fn set_up_context(&mut self, machine: *mut Self) {
        self.stack.set(MACHINE_WORD, machine.expose_provenance() as u64);
        if self.stack.get(GLOBALS_WORD) == 0 {
            self.stack.set(OPERATE_WORD, operate as *const () as u64);
            self.stack.set(CALL_WORD, call as *const () as u64);
            self.stack.set(FIELD_WORD, access_field as *const () as u64);
            self.stack.set(COUNTS_WORD, self.heap.count_origin().unwrap_or_default());
            self.stack.set(FREE_WORD, free as *const () as u64);
            self.stack.set(GLOBALS_WORD, self.globals.start());
        }
    }

    /// Compiles a function; nothing when there is no room left.
    pub(crate) fn compile(&mut self, function: u32) -> Option<u64> {
        let compiled = self.jit.compiled.as_mut()?;
        let code = &self.program.functions[function as usize];
        let first_global_constant = self.program.globals.len();
        let (hot, cold) = compiled.arena.next_addresses();
        let layout = Layout {
            policy: compiled.policy,
            hot,
            cold,
            first_site: compiled.sites.len(),
            first_slot: compiled.slots.next(),
            table: self.counters.start(),
        };
        let assembled =
            back_end::compile(function, code, first_global_constant, self.heap.barrier(), layout)?;
        if compiled.sites.len() + assembled.sites.len() > SITE_LIMIT
            || !compiled.slots.add(&mut self.counters, &assembled.words)
        {
            return None;
        }
        let entry = compiled.arena.emit(&assembled.hot, &assembled.cold)?;
        compiled.sites.extend(assembled.sites);
        self.jit.entries[function as usize] = entry;
        Some(entry)
    }

    pub(super) fn frame_of(&self, registers: u64, function: u32, pc: u32) -> Frame {
        let offset = registers.wrapping_sub(self.stack.start()) / 8;
        Frame { function, pc, base: usize::try_from(offset).unwrap_or(usize::MAX) }
    }

    fn status(&mut self, result: Result<(), Diagnostic>) -> Status {
        match result {
            Ok(()) => 0,
            Err(diagnostic) => {
                self.failure = Some(diagnostic);
                1
            }
        }
    }
}

/// The machine that runs the compiled code with this context.
///
/// # Safety
///
/// The context must be the one that [`Vm::run_compiled`] passed to the compiled code calling now,
/// and the reference must not outlive the helper call it was made for.
unsafe fn machine<'a>(context: *mut u64) -> &'a mut Vm {
    // SAFETY: the context word holds the address of the machine that entered compiled code last and
    // waits in `run_compiled` for it, using nothing of itself until the helper has returned.
    unsafe {
        let address = context.add(MACHINE_WORD).cast::<usize>().read();
        &mut *std::ptr::with_exposed_provenance_mut::<Vm>(address)
    }
}

/// Does one instruction for compiled code.
extern "C" fn operate(context: *mut u64, registers: u64, pc: u32, function: u32) -> Status {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    let frame = vm.frame_of(registers, function, pc);
    let result = vm.operate_at(frame);
    vm.status(result)
}

/// Makes a call for compiled code at a place that missed so many times, which learns to make the next
/// one itself.
///
/// Answers a status, or the address of the callee's code, which the caller enters in its place.
extern "C" fn call(context: *mut u64, callee_registers: u64, site: u32, misses: u32) -> u64 {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    match vm.call_at(site as usize, callee_registers, misses as usize) {
        Ok(Some(entry)) => entry,
        Ok(None) => vm.status(Ok(())),
        Err(diagnostic) => vm.status(Err(diagnostic)),
    }
}

/// Reads or writes a field for compiled code at a place that missed so many times, which learns what
/// to do with records of this shape.
extern "C" fn access_field(context: *mut u64, registers: u64, site: u32, misses: u32) -> Status {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    let result = vm.access_field_at(site as usize, registers, misses as usize);
    vm.status(result)
}

/// Frees an object whose last reference compiled code gave up.
extern "C" fn free(context: *mut u64, object: u64) {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    vm.heap.free(object);
}
