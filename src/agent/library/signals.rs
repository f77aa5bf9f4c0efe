//! Who else uses SIGTRAP: the program's own handler is kept, asked about and called.
//!
//! `sigaction` is defined here too, as `signal` and its like are in `signal_names.rs`, and a preloaded
//! library is asked first: while we watch a process, the program's wish about SIGTRAP is noted instead
//! of carried out, and traps that are not ours are passed on.

use crate::state;
use crate::sys::{self, SA_SIGINFO, SIGTRAP, SigAction};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

pub const SIG_DFL: usize = 0;
pub const SIG_IGN: usize = 1;
pub const SIG_ERR: usize = usize::MAX;
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

type RealSigaction = unsafe extern "C" fn(c_int, *const SigAction, *mut SigAction) -> c_int;

/// The next definition of a function, behind ours; looked up once.
pub fn next(name: &CStr, known: &AtomicUsize) -> usize {
    let found = known.load(Ordering::Relaxed);
    if found != 0 {
        return found;
    }
    // SAFETY: the name ends in NUL.
    let found = unsafe { sys::dlsym(RTLD_NEXT, name.as_ptr().cast::<c_char>()) } as usize;
    known.store(found, Ordering::Relaxed);
    found
}

/// The C library's `sigaction`.
fn real_sigaction(signal: c_int, new: *const SigAction, old: *mut SigAction) -> c_int {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let found = next(c"sigaction", &KNOWN);
    if found == 0 {
        return -1;
    }
    // SAFETY: sigaction has this type in every C library for Linux.
    let real: RealSigaction = unsafe { core::mem::transmute::<usize, RealSigaction>(found) };
    // SAFETY: the arguments are the caller's, and meant for this function.
    unsafe { real(signal, new, old) }
}

/// Installs `handler` for SIGTRAP and keeps what the program had. False: refused.
pub fn install(handler: usize, kept: &mut SigAction) -> bool {
    let flags = SA_SIGINFO | sys::SA_ONSTACK | sys::SA_RESTART;
    let ours = SigAction { handler, mask: [0; 16], flags, restorer: 0 };
    real_sigaction(SIGTRAP, &raw const ours, kept) == 0
}

/// Gives SIGTRAP back to the program.
pub fn uninstall(kept: &SigAction) {
    real_sigaction(SIGTRAP, kept, core::ptr::null_mut());
}

/// Does about a trap what the program wants done.
///
/// # Safety
///
/// Only for a handler of SIGTRAP, with its own arguments.
pub unsafe fn pass_on(signal: c_int, info: *mut c_void, context: *mut c_void) {
    let action = state::get().user_action;
    if action.flags & sys::SA_RESETHAND != 0 {
        // SAFETY: as when the program changes it, see `sigaction`.
        unsafe { state::get_mut() }.user_action.handler = SIG_DFL;
    }
    match action.handler {
        SIG_IGN => {}
        SIG_DFL => {
            // Delivered again as soon as we return, now with its default end.
            let default = SigAction::DEFAULT;
            real_sigaction(SIGTRAP, &raw const default, core::ptr::null_mut());
            // SAFETY: sends a signal to the calling thread.
            unsafe { sys::raise(SIGTRAP) };
        }
        handler if action.flags & SA_SIGINFO != 0 => {
            // SAFETY: the program installed it as a handler of three arguments.
            let handler = unsafe {
                core::mem::transmute::<usize, unsafe extern "C" fn(c_int, *mut c_void, *mut c_void)>(handler)
            };
            // SAFETY: called as the kernel would.
            unsafe { handler(signal, info, context) };
        }
        handler => {
            // SAFETY: the program installed it as a handler of one argument.
            let handler = unsafe { core::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler) };
            // SAFETY: called as the kernel would.
            unsafe { handler(signal) };
        }
    }
}

/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const SigAction, old: *mut SigAction) -> c_int {
    if signal != SIGTRAP || !state::get().armed {
        return real_sigaction(signal, new, old);
    }
    // SAFETY: the caller's pointers are null or valid; programs change signal actions from one thread.
    unsafe {
        let kept = &mut state::get_mut().user_action;
        let before = *kept;
        if !new.is_null() {
            *kept = *new;
        }
        if !old.is_null() {
            *old = before;
        }
    }
    0
}

/// Notes what the program wants done about SIGTRAP. Returns the handler that it wanted before.
pub fn wish(handler: usize, flags: c_int) -> usize {
    // SAFETY: programs change signal actions from one thread.
    let kept = unsafe { &mut state::get_mut().user_action };
    let before = kept.handler;
    *kept = SigAction { handler, mask: [0; 16], flags, restorer: 0 };
    before
}
