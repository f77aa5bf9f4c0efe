//! Crossing between the machine and compiled code, both ways.
//!
//! Compiled code finds the machine through words at the bottom of the VM stack, and calls back into
//! it through the helper addresses that stand there.
#![allow(unsafe_code, reason = "calls compiled code and is called by it")]

use super::{PATCH_LIMIT, Site, back_end};
use crate::runtimes::toy::gc::object::{BODY, FUNCTION_TAG, SHAPE_TAG};
use crate::runtimes::toy::lang::bytecode::Op;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use crate::runtimes::toy::vm::calls::Callee;
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
        let outer = self.stack.get(MACHINE_WORD);
        let context = self.stack.start() as *mut u64;
        let registers = self.stack.start() + base as u64 * 8;
        let address = self.jit.trampoline as *const ();
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
        let lost = || Diagnostic::new(self.program.functions[0].positions[0], "compiled code lost its error");
        Err(self.failure.take().unwrap_or_else(lost))
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
        let arena = self.jit.arena.as_mut()?;
        let code = &self.program.functions[function as usize];
        let first_global_constant = self.program.globals.len();
        let address = arena.next_address();
        let (barrier, first_site) = (self.heap.barrier(), self.jit.sites.len());
        let assembled =
            back_end::compile(function, code, first_global_constant, barrier, address, first_site)?;
        if self.jit.sites.len() + assembled.sites.len() > super::SITE_LIMIT {
            return None;
        }
        let entry = arena.emit(&assembled.code)?;
        self.jit.sites.extend(assembled.sites);
        self.jit.entries[function as usize] = entry;
        Some(entry)
    }

    fn frame_of(&self, registers: u64, function: u32, pc: u32) -> Frame {
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

    /// Whether the place may be patched once more; counts the patch.
    fn may_patch(&mut self, site: usize) -> bool {
        let index = 2 * self.program.functions.len() + site;
        let patches = self.counters.get(index);
        if patches >= PATCH_LIMIT {
            return false;
        }
        self.counters.set(index, patches + 1);
        true
    }

    /// Makes the call, unless the callee is compiled: then returns where the caller has to go, so
    /// that compiled code calling compiled code never takes room for the machine on the native stack.
    fn call_at(&mut self, index: usize, callee_registers: u64) -> Result<Option<u64>, Diagnostic> {
        let site = self.jit.sites[index];
        let op = self.program.functions[site.function as usize].code[site.pc as usize];
        let (Op::Call { slot, .. } | Op::CallFunction { slot, .. }) = op else { return Ok(None) };
        let registers = callee_registers - 8 * (u64::from(slot) + 1);
        let frame = self.frame_of(registers, site.function, site.pc);
        match self.callee(frame, op)? {
            Callee::Builtin { builtin, slot, arguments } => {
                self.operate_as(frame, Op::CallBuiltin { slot, arguments, builtin })?;
                Ok(None)
            }
            Callee::Function { function, base } => {
                let entry = self.compiled(function);
                match entry {
                    Some(entry) => self.patch_call(index, site, function, entry),
                    None => self.interpret(function, base)?,
                }
                Ok(entry)
            }
        }
    }

    fn patch_call(&mut self, index: usize, site: Site, function: u32, entry: u64) {
        let next_instruction = site.operand as u64 + 4;
        let distance = entry.wrapping_sub(next_instruction).cast_signed();
        if let Ok(distance) = i32::try_from(distance)
            && self.may_patch(index)
        {
            self.jit.patch(site, distance.cast_unsigned(), FUNCTION_TAG | function);
        }
    }

    fn access_field_at(&mut self, index: usize, registers: u64) -> Result<(), Diagnostic> {
        let site = self.jit.sites[index];
        let frame = self.frame_of(registers, site.function, site.pc);
        let op = self.program.functions[site.function as usize].code[site.pc as usize];
        let (Op::GetField { object, name, .. } | Op::SetField { object, name, .. }) = op else {
            return Ok(());
        };
        let found = self.find_field(self.register(frame, object), name);
        self.operate_as(frame, op)?;
        if let Some((shape, position)) = found
            && let Ok(offset) = u32::try_from(BODY + 8 * position)
            && self.may_patch(index)
        {
            self.jit.patch(site, offset, SHAPE_TAG | shape);
        }
        Ok(())
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

/// Makes a call for compiled code, and patches the place so that it can make the next one itself.
///
/// Answers a status, or the address of the callee's code, which the caller enters in its place.
extern "C" fn call(context: *mut u64, callee_registers: u64, site: u32) -> u64 {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    match vm.call_at(site as usize, callee_registers) {
        Ok(Some(entry)) => entry,
        Ok(None) => vm.status(Ok(())),
        Err(diagnostic) => vm.status(Err(diagnostic)),
    }
}

/// Reads or writes a field for compiled code, and patches the place for records of this shape.
extern "C" fn access_field(context: *mut u64, registers: u64, site: u32) -> Status {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    let result = vm.access_field_at(site as usize, registers);
    vm.status(result)
}

/// Frees an object whose last reference compiled code gave up.
extern "C" fn free(context: *mut u64, object: u64) {
    // SAFETY: only compiled code calls this, with its own context.
    let vm = unsafe { machine(context) };
    vm.heap.free(object);
}
