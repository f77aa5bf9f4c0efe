//! Record mode: any program, preloaded with us, tells the supervisor of its forks and waits for its word.
//!
//! An environment variable names the supervisor's socket. Every report is a connection of its own, closed
//! before the program goes on: programs that close all descriptors, or count them, are not in our way.

use crate::arm;
use crate::census;
use crate::output;
use crate::python;
use crate::state;
use crate::sys;
use crate::wire::{Answer, Message, RECORD};
use core::ffi::{CStr, c_int, c_void};

/// Bytes of `sun_path`; the name of an abstract socket is one shorter.
const PATH_BYTES: usize = 108;
/// Pages of the frozen sibling's stack. They are shared memory: nothing private is made for it.
const SIBLING_STACK: usize = 4 * 4096;

/// SIGINT, SIGQUIT, SIGABRT, SIGKILL and SIGTERM.
const ENDING_SIGNALS: [c_int; 5] = [2, 3, 6, 9, 15];

const RECORD_NAME: &CStr = c"FORKPRINT_RECORD";
const _: () = assert!(RECORD.len() == RECORD_NAME.count_bytes());

/// Where the supervisor listens, and what this process is to it.
pub struct Recorded {
    /// `struct sockaddr_un` of an abstract socket, and its length; 0 outside of record mode.
    address: SocketAddress,
    length: u32,
    /// Whose state this is: a child of vfork shares it with its parent.
    pid: c_int,
    /// The family this process was forked into, or chosen as the zygote of; 0 for none.
    family: u8,
    /// The process has told that it forks.
    announced: bool,
    /// The process has told that it ends.
    ended: bool,
}

#[repr(C)]
struct SocketAddress {
    family: u16,
    path: [u8; PATH_BYTES],
}

impl Recorded {
    /// Not in record mode.
    pub const NO: Self = Self {
        address: SocketAddress { family: sys::AF_UNIX as u16, path: [0; PATH_BYTES] },
        length: 0,
        pid: 0,
        family: 0,
        announced: false,
        ended: false,
    };
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = begin;

/// Enters record mode where the environment says so.
extern "C" fn begin() {
    // SAFETY: the name ends in NUL; the program has not begun.
    let name = unsafe { sys::getenv(RECORD_NAME.as_ptr()) };
    if name.is_null() {
        return;
    }
    // SAFETY: values of the environment end in NUL.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    if name.is_empty() || name.len() >= PATH_BYTES {
        return;
    }
    // SAFETY: no other thread runs yet.
    let state = unsafe { state::get_mut() };
    let recorded = &mut state.recorded;
    // The first byte of an abstract name is NUL.
    recorded.address.path[1..=name.len()].copy_from_slice(name);
    recorded.length = (size_of::<u16>() + 1 + name.len()) as u32;
    // SAFETY: plain calls; the handlers are functions of this library, which is never unloaded.
    unsafe {
        recorded.pid = sys::getpid();
        state.registered = true;
        sys::__register_atfork(Some(before_fork), None, Some(in_child), core::ptr::null_mut());
        sys::on_exit(at_exit, core::ptr::null_mut());
    }
}

/// Tells of the first fork of this process, and does what the supervisor wants done before it.
unsafe extern "C" fn before_fork() {
    // SAFETY: threads that fork at the same time both get here at worst, and one finds it announced.
    let state = unsafe { state::get_mut() };
    if state.recorded.announced {
        return;
    }
    let Some(socket) = connect() else { return };
    state.recorded.announced = true;
    python::learn_version(state);
    if tell(socket, Message::ABOUT_TO_FORK, 0, state.python_minor) && wait(socket).0 == Answer::FREEZE {
        state.use_socket(socket);
        prepare_to_fork();
        state.use_socket(-1);
    }
    disconnect(socket);
}

/// Lists the objects, freezes a sibling, and begins to watch if that is wanted.
fn prepare_to_fork() {
    // SAFETY: as in `before_fork`.
    let state = unsafe { state::get_mut() };
    let mut frames = 0;
    if python::holds_gil(state) {
        if python::frames_agree(state) {
            frames = 1;
        } else {
            state.frames = None;
        }
        // SAFETY: the GIL is held.
        unsafe { census::forkprint_agent_census() };
    }
    let sibling = freeze_sibling(state.socket);
    if sibling < 0 {
        output::refuse(Message::STAGE_SIBLING);
        return;
    }
    let message = Message { kind: Message::SIBLING, pid: sibling as u32, errno: frames, stage: 0 };
    if !output::send(&message, &[]) {
        return;
    }
    let (answer, family) = wait(state.socket);
    if answer != Answer::WATCH && answer != Answer::GO {
        return;
    }
    state.recorded.family = family;
    state.watching = answer == Answer::WATCH;
    arm::disarm();
    if state.watching {
        let _told = arm::arm();
    }
}

/// Runs in every child, inside `fork()`: a member of a family waits until it has been looked at.
unsafe extern "C" fn in_child() {
    // SAFETY: a new process has one thread.
    let state = unsafe { state::get_mut() };
    arm::forget_parent(state);
    state.recorded.announced = false;
    // SAFETY: a system call without arguments.
    state.recorded.pid = unsafe { sys::getpid() };
    if state.recorded.family == 0 {
        return;
    }
    let Some(socket) = connect() else { return };
    if state.watching {
        state.use_socket(socket);
        let _told = arm::arm();
        state.use_socket(-1);
    }
    ask(socket, Message::FORKED, 0, u32::from(state.recorded.family));
}

