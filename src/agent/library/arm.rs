//! Begins to watch: once in the zygote, and in every worker, before `fork()` returns there.

use crate::area::Area;
use crate::frame_layout::FrameLayout;
use crate::output;
use crate::perf;
use crate::signals;
use crate::state::{self, Rings, State};
use crate::sys::{self, SignalStack};
use crate::wire::{Header, MAGIC, MOST_RINGS, Message, SIGNAL_STACK_BYTES};
use core::ffi::{CStr, c_int};

/// Pages of data of a ring, tried from the largest down; ordinary users may lock little memory.
const RING_PAGES: [usize; 7] = [256, 128, 64, 32, 16, 8, 4];
/// Descriptors of ours get numbers from here on, out of the way of the program's.
const LEAST_DESCRIPTOR: c_int = 600;

/// Takes the supervisor's socket and learns which `CPython` runs here.
///
/// Returns the socket's new number, or -1.
///
/// # Safety
///
/// No other thread may use the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_configure(socket: c_int) -> c_int {
    // SAFETY: promised by the caller.
    let state = unsafe { state::get_mut() };
    // SAFETY: a system call on a descriptor number.
    let own = unsafe { sys::fcntl(socket, sys::F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR) };
    // SAFETY: as above; the limit of descriptors may be below our number.
    state.use_socket(if own >= 0 { own } else { unsafe { sys::fcntl(socket, sys::F_DUPFD_CLOEXEC, 3) } });
    crate::python::learn_version(state);
    state.socket
}

/// Says how frames are laid out, for a `CPython` that publishes it.
///
/// # Safety
///
/// `layout` must be one, and no other thread may use the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_frames(layout: *const FrameLayout) {
    // SAFETY: promised by the caller.
    unsafe { state::get_mut().frames = Some(*layout) };
}

/// Watches the calling process, and every process that it forks from now on, though not what those
/// fork. False: it was refused, and nothing is watched.
///
/// # Safety
///
/// No other thread may use the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_watch() -> bool {
    // SAFETY: promised by the caller.
    let state = unsafe { state::get_mut() };
    if !state.registered {
        state.registered = true;
        // SAFETY: the handler is a function of this library, which is never unloaded.
        unsafe { sys::__register_atfork(None, None, Some(in_child), core::ptr::null_mut()) };
    }
    state.watching = arm();
    state.watching
}

/// Stops watching processes that are forked from now on.
///
/// # Safety
///
/// No other thread may use the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_pause() {
    // SAFETY: promised by the caller.
    unsafe { state::get_mut() }.watching = false;
}

/// Runs in every child, inside `fork()`.
unsafe extern "C" fn in_child() {
    // SAFETY: a new process has one thread.
    let state = unsafe { state::get_mut() };
    forget_parent(state);
    if state.watching {
        arm();
    }
    // What a worker forks is none: it may fork at every request, and nobody would ask for its log.
    state.watching = false;
}

/// In a new process: what the parent's events write to is the parent's, and so is the stack of its handler.
pub fn forget_parent(state: &mut State) {
    if let Some(area) = state.take_area()
        && leave_signal_stack(state, area)
    {
        area.discard();
    }
}

/// Makes the area, the events and the handler, and tells the supervisor. False: something was refused,
/// which it was told, and the process is as it was.
pub fn arm() -> bool {
    let Some((area, descriptor)) = Area::create() else {
        output::refuse(Message::STAGE_AREA);
        return false;
    };
    let mut descriptors = [-1; MOST_RINGS + 1];
    descriptors[0] = descriptor;
    let armed = arm_into(area, &mut descriptors);
    let count = descriptors.iter().take_while(|&&descriptor| descriptor >= 0).count();
    if let Err(stage) = armed {
        output::refuse(stage);
    }
    for &descriptor in &descriptors[..count] {
        // The supervisor holds them open; here they would only be in the program's way.
        // SAFETY: descriptors of ours that nobody else knows.
        unsafe { sys::close(descriptor) };
    }
    if armed.is_err() {
        // SAFETY: see `in_child`; in the zygote, `watch` is called by its only user.
        undo(unsafe { state::get_mut() }, area);
    }
    armed.is_ok()
}

/// Leaves everything as it was before an attempt to arm.
fn undo(state: &mut State, area: Area) {
    state.area = core::ptr::null_mut();
    if state.armed {
        state.armed = false;
        signals::uninstall(&state.user_action);
    }
    // SAFETY: a page of the area, and rings that were mapped into this process.
    unsafe { (&mut *area.rings()).unmap() };
    if leave_signal_stack(state, area) {
        area.discard();
    }
}

