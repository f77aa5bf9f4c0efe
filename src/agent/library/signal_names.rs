//! The other functions of the C library that set what happens on a signal. One that were left out
//! could take our handler away, and the next trap would end the program.

use crate::signals::{self, SIG_ERR, SIG_IGN};
use crate::state;
use crate::sys::{self, SA_NODEFER, SA_RESETHAND, SA_RESTART, SIGTRAP, SigAction};
use core::ffi::c_int;
use core::sync::atomic::AtomicUsize;

/// `sigset` with this blocks the signal.
const SIG_HOLD: usize = 2;
const SIG_UNBLOCK: c_int = 1;

/// Whether a call is about the handler that we keep for the program.
fn kept_for_the_program(signal: c_int) -> bool {
    signal == SIGTRAP && state::get().armed
}

/// Calls the C library's definition, which takes a signal and a handler.
macro_rules! real {
    ($name:literal, $signal:expr, $handler:expr) => {{
        static KNOWN: AtomicUsize = AtomicUsize::new(0);
        match signals::next($name, &KNOWN) {
            0 => SIG_ERR,
            // SAFETY: the function has this type in every C library for Linux; the arguments are the
            // caller's.
            found => unsafe {
                core::mem::transmute::<usize, unsafe extern "C" fn(c_int, usize) -> usize>(found)(
                    $signal, $handler,
                )
            },
        }
    }};
}

/// Defines a function of the C library that is as `signal`, with these flags.
macro_rules! like_signal {
    ($($name:ident = $text:literal, $flags:expr;)*) => {$(
        /// # Safety
        ///
        /// As for the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(signal: c_int, handler: usize) -> usize {
            if kept_for_the_program(signal) { signals::wish(handler, $flags) } else { real!($text, signal, handler) }
        }
    )*};
}

like_signal! {
    signal = c"signal", SA_RESTART;
    bsd_signal = c"bsd_signal", SA_RESTART;
    ssignal = c"ssignal", SA_RESTART;
    sysv_signal = c"sysv_signal", SA_RESETHAND | SA_NODEFER;
    __sysv_signal = c"__sysv_signal", SA_RESETHAND | SA_NODEFER;
}

/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sigaction(signal: c_int, new: *const SigAction, old: *mut SigAction) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { signals::sigaction(signal, new, old) }
}

/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigset(signal: c_int, handler: usize) -> usize {
    if !kept_for_the_program(signal) || handler == SIG_HOLD {
        return real!(c"sigset", signal, handler);
    }
    let before = signals::wish(handler, 0);
    let (only, mut mask) = (1_u64 << (SIGTRAP - 1), 0_u64);
    sys::signal_mask(SIG_UNBLOCK, &raw const only, &raw mut mask);
    if mask & only == 0 { before } else { SIG_HOLD }
}

/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigignore(signal: c_int) -> c_int {
    if kept_for_the_program(signal) {
        signals::wish(SIG_IGN, 0);
        return 0;
    }
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    match signals::next(c"sigignore", &KNOWN) {
        0 => -1,
        // SAFETY: as above.
        found => unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(c_int) -> c_int>(found)(signal)
        },
    }
}