/// A member of a family is looked at once more before it ends.
fn before_end(code: c_int) {
    // SAFETY: the process ends; whoever else gets here finds that it was told.
    let recorded = &mut unsafe { state::get_mut() }.recorded;
    // SAFETY: a system call without arguments.
    let own = unsafe { sys::getpid() } == recorded.pid;
    if recorded.family == 0 || recorded.ended || !own {
        return;
    }
    if let Some(socket) = connect() {
        recorded.ended = true;
        ask(socket, Message::ENDING, code, u32::from(recorded.family));
    }
}

/// Whoever is about to be ended by a signal is looked at once more.
fn before_kill(target: c_int, signal: c_int) {
    if ENDING_SIGNALS.contains(&signal)
        && let Some(socket) = connect()
    {
        ask(socket, Message::KILLING, signal, target as u32);
    }
}

/// # Safety
///
/// As for the C library's function, which this stands in front of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kill(target: c_int, signal: c_int) -> c_int {
    before_kill(target, signal);
    // SAFETY: the arguments are the caller's.
    unsafe { sys::syscall(sys::SYS_KILL, target, signal) as c_int }
}

/// # Safety
///
/// As for the C library's function, which this stands in front of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn killpg(group: c_int, signal: c_int) -> c_int {
    if group < 0 {
        sys::set_errno(sys::EINVAL);
        return -1;
    }
    // SAFETY: the arguments are the caller's.
    unsafe { kill(-group, signal) }
}

extern "C" fn at_exit(code: c_int, _: *mut c_void) {
    before_end(code);
}

/// # Safety
///
/// As for the C library's function, which this stands in front of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _exit(code: c_int) -> ! {
    before_end(code);
    loop {
        // SAFETY: ends the process.
        unsafe { sys::syscall(sys::SYS_EXIT_GROUP, code) };
    }
}

/// # Safety
///
/// As for the C library's function, which this stands in front of.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn _Exit(code: c_int) -> ! {
    // SAFETY: the same function under its other name.
    unsafe { _exit(code) }
}

/// Connects to the supervisor. Nothing outside of record mode, or when nobody listens.
fn connect() -> Option<c_int> {
    let recorded = &state::get().recorded;
    if recorded.length == 0 {
        return None;
    }
    // SAFETY: system calls; the address is as long as it says.
    unsafe {
        let socket = sys::socket(sys::AF_UNIX, sys::SOCK_SEQPACKET | sys::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return None;
        }
        if sys::connect(socket, (&raw const recorded.address).cast(), recorded.length) != 0 {
            disconnect(socket);
            return None;
        }
        Some(socket)
    }
}

fn disconnect(socket: c_int) {
    // SAFETY: a descriptor of ours.
    unsafe { sys::close(socket) };
}

fn tell(socket: c_int, kind: u32, errno: c_int, stage: u32) -> bool {
    // SAFETY: a system call without arguments.
    let pid = unsafe { sys::getpid() } as u32;
    output::send_over(socket, &Message { kind, pid, errno, stage }, &[])
}

/// Tells, waits for the supervisor's word, and hangs up.
fn ask(socket: c_int, kind: u32, errno: c_int, stage: u32) {
    if tell(socket, kind, errno, stage) {
        wait(socket);
    }
    disconnect(socket);
}

/// Waits for the supervisor's word and the number of a family; zeros when the supervisor has gone.
fn wait(socket: c_int) -> (u8, u8) {
    let mut answer = [0_u8; Answer::BYTES];
    loop {
        // SAFETY: writes within the array.
        let got = unsafe { sys::recv(socket, answer.as_mut_ptr().cast(), Answer::BYTES, 0) };
        if got == Answer::BYTES as isize {
            return (answer[0], answer[1]);
        }
        if got >= 0 || sys::errno() != sys::EINTR {
            return (0, 0);
        }
    }
}

/// Clones this process into one that sleeps until the supervisor closes its end of the socket.
///
/// No `wait` of the program sees it: it ends without a signal. Returns its id, or -1.
fn freeze_sibling(socket: c_int) -> c_int {
    let Some(stack) = sys::map_shared(SIBLING_STACK, -1) else { return -1 };
    let before = sys::block_signals(u64::MAX);
    // SAFETY: the end of the stack is aligned; the function never returns; no memory is shared but the
    // stack, which only the sibling uses.
    let pid = unsafe {
        sys::clone(sleep_until_hung_up, stack.add(SIBLING_STACK).cast(), 0, socket as usize as *mut c_void)
    };
    sys::block_signals(before);
    pid
}

extern "C" fn sleep_until_hung_up(socket: *mut c_void) -> c_int {
    const POLLHUP_AND_WORSE: i16 = 0x38;
    let socket = socket as usize as c_int;
    let mut poll = sys::PollFd { fd: socket, events: 0, revents: 0 };
    // SAFETY: system calls on numbers and on our own stack. Other descriptors are closed, so that no
    // pipe is held open by a process that never reads it.
    unsafe {
        if socket > 0 {
            sys::syscall(sys::SYS_CLOSE_RANGE, 0, socket - 1, 0);
        }
        sys::syscall(sys::SYS_CLOSE_RANGE, socket + 1, u32::MAX, 0);
        while poll.revents & POLLHUP_AND_WORSE == 0 {
            sys::syscall(sys::SYS_POLL, &raw mut poll, 1, -1);
        }
        loop {
            sys::syscall(sys::SYS_EXIT_GROUP, 0);
        }
    }
}
