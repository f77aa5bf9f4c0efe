//! Types whose objects stand for something outside of the heap, or for code that is half way through.
//!
//! A type tells by its name: types of C carry their module in `tp_name` (`_thread.lock`), those of a
//! class statement do not, but derive from one that does.

use super::layout::{FLAG_HEAP_TYPE, TP_BASE, TP_FLAGS, TP_NAME, word};
use core::ffi::{CStr, c_char};

/// Modules of the standard library whose types are all resources.
const MODULES: [&[u8]; 19] = [
    b"_io.",
    b"_socket.",
    b"_thread.",
    b"_ssl.",
    b"_asyncio.",
    b"_queue.",
    b"_multiprocessing.",
    b"_sqlite3.",
    b"sqlite3.",
    b"_dbm.",
    b"_gdbm.",
    b"_tkinter.",
    b"_curses.",
    b"_winapi.",
    b"_posixshmem.",
    b"select.",
    b"mmap.",
    b"ossaudiodev.",
    b"_interpreters.",
];
/// Types of theirs that hold nothing but what Python gave them.
const HARMLESS: [&[u8]; 2] = [b"_thread._ExceptHookArgs", b"_io.IncrementalNewlineDecoder"];
const OTHERS: [&[u8]; 2] = [b"posix.ScandirIterator", b"posix.DirEntry"];

/// What the types of other modules end in, where their objects are resources.
const WORDS: [&[u8]; 20] = [
    b"connection",
    b"cursor",
    b"socket",
    b"lock",
    b"semaphore",
    b"mutex",
    b"condition",
    b"thread",
    b"stream",
    b"file",
    b"handle",
    b"selector",
    b"epoll",
    b"channel",
    b"session",
    b"transaction",
    b"process",
    b"database",
    b"environment",
    b"mmap",
];
/// What types end in, where their objects are code half way through.
const RUNNING: [&[u8]; 9] = [
    b"frame",
    b"generator",
    b"coroutine",
    b"async_generator",
    b"coroutine_wrapper",
    b"greenlet",
    b"async_generator_asend",
    b"async_generator_athrow",
    b"anext_awaitable",
];

/// Whether objects of a type are frames, generators or coroutines, also those of Cython or greenlet.
///
/// # Safety
///
/// `ty` must be a live type.
pub unsafe fn is_running(ty: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { any_base(ty, |name| RUNNING.contains(&last_part(name))) }
}

/// Whether objects of a type are files, sockets, locks, threads or the like.
///
/// # Safety
///
/// `ty` must be a live type.
pub unsafe fn is_resource(ty: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { any_base(ty, is_name_of_resource) }
}

/// Whether objects of a type are files of the standard library, or derive from them.
///
/// # Safety
///
/// `ty` must be a live type.
pub unsafe fn is_file(ty: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { any_base(ty, |name| name == b"_io._IOBase") }
}

/// # Safety
///
/// `ty` must be a live type.
unsafe fn any_base(ty: u64, is: impl Fn(&[u8]) -> bool) -> bool {
    let mut ty = ty;
    while ty != 0 {
        // SAFETY: promised by the caller; the base of a live type is null or live, its name ends in NUL.
        unsafe {
            let name = word(ty, TP_NAME);
            if name != 0 {
                let name = CStr::from_ptr(name as *const c_char).to_bytes();
                // The name of a class says nothing: its author chose it.
                let of_class = word(ty, TP_FLAGS) & FLAG_HEAP_TYPE != 0 && !name.contains(&b'.');
                if !of_class && is(name) {
                    return true;
                }
            }
            ty = word(ty, TP_BASE);
        }
    }
    false
}

fn is_name_of_resource(name: &[u8]) -> bool {
    if HARMLESS.contains(&name) || !name.contains(&b'.') {
        return false;
    }
    if OTHERS.contains(&name) || MODULES.iter().any(|module| name.starts_with(module)) {
        return true;
    }
    let last = last_part(name);
    WORDS.iter().any(|word| ends_in_word(last, word))
}

fn last_part(name: &[u8]) -> &[u8] {
    let dot = name.iter().rposition(|&byte| byte == b'.');
    dot.and_then(|dot| name.get(dot + 1..)).unwrap_or(name)
}

/// `FileLock` and `file_lock` end in `lock`, `Block` does not.
fn ends_in_word(name: &[u8], wanted: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(wanted.len()) else { return false };
    let (before, ending) = name.split_at(start);
    ending.eq_ignore_ascii_case(wanted)
        && (before.last().is_none_or(|&byte| byte == b'_')
            || ending.first().is_some_and(u8::is_ascii_uppercase))
}
