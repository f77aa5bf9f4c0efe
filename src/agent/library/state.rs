//! The few variables of the library. They stand together, so that they share one page.

use crate::area::Area;
use crate::frame_layout::FrameLayout;
use crate::recorded::Recorded;
use crate::sys::{self, SigAction, SignalStack};
use core::cell::UnsafeCell;

pub type GetThreadState = unsafe extern "C" fn() -> *mut u8;

/// What one process knows.
pub struct State {
    /// The supervisor's socket, or -1.
    pub socket: i32,
    /// Device and inode of the socket.
    pub socket_identity: Option<(u64, u64)>,
    /// Processors that threads may run on, now or later.
    pub processors: i32,
    /// Whether processes that are forked from now on are watched.
    pub watching: bool,
    /// Whether this process is watched.
    pub armed: bool,
    /// Whether the fork handlers are registered.
    pub registered: bool,
    /// The area of this process.
    pub area: *mut u8,
    /// What the program wants done about SIGTRAP.
    pub user_action: SigAction,
    /// The signal stack that the program had where ours is now.
    pub user_stack: SignalStack,
    /// How frames of the `CPython` of this process are laid out.
    pub frames: Option<FrameLayout>,
    /// Minor version of `CPython`, or 0.
    pub python_minor: u32,
    /// `PyGILState_GetThisThreadState`.
    pub this_thread_state: Option<GetThreadState>,
    /// `_PyThreadState_UncheckedGet`: the thread state that holds the GIL (3.12 and later: if it is ours).
    pub running_thread_state: Option<GetThreadState>,
    /// What record mode knows.
    pub recorded: Recorded,
}

/// The rings of the events of this process, one a processor. Kept in the area.
pub struct Rings {
    pub count: usize,
    pub pages: usize,
    pub at: [*mut u8; crate::wire::MOST_RINGS],
}

impl State {
    /// Speaks to the supervisor over this socket from now on; -1: not at all.
    pub fn use_socket(&mut self, socket: i32) {
        self.socket = socket;
        self.socket_identity = sys::identity(socket);
    }

    /// Takes the area away: the handler finds none any more.
    pub fn take_area(&mut self) -> Option<Area> {
        Area::of(core::mem::replace(&mut self.area, core::ptr::null_mut()))
    }
}

impl Rings {
    /// Unmaps them all: no event may be on.
    pub fn unmap(&mut self) {
        for &ring in &self.at[..self.count] {
            // SAFETY: a mapping of ours, which nobody uses.
            unsafe { sys::munmap(ring.cast(), (self.pages + 1) * 4096) };
        }
        self.count = 0;
    }
}

struct Cell(UnsafeCell<State>);

// SAFETY: written by the thread that configures or forks, while no other thread of this library runs:
// in the fork handlers there is only one thread, and handlers of traps only read.
unsafe impl Sync for Cell {}

static STATE: Cell = Cell(UnsafeCell::new(State {
    socket: -1,
    socket_identity: None,
    processors: 0,
    watching: false,
    armed: false,
    registered: false,
    area: core::ptr::null_mut(),
    user_action: SigAction::DEFAULT,
    user_stack: SignalStack::NONE,
    frames: None,
    python_minor: 0,
    this_thread_state: None,
    running_thread_state: None,
    recorded: Recorded::NO,
}));

/// The state, to be read.
pub fn get() -> &'static State {
    // SAFETY: see `Cell`; whoever writes holds the only thread that could read.
    unsafe { &*STATE.0.get() }
}

/// The state, to be changed.
///
/// # Safety
///
/// No other thread may use the library meanwhile, and no other reference may be kept.
pub unsafe fn get_mut() -> &'static mut State {
    // SAFETY: promised by the caller.
    unsafe { &mut *STATE.0.get() }
}
