//! The handler of SIGTRAP: runs in the thread that wrote, after the kernel gave it a page of its own
//! and before the store is made.
//!
//! Everything here is safe in a signal handler: it allocates nothing, takes no lock that it would wait
//! for, and touches only memory that is present.

use crate::area::{self, Area};
use crate::perf;
use crate::signals;
use crate::stacks::{self, Stack};
use crate::state::{self, State};
use crate::sys;
use crate::walk::{self, Found};
use crate::wire::{SIGNAL_DATA, Trap};
use core::ffi::{c_int, c_void};

/// `si_code` of a trap that a performance event asked for (`asm-generic/siginfo.h`).
const TRAP_PERF: c_int = 6;
/// `si_perf_flags`: the signal was blocked.
const TRAP_PERF_FLAG_ASYNC: u32 = 1;
/// Offsets in `siginfo_t`.
const SI_CODE: usize = 8;
const SI_ADDR: usize = 16;
const SI_PERF_DATA: usize = 24;
const SI_PERF_FLAGS: usize = 36;
/// Offset of the general registers in `ucontext_t`, and their order there (`sys/ucontext.h`).
const GREGS: usize = 40;
const RIP: usize = 16;
/// Places of rax rcx rdx rbx rsp rbp rsi rdi r8 … r15 among the general registers.
const IN_ENCODING_ORDER: [usize; 16] = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];

/// # Safety
///
/// Only the kernel calls it, as a handler of three arguments.
pub unsafe extern "C" fn on_trap(signal: c_int, info: *mut c_void, context: *mut c_void) {
    let errno = sys::errno();
    // SAFETY: the kernel filled `info`, of 128 bytes, and `context`.
    unsafe {
        let field = |offset: usize| info.cast::<u8>().add(offset);
        let ours = field(SI_CODE).cast::<c_int>().read() == TRAP_PERF
            && field(SI_PERF_DATA).cast::<u64>().read() == SIGNAL_DATA;
        if !ours {
            signals::pass_on(signal, info, context);
            return;
        }
        let late = field(SI_PERF_FLAGS).cast::<u32>().read() & TRAP_PERF_FLAG_ASYNC != 0;
        let address = field(SI_ADDR).cast::<u64>().read();
        let registers = context.cast::<u8>().add(GREGS).cast::<[u64; 23]>();
        let state = state::get();
        if let Some(area) = Area::of(state.area) {
            drain_rings(area);
            log(state, area, address, late, &*registers);
        }
    }
    // To write it, even as it was, would break its page.
    if sys::errno() != errno {
        sys::set_errno(errno);
    }
}

/// Moves what the rings hold to the log, so that they never fill up while signals arrive.
fn drain_rings(area: Area) {
    // SAFETY: filled before the events were switched on, and never changed.
    let rings = unsafe { &*area.rings() };
    for index in 0..rings.count {
        // Whoever holds the lock takes our records too.
        if area.lock_ring(index) {
            perf::drain(rings, index, |record| area.log_fault(&record));
            area.unlock_ring(index);
        }
    }
}

fn log(state: &State, area: Area, address: u64, late: bool, registers: &[u64; 23]) {
    let mut flags = if late { Trap::LATE } else { 0 };
    let aligned = address & !7;
    let mut old = [0; 16];
    if !late && sys::readable(aligned) {
        // SAFETY: eight bytes were readable a moment ago; a program that unmaps what it writes at the
        // same time would fault by itself.
        old = unsafe { area::copy_old(aligned) };
        flags |= Trap::OLD;
    }
    let mut stack = Stack::empty();
    let slot = match walk::walk(state, &mut stack) {
        Found::Nothing => 0,
        Found::Frames { holds_gil } => {
            if !holds_gil {
                flags |= Trap::GIL_RELEASED;
            }
            stacks::intern(area, &stack)
        }
    };
    area.log_trap(&Trap {
        address,
        instruction: registers[RIP],
        old,
        registers: IN_ENCODING_ORDER.map(|place| registers[place]),
        thread: sys::thread_id(),
        stack: slot,
        flags,
        ready: 0,
    });
}
