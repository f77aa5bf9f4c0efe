//! Crossing between the machine and compiled code, both ways.
//!
//! Compiled code finds the machine through words at the bottom of the VM stack, and calls back into
//! it through the helper addresses that stand there.
#![allow(unsafe_code, reason = "calls compiled code and is called by it")]

use super::plan::Plan;
use super::{Emitted, Layout, SITE_LIMIT, back_end};
use crate::runtimes::toy::gc::CardAddresses;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::vm::{DEPTH_WORD, Frame, Vm};

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
/// Context word: [`leave`].
pub(super) const DEOPT_WORD: usize = 8;
/// Context word: how many guards hold until compiled code is left all the same.
pub(super) const DEOPT_COUNT_WORD: usize = 9;
/// Context word: the value 0.0.
pub(super) const FLOAT_ZERO_WORD: usize = 10;
/// Context word: where to go on in the middle of a function.
pub(super) const RESUME_WORD: usize = 11;
/// Context word: where the count of an object at address zero would stand beside the heap.
pub(super) const COUNTS_WORD: usize = 14;
/// Context word: objects from this address on are young; see [`CardAddresses`].
pub(super) const YOUNG_WORD: usize = 12;
/// Context word: where the card of an object at address zero would stand.
pub(super) const CARDS_WORD: usize = 13;
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

    pub(super) fn lost(&self, message: &str) -> Diagnostic {
        Diagnostic::new(self.program.functions[0].positions[0], message)
    }

    fn set_up_context(&mut self, machine: *mut Self) {
        self.stack.set(MACHINE_WORD, machine.expose_provenance() as u64);
        if self.stack.get(GLOBALS_WORD) == 0 {
            self.stack.set(OPERATE_WORD, operate as *const () as u64);
            self.stack.set(CALL_WORD, call as *const () as u64);
            self.stack.set(FIELD_WORD, access_field as *const () as u64);
            self.stack.set(DEOPT_WORD, leave as *const () as u64);
            self.stack.set(DEOPT_COUNT_WORD, u64::from(self.jit.deopt_every));
            self.stack.set(FLOAT_ZERO_WORD, Value::FLOAT_ZERO.0);
            self.stack.set(COUNTS_WORD, self.heap.count_origin().unwrap_or_default());
            self.stack.set(FREE_WORD, free as *const () as u64);
            if let Some(CardAddresses { young, base }) = self.heap.cards() {
                self.stack.set(YOUNG_WORD, young);
                self.stack.set(CARDS_WORD, base);
            }
            self.stack.set(GLOBALS_WORD, self.globals.start());
        }
    }

    /// Runs the rest of a call, from code on that [`Vm::loop_code`] made.
    pub(crate) fn enter_code(&mut self, code: u64, base: usize) -> Result<(), Diagnostic> {
        let resumption = self.jit.compiled.as_ref().map_or(0, |code| code.resumption);
        self.stack.set(RESUME_WORD, code);
        self.run_compiled(resumption, base)
    }

    /// Makes code as the plan says; nothing when there is no room left.
    pub(super) fn assemble(&mut self, function: u32, plan: Plan) -> Option<u64> {
        let compiled = self.jit.compiled.as_mut()?;
        let (hot, cold) = compiled.arena.next_addresses();
        let layout = Layout {
            policy: compiled.policy,
            hot,
            cold,
            first_site: compiled.sites.len(),
            first_exit: compiled.exits.len(),
            first_slot: compiled.slots.next(),
            table: self.counters.start(),
            leaves_at_random: self.jit.deopt_every != 0,
        };
        let assembled = back_end::compile(&self.program, function, plan, self.heap.barrier(), layout)?;
        if compiled.sites.len() + assembled.sites.len() > SITE_LIMIT
            || !compiled.slots.add(&mut self.counters, &assembled.words)
        {
            return None;
        }
        let entry = compiled.arena.emit(&assembled.hot, &assembled.cold)?;
        compiled.emitted.push(Emitted {
            function,
            hot_bytes: assembled.hot.len() as u64,
            cold_bytes: assembled.cold.len() as u64,
        });
        compiled.sites.extend(assembled.sites);
        compiled.exits.extend(assembled.exits);
        if !assembled.instructions.is_empty() {
            self.jit.experience[function as usize].set_plain(entry, &assembled.instructions);
        }
        Some(entry)
    }

    /// Whether the exit was taken although its guess held; counts anew.
    pub(super) fn was_told_to_leave(&mut self) -> bool {
        let told = self.jit.deopt_every != 0 && self.stack.get(DEOPT_COUNT_WORD) == 0;
        if told {
            self.stack.set(DEOPT_COUNT_WORD, u64::from(self.jit.deopt_every));
        }
        told
    }

    /// Ends a call that fails before it could go on.
    pub(super) fn abandon_call(&mut self) {
        self.stack.set(DEPTH_WORD, self.stack.get(DEPTH_WORD) - 1);
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

/// Goes on where compiled code left at an exit: answers the status of the whole call, or the address of
/// code to go on with.
extern "C" fn leave(context: *mut u64, registers: u64, exit: u32) -> u64 {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    match vm.leave(registers, exit) {
        Ok(Some(code)) => code,
        Ok(None) => vm.status(Ok(())),
        Err(diagnostic) => vm.status(Err(diagnostic)),
    }
}

/// Frees an object whose last reference compiled code gave up.
extern "C" fn free(context: *mut u64, object: u64) {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    vm.heap.free(object);
}
