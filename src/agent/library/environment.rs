//! Leaves no trace in the environment: runs before the program, when the library is loaded.

use crate::sys;
use crate::wire::RESTORE;
use core::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int;
    fn unsetenv(name: *const c_char) -> c_int;
}

const RESTORE_NAME: &CStr = c"FORKPRINT_LD_PRELOAD";
const _: () = assert!(RESTORE.len() == RESTORE_NAME.count_bytes());

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = restore;

/// Puts `LD_PRELOAD` back as it was, so that neither the program nor what it starts sees ours.
extern "C" fn restore() {
    // SAFETY: names and values end in NUL; the program has not begun, so nobody else reads the
    // environment. `setenv` copies the value.
    unsafe {
        let before = sys::getenv(RESTORE_NAME.as_ptr());
        if before.is_null() {
            return;
        }
        if *before == 0 {
            unsetenv(c"LD_PRELOAD".as_ptr());
        } else {
            setenv(c"LD_PRELOAD".as_ptr(), before, 1);
        }
        unsetenv(RESTORE_NAME.as_ptr());
    }
}
