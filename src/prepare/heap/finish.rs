//! The end of an interpreter with immortal objects, which never let go of what they hold: files would
//! keep what they have not written yet, and finalizers would not run.
//!
//! A module that nobody refers to but `sys.modules` stands guard. `Py_FinalizeEx` empties that dict when
//! all functions of `atexit` have run and before it empties the modules; the guard then goes, and what
//! only immortal objects hold is flushed and finalized.

use super::api::{Api, Object, call};
use super::layout::{LIST_ITEMS, OB_SIZE, TP_FINALIZE, word};
use super::memory::Memory;
use super::plans::Rules;
use super::resources;
use super::roots;
use super::system::symbol;
use super::walk::Walk;
use super::{COLLECT, Request};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What stands in `sys.modules`.
const NAME: &CStr = c"forkprint._guard";
const MODULES: &CStr = c"modules";
const PYTHON_API_VERSION: c_int = 1013;
/// `md_def` of a module (`PyModuleObject`).
const MODULE_DEFINITION: usize = 24;

/// `PyModuleDef` of the stable ABI.
#[repr(C)]
struct Definition {
    base: [usize; 5],
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    methods: usize,
    slots: usize,
    traverse: usize,
    clear: usize,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
}

struct Constant(core::cell::UnsafeCell<Definition>);

// SAFETY: only Python touches it, holding the GIL.
unsafe impl Sync for Constant {}

static DEFINITION: Constant = Constant(core::cell::UnsafeCell::new(Definition {
    base: [1, 0, 0, 0, 0],
    name: NAME.as_ptr(),
    doc: c"Lets immortal objects go of what they hold, when the interpreter ends.".as_ptr(),
    size: -1,
    methods: 0,
    slots: 0,
    traverse: 0,
    clear: 0,
    free: Some(on_end),
}));

/// The version of the guard's interpreter.
static MINOR: AtomicU32 = AtomicU32::new(0);

/// Whether an object is the guard, which must stay mortal.
///
/// # Safety
///
/// `object` must be a live module.
pub unsafe fn is_guard(object: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { word(object, MODULE_DEFINITION) == DEFINITION.0.get() as u64 }
}

/// Puts the guard into `sys.modules`, or a new one in its place, which knows the modules of now.
///
/// # Safety
///
/// The GIL must be held, no error be set, and `modules` be 0 or a live dict.
pub unsafe fn stand_guard(modules: u64, request: &Request) {
    MINOR.store(request.minor, Relaxed);
    let [create, list_of, add, set] =
        [c"PyModule_Create2", c"PyDict_Values", c"PyModule_AddObject", c"PyDict_SetItemString"].map(symbol);
    if modules == 0 || [create, list_of, add, set].contains(&0) {
        return;
    }
    let list = call!(list_of, (Object) -> Object, modules as Object);
    let guard = call!(create, (*mut c_void, c_int) -> Object, DEFINITION.0.get().cast(), PYTHON_API_VERSION);
    if !list.is_null() && !guard.is_null() {
        call!(add, (Object, *const c_char, Object) -> c_int, guard, MODULES.as_ptr(), list);
        call!(set, (Object, *const c_char, Object) -> c_int, modules as Object, NAME.as_ptr(), guard);
    }
    if let Some(release) = Some(symbol(c"Py_DecRef")).filter(|&release| release != 0) {
        call!(release, (Object) -> (), guard);
    }
    roots::clear_error();
}

/// The guard goes.
unsafe extern "C" fn on_end(guard: *mut c_void) {
    let (finalizing, get) = (symbol(c"_Py_IsFinalizing"), symbol(c"PyObject_GetAttrString"));
    let finalizing = if finalizing == 0 { symbol(c"Py_IsFinalizing") } else { finalizing };
    // A second preparation puts a new guard in place of this one.
    if finalizing == 0 || get == 0 || call!(finalizing, () -> c_int,) == 0 {
        return;
    }
    let Some(api) = Api::find() else { return };
    let list = call!(get, (Object, *const c_char) -> Object, guard, MODULES.as_ptr()) as u64;
    if list != 0 {
        // SAFETY: the guard's own list of live modules.
        unsafe { let_go(list, api) };
        api.release(list);
    }
    roots::clear_error();
}

/// # Safety
///
/// `modules` must be a live list.
unsafe fn let_go(modules: u64, api: Api) {
    let rules = Rules { api, minor: MINOR.load(Relaxed), excluded: (0, 0), thread: 0 };
    let new_list = symbol(c"PyList_New");
    if new_list == 0 {
        return;
    }
    let held = call!(new_list, (isize) -> Object, 0) as u64;
    if held == 0 {
        return;
    }
    // SAFETY: promised by the caller; what immortal objects refer to is live, and nothing runs meanwhile.
    unsafe {
        if let Some(mut walk) = Walk::new(Memory::new(), rules, COLLECT) {
            walk.held = held;
            for index in 0..word(modules, OB_SIZE) {
                walk.visit_names(word(word(modules, LIST_ITEMS), index as usize * 8));
            }
            walk.run();
        }
        // Now code of the program runs, and what it lets go of is kept by the list.
        for flush in [true, false] {
            for index in 0..word(held, OB_SIZE) {
                end(word(word(held, LIST_ITEMS), index as usize * 8), flush);
            }
        }
    }
    api.release(held);
}

/// Flushes a file, or runs the finalizer of anything else: files are closed with the process.
///
/// # Safety
///
/// The object must be live.
unsafe fn end(object: u64, flush: bool) {
    // SAFETY: promised by the caller.
    let ty = unsafe { word(object, super::layout::OB_TYPE) };
    // SAFETY: as above.
    let is_file = unsafe { resources::is_file(ty) };
    let (method, finalize) = (symbol(c"PyObject_CallMethod"), symbol(c"PyObject_CallFinalizer"));
    if is_file && flush && method != 0 {
        let none = core::ptr::null::<c_char>();
        let done = call!(
            method,
            (Object, *const c_char, *const c_char) -> Object,
            object as Object,
            c"flush".as_ptr(),
            none
        );
        let release = symbol(c"Py_DecRef");
        if release != 0 {
            call!(release, (Object) -> (), done);
        }
        // It may be closed.
        roots::clear_error();
        // SAFETY: a live type.
    } else if !is_file && !flush && finalize != 0 && unsafe { word(ty, TP_FINALIZE) } != 0 {
        call!(finalize, (Object) -> (), object as Object);
    }
}
