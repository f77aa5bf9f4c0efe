//! Begins to watch: once in the zygote, and in every worker, before `fork()` returns there.

use crate::area::Area;
use crate::frame_layout::FrameLayout;
use crate::output;
use crate::perf;
use crate::signals;
use crate::state::{self, Rings};
use crate::sys;
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
    state.socket = if own >= 0 { own } else { unsafe { sys::fcntl(socket, sys::F_DUPFD_CLOEXEC, 3) } };
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

/// Watches the calling process, and every process that is forked from now on.
///
/// # Safety
///
/// No other thread may use the library meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkprint_agent_watch() {
    // SAFETY: promised by the caller.
    let state = unsafe { state::get_mut() };
    state.watching = true;
    if !state.registered {
        state.registered = true;
        // SAFETY: the handler is a function of this library, which is never unloaded.
        unsafe { sys::__register_atfork(None, None, Some(in_child), core::ptr::null_mut()) };
    }
    arm();
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
    // What the parent's events wrote to is the parent's.
    state.area = core::ptr::null_mut();
    if state.watching {
        arm();
    }
}

/// Makes the area, the events and the handler, and tells the supervisor; or tells what was refused.
pub fn arm() {
    let Some((area, descriptor)) = Area::create() else { return output::refuse(Message::STAGE_AREA) };
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
        unsafe { state::get_mut() }.area = core::ptr::null_mut();
        area.discard();
    }
}

/// Stops watching this process, if it is watched: its events go with the last mapping of their rings.
pub fn disarm() {
    // SAFETY: as for `arm`.
    let state = unsafe { state::get_mut() };
    let Some(area) = Area::of(state.area) else { return };
    state.area = core::ptr::null_mut();
    // SAFETY: the rings of an armed area are mapped, and read by nobody but the handler, which finds
    // no area any more.
    unsafe {
        let rings = &*area.rings();
        for &ring in &rings.at[..rings.count] {
            sys::munmap(ring.cast(), (rings.pages + 1) * 4096);
        }
    }
}

fn arm_into(area: Area, descriptors: &mut [c_int; MOST_RINGS + 1]) -> Result<(), u32> {
    // SAFETY: see `arm`.
    let state = unsafe { state::get_mut() };
    // SAFETY: a page of a new area, which is all zeros: no rings, at null addresses.
    let rings = unsafe { &mut *area.rings() };
    let with_kernel = open_events(descriptors)?;
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
    use_signal_stack(area);
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
fn open_events(descriptors: &mut [c_int; MOST_RINGS + 1]) -> Result<bool, u32> {
    // SAFETY: a system call on a number.
    let processors = unsafe { sys::sysconf(sys::SC_NPROCESSORS_CONF) }.clamp(1, MOST_RINGS as i64);
    let mut with_kernel = true;
    let mut next = 1;
    for processor in 0..processors as c_int {
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
                for &mapped in &rings.at[..index] {
                    // SAFETY: mapped a moment ago, and used by nobody.
                    unsafe { sys::munmap(mapped.cast(), (pages + 1) * 4096) };
                }
                continue 'sizes;
            };
            rings.at[index] = ring;
        }
        (rings.count, rings.pages) = (events.len(), pages);
        return Ok(());
    }
    Err(Message::STAGE_RING)
}

/// Lets the handler run on a stack of its own, which is shared memory: on the program's, the frame of
/// the signal would break pages itself.
fn use_signal_stack(area: Area) {
    let base = area.signal_stack().cast();
    let stack = sys::SignalStack { base, flags: 0, size: SIGNAL_STACK_BYTES };
    // SAFETY: the memory is ours and stays mapped.
    unsafe { sys::sigaltstack(&raw const stack, core::ptr::null_mut()) };
}

/// The address of a function of any library.
pub fn function(name: &CStr) -> Option<usize> {
    Some(sys::symbol(name) as usize).filter(|&address| address != 0)
}
