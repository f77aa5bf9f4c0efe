//! Lists every object of the `CPython` in this process: where it stands, its type, and whose it is.
//!
//! A forked child does the work, so that nothing of it is ever in the measured heap: what the child
//! writes, it writes to copies of its own. It asks each object for those it refers to, as the garbage
//! collector does (`tp_traverse`), breadth first from the modules: the first path found is a shortest.

mod collector;
mod follow;
mod foreign;
mod instance;
mod layout;
mod memory;
mod paths;
mod plans;
mod roots;
mod seen;
mod sizes;
mod table;
mod text;
mod types;
mod visit;

use crate::output;
use crate::state;
use crate::sys;
use crate::wire::Message;
use core::ffi::{c_int, c_uint};

const PR_SET_PDEATHSIG: c_int = 1;
const PR_SET_DUMPABLE: c_int = 4;
const SIGKILL: c_int = 9;
/// SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGALRM.
const ENDING: [c_int; 6] = [4, 6, 7, 8, 11, 14];
const SIG_DFL: usize = 0;
/// A walk that takes longer does not end: a billion objects take less.
const MOST_SECONDS: c_uint = 120;

unsafe extern "C" {
    fn signal(number: c_int, handler: usize) -> usize;
    fn alarm(seconds: c_uint) -> c_uint;
}

/// Takes the census in a forked child, hands it to the supervisor, and waits for the child.
///
/// # Safety
///
/// The caller holds the GIL, and no other thread uses the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_census() {
    if state::get().python_minor == 0 {
        return;
    }
    let Some((table, descriptor)) = table::Census::create() else {
        return output::refuse(Message::STAGE_CENSUS);
    };
    // SAFETY: plain calls on numbers; the child leaves by `_exit` without returning.
    unsafe {
        let child = sys::fork_plainly();
        if child == 0 {
            end_quietly();
            let _ = take(table);
            sys::_exit(0);
        }
        if child < 0 {
            output::refuse(Message::STAGE_CENSUS);
        } else {
            let message = Message { kind: Message::CENSUS, pid: child as u32, errno: 0, stage: 0 };
            output::send(&message, &[descriptor]);
            let mut status = 0;
            while sys::waitpid(child, &raw mut status, sys::WALL) < 0 && sys::errno() == sys::EINTR {}
        }
        sys::close(descriptor);
    }
    table.discard();
}

/// Has this process end when the zygote does, when an object is not what it seems, and in time; in each
/// case without a word from the program's handlers and without a dump of its memory.
fn end_quietly() {
    // SAFETY: plain calls on numbers.
    unsafe {
        sys::prctl(PR_SET_PDEATHSIG, SIGKILL);
        sys::prctl(PR_SET_DUMPABLE, 0);
        for number in ENDING {
            signal(number, SIG_DFL);
        }
        alarm(MOST_SECONDS);
    }
}

/// # Safety
///
/// The GIL is held, and this process ends behind it.
unsafe fn take(table: table::Census) -> Option<()> {
    let begun = sys::monotonic_nanos();
    let version = layout::Version::of_minor(state::get().python_minor)?;
    // SAFETY: promised by the caller.
    unsafe {
        let modules = roots::module_dict();
        let mut visit = visit::Visit::new(table, version, modules)?;
        roots::modules(&mut visit, modules);
        visit.follow_all();
        let reached = visit.objects();
        roots::untold(&mut visit);
        visit.follow_all();
        visit.finish(reached, begun)
    }
}
