//! The door from Python: which version runs here, and the module `_forkprint_agent`.

use crate::arm;
use crate::frame_layout;
use crate::heap;
use crate::stacks::Stack;
use crate::state::{GetThreadState, State};
use crate::walk;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};

type Object = *mut c_void;

/// Functions of the C API, found when they are needed: a process without Python has none.
mod api {
    use super::{Object, c_char, c_int, c_long};

    pub type ModuleCreate = unsafe extern "C" fn(*mut super::ModuleDefinition, c_int) -> Object;
    pub type LongAsLong = unsafe extern "C" fn(Object) -> c_long;
    pub type BuildValue = unsafe extern "C" fn(*const c_char, ...) -> Object;
    pub type ListNew = unsafe extern "C" fn(isize) -> Object;
    pub type ListAppend = unsafe extern "C" fn(Object, Object) -> c_int;
    pub type ParseTuple = unsafe extern "C" fn(Object, *const c_char, ...) -> c_int;
    pub type SetString = unsafe extern "C" fn(Object, *const c_char);
    pub type Trim = unsafe extern "C" fn(usize) -> c_int;
    pub type BoolFromLong = unsafe extern "C" fn(c_long) -> Object;
    pub type Check = unsafe extern "C" fn() -> c_int;
    pub type GetFrame = unsafe extern "C" fn() -> Object;
    pub type OfFrame = unsafe extern "C" fn(Object) -> Object;
    pub type DecRef = unsafe extern "C" fn(Object);
}

/// Calls a function of the C API by name.
macro_rules! call {
    ($kind:ty, $name:literal, $($argument:expr),*) => {{
        let address = crate::sys::symbol($name);
        debug_assert!(!address.is_null());
        // SAFETY: the function has this type in every CPython since 3.2, and Python itself called us.
        unsafe { core::mem::transmute::<*mut c_void, $kind>(address)($($argument),*) }
    }};
}

/// Learns the version and looks up the two functions of the frame walk.
pub fn learn_version(state: &mut State) {
    let Some((major, minor)) = version() else { return };
    state.frames = frame_layout::of_version(major, minor);
    if state.frames.is_none() {
        return;
    }
    state.python_minor = u32::from(minor);
    state.this_thread_state = getter(c"PyGILState_GetThisThreadState");
    state.running_thread_state = getter(c"_PyThreadState_UncheckedGet");
}

fn getter(name: &CStr) -> Option<GetThreadState> {
    // SAFETY: both functions take nothing and give a pointer to a thread state.
    arm::function(name).map(|address| unsafe { core::mem::transmute::<usize, GetThreadState>(address) })
}

/// `(major, minor)` of the `CPython` in this process, if it is one whose frames could be known.
fn version() -> Option<(u8, u8)> {
    let address = arm::function(c"Py_GetVersion")?;
    // SAFETY: Py_GetVersion takes nothing and gives a static string.
    let text = unsafe {
        let get = core::mem::transmute::<usize, unsafe extern "C" fn() -> *const c_char>(address);
        CStr::from_ptr(get())
    };
    crate::version::parse(text.to_bytes())
}

/// Whether this is a thread of Python that may use objects.
pub fn holds_gil(state: &State) -> bool {
    let known = state.python_minor > 0 && arm::function(c"PyGILState_Check").is_some();
    known && call!(api::Check, c"PyGILState_Check",) != 0
}

/// Whether frames are where the layout says, asked of Python itself. The GIL must be held.
pub fn frames_agree(state: &State) -> bool {
    let mut stack = Stack::empty();
    let _ = walk::walk(state, &mut stack);
    let mut frame = call!(api::GetFrame, c"PyEval_GetFrame",);
    // What PyEval_GetFrame gives is borrowed, what PyFrame_GetBack gives is owned.
    let mut owned = false;
    let mut agree = stack.count > 0;
    for seen in &stack.frames[..stack.count] {
        if frame.is_null() {
            return false;
        }
        let code = call!(api::OfFrame, c"PyFrame_GetCode", frame);
        agree &= code as u64 == seen.code;
        call!(api::DecRef, c"Py_DecRef", code);
        let back = call!(api::OfFrame, c"PyFrame_GetBack", frame);
        if owned {
            call!(api::DecRef, c"Py_DecRef", frame);
        }
        (frame, owned) = (back, true);
    }
    if frame.is_null() {
        return agree;
    }
    call!(api::DecRef, c"Py_DecRef", frame);
    agree && stack.cut
}

#[repr(C)]
struct Method {
    name: *const c_char,
    function: Option<unsafe extern "C" fn(Object, Object) -> Object>,
    flags: c_int,
    doc: *const c_char,
}

/// `PyModuleDef` of the stable ABI.
#[repr(C)]
struct ModuleDefinition {
    base: [usize; 5],
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    methods: *const Method,
    slots: *const c_void,
    traverse: usize,
    clear: usize,
    free: usize,
}

struct Constant<T>(core::cell::UnsafeCell<T>);

// SAFETY: only Python touches them, holding the GIL.
unsafe impl<T> Sync for Constant<T> {}

const METH_VARARGS: c_int = 1;
const METH_NOARGS: c_int = 4;
const METH_O: c_int = 8;
const PYTHON_API_VERSION: c_int = 1013;