/// Stops watching this process, if it is watched: its events go with the last mapping of their rings.
/// The handler stays, and passes on what is not ours.
pub fn disarm() {
    // SAFETY: as for `arm`.
    let state = unsafe { state::get_mut() };
    let Some(area) = state.take_area() else { return };
    leave_signal_stack(state, area);
    // SAFETY: the rings of an armed area are mapped, and read by nobody but the handler, which finds
    // no area any more.
    unsafe { (&mut *area.rings()).unmap() };
}

fn arm_into(area: Area, descriptors: &mut [c_int; MOST_RINGS + 1]) -> Result<(), u32> {
    // SAFETY: see `arm`.
    let state = unsafe { state::get_mut() };
    // SAFETY: a page of a new area, which is all zeros: no rings, at null addresses.
    let rings = unsafe { &mut *area.rings() };
    if state.processors == 0 {
        // SAFETY: a system call on a number. Once, in the zygote: it reads files, and may allocate.
        state.processors = unsafe { sys::sysconf(sys::SC_NPROCESSORS_CONF) }.max(1) as c_int;
    }
    let with_kernel = open_events(state.processors, descriptors)?;
    let events = descriptors[1..].iter().take_while(|&&event| event >= 0).count();
    map_rings(&descriptors[1..=events], rings)?;
    let header = Header {
        magic: MAGIC,
        // SAFETY: a system call without arguments.
        pid: unsafe { sys::getpid() } as u32,
        rings: events as u32,
        ring_pages: rings.pages as u32,
        kernel_included: u32::from(with_kernel),
        python_minor: state.python_minor,
        pad: 0,
        armed_nanos: sys::monotonic_nanos(),
        faults: 0,
        traps: 0,
        frames: 0,
        stacks_dropped: 0,
        ring_locks: [0; MOST_RINGS],
    };
    // SAFETY: the first page of our own mapping; nobody else knows it yet.
    unsafe { area.header().write(header) };
    state.area = area.address();
    use_signal_stack(state, area);
    if !state.armed {
        let handler = crate::handler::on_trap as *const () as usize;
        if !signals::install(handler, &mut state.user_action) {
            return Err(Message::STAGE_HANDLER);
        }
        state.armed = true;
    }
    let message = Message { kind: Message::ARMED, pid: header.pid, errno: 0, stage: 0 };
    if !output::send(&message, &descriptors[..=events]) {
        return Err(Message::STAGE_AREA);
    }
    descriptors[1..=events].iter().for_each(|&event| perf::enable(event));
    Ok(())
}

/// One event a processor, with faults of the kernel where that is allowed. Returns whether it is.
fn open_events(processors: c_int, descriptors: &mut [c_int; MOST_RINGS + 1]) -> Result<bool, u32> {
    if processors as usize > MOST_RINGS {
        return Err(Message::STAGE_PROCESSORS);
    }
    let mut with_kernel = true;
    let mut next = 1;
    for processor in 0..processors {
        let mut event = perf::open(processor, with_kernel);
        if event < 0 && with_kernel && next == 1 {
            with_kernel = false;
            event = perf::open(processor, false);
        }
        // A processor that is switched off has no event.
        if event == -sys::ENODEV {
            continue;
        }
        if event < 0 {
            sys::set_errno(-event);
            return Err(Message::STAGE_EVENT);
        }
        descriptors[next] = event;
        next += 1;
    }
    Ok(with_kernel)
}

/// Maps the rings of all events, as large as all of them may be.
fn map_rings(events: &[c_int], rings: &mut Rings) -> Result<(), u32> {
    'sizes: for pages in RING_PAGES {
        for (index, &event) in events.iter().enumerate() {
            let Some(ring) = perf::map_ring(event, pages) else {
                rings.unmap();
                continue 'sizes;
            };
            rings.at[index] = ring;
            (rings.count, rings.pages) = (index + 1, pages);
        }
        return Ok(());
    }
    Err(Message::STAGE_RING)
}

/// Lets the handler run on a stack of its own, which is shared memory: on the program's, the frame of
/// the signal would break pages itself.
fn use_signal_stack(state: &mut State, area: Area) {
    let base = area.signal_stack().cast();
    let stack = SignalStack { base, flags: 0, size: SIGNAL_STACK_BYTES };
    // SAFETY: the memory is ours and stays mapped.
    unsafe { sys::sigaltstack(&raw const stack, &raw mut state.user_stack) };
}

/// Puts the program's signal stack back where ours is in use. False: this thread runs on ours.
fn leave_signal_stack(state: &State, area: Area) -> bool {
    let mut used = SignalStack::NONE;
    // SAFETY: both are valid; the program's stack is one that the kernel had from the program.
    unsafe {
        sys::sigaltstack(core::ptr::null(), &raw mut used);
        used.base != area.signal_stack().cast()
            || sys::sigaltstack(&raw const state.user_stack, core::ptr::null_mut()) == 0
    }
}

/// The address of a function of any library.
pub fn function(name: &CStr) -> Option<usize> {
    Some(sys::symbol(name) as usize).filter(|&address| address != 0)
}