static METHODS: Constant<[Method; 9]> = Constant(core::cell::UnsafeCell::new([
    method(c"configure", configure, METH_O, c"configure(socket): take the supervisor's socket"),
    method(c"watch", watch, METH_NOARGS, c"watch(): watch this process and those it forks from now on"),
    method(c"pause", pause, METH_NOARGS, c"pause(): do not watch processes forked from now on"),
    method(c"census", census, METH_NOARGS, c"census(): list every object, from a forked child"),
    method(c"ignore_frames", ignore_frames, METH_NOARGS, c"ignore_frames(): log no frames from now on"),
    method(
        c"prepare_heap",
        prepare_heap,
        METH_VARARGS,
        c"prepare_heap(roots, exclude, flags): make a heap ready for a fork",
    ),
    method(c"trim_heap", trim_heap, METH_NOARGS, c"trim_heap(): give free memory of malloc back"),
    method(c"frames", frames, METH_NOARGS, c"frames(): addresses of code and instruction, innermost first"),
    Method { name: core::ptr::null(), function: None, flags: 0, doc: core::ptr::null() },
]));

static MODULE: Constant<ModuleDefinition> = Constant(core::cell::UnsafeCell::new(ModuleDefinition {
    // Reference count one, as PyModuleDef_HEAD_INIT has it.
    base: [1, 0, 0, 0, 0],
    name: c"_forkprint_agent".as_ptr(),
    doc: c"Watches this process for forkprint.".as_ptr(),
    size: -1,
    methods: METHODS.0.get().cast(),
    slots: core::ptr::null(),
    traverse: 0,
    clear: 0,
    free: 0,
}));

const fn method(
    name: &'static CStr,
    function: unsafe extern "C" fn(Object, Object) -> Object,
    flags: c_int,
    doc: &'static CStr,
) -> Method {
    Method { name: name.as_ptr(), function: Some(function), flags, doc: doc.as_ptr() }
}

fn none() -> Object {
    // An empty format gives None.
    call!(api::BuildValue, c"Py_BuildValue", c"".as_ptr())
}

/// The module; Python calls this when it is imported.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn PyInit__forkprint_agent() -> Object {
    call!(api::ModuleCreate, c"PyModule_Create2", MODULE.0.get(), PYTHON_API_VERSION)
}

unsafe extern "C" fn configure(_: Object, socket: Object) -> Object {
    let socket = call!(api::LongAsLong, c"PyLong_AsLong", socket);
    // SAFETY: Python calls with the GIL held.
    unsafe { arm::forkprint_agent_configure(socket as c_int) };
    none()
}

unsafe extern "C" fn watch(_: Object, _: Object) -> Object {
    // SAFETY: Python calls with the GIL held.
    let _told_the_supervisor = unsafe { arm::forkprint_agent_watch() };
    none()
}

unsafe extern "C" fn pause(_: Object, _: Object) -> Object {
    // SAFETY: Python calls with the GIL held.
    unsafe { arm::forkprint_agent_pause() };
    none()
}

unsafe extern "C" fn census(_: Object, _: Object) -> Object {
    // SAFETY: Python calls with the GIL held.
    unsafe { crate::census::forkprint_agent_census() };
    none()
}

/// For a `CPython` whose frames are not where its version says.
unsafe extern "C" fn ignore_frames(_: Object, _: Object) -> Object {
    // SAFETY: Python calls with the GIL held.
    unsafe { crate::state::get_mut() }.frames = None;
    none()
}

unsafe extern "C" fn frames(_: Object, _: Object) -> Object {
    let mut stack = Stack::empty();
    let _ = walk::walk(crate::state::get(), &mut stack);
    let list = call!(api::ListNew, c"PyList_New", 0);
    for frame in &stack.frames[..stack.count] {
        let pair =
            call!(api::BuildValue, c"Py_BuildValue", c"(KL)".as_ptr(), frame.code, frame.instruction as i64);
        call!(api::ListAppend, c"PyList_Append", list, pair);
        call!(api::DecRef, c"Py_DecRef", pair);
    }
    list
}

/// `malloc_trim(0)`, where the C library has it.
unsafe extern "C" fn trim_heap(_: Object, _: Object) -> Object {
    let trim = crate::sys::symbol(c"malloc_trim");
    // SAFETY: the function has this type in glibc, and takes the allocator's own locks.
    let trimmed = !trim.is_null()
        && unsafe { core::mem::transmute::<*mut c_void, api::Trim>(trim)(0) } != 0;
    call!(api::BoolFromLong, c"PyBool_FromLong", c_long::from(trimmed))
}

/// `prepare_heap(roots, exclude, flags)` as `forkprint._native` has it.
unsafe extern "C" fn prepare_heap(_: Object, arguments: Object) -> Object {
    let (mut roots, mut exclude): (Object, Object) = (core::ptr::null_mut(), core::ptr::null_mut());
    let mut flags = 0_u32;
    let parsed = call!(
        api::ParseTuple,
        c"PyArg_ParseTuple",
        arguments,
        c"OO!I:prepare_heap".as_ptr(),
        &raw mut roots,
        crate::sys::symbol(c"PyTuple_Type"),
        &raw mut exclude,
        &raw mut flags
    );
    if parsed == 0 {
        return core::ptr::null_mut();
    }
    let minor = version().map_or(0, |(_, minor)| u32::from(minor));
    let roots = if roots == crate::sys::symbol(c"_Py_NoneStruct") { 0 } else { roots as u64 };
    // SAFETY: the arguments are live, and Python calls with the GIL held.
    let done = unsafe { heap::prepare(&heap::Request { minor, roots, exclude: exclude as u64, flags }) };
    match done {
        Ok(counts) => {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = counts.to_array();
            let format = c"(KKKKKKKKKKKKKK)".as_ptr();
            call!(api::BuildValue, c"Py_BuildValue", format, a, b, c, d, e, f, g, h, i, j, k, l, m, n)
        }
        Err(refused) => {
            // SAFETY: the exception that the variable points to lives as long as the interpreter.
            let exception = unsafe { *crate::sys::symbol(c"PyExc_RuntimeError").cast::<Object>() };
            call!(api::SetString, c"PyErr_SetString", exception, refused.message().as_ptr());
            core::ptr::null_mut()
        }
    }
}
