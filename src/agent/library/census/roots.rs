//! Where paths begin: the modules, then whatever the collector knows that no module leads to.

use super::collector;
use super::visit::Visit;
use crate::sys;
use core::ffi::{CStr, c_void};

type GetObject = unsafe extern "C" fn() -> *mut c_void;

/// What a function of the C API gives that takes nothing; 0 where it does not exist.
///
/// # Safety
///
/// The function of this name must be such a one, and the GIL must be held.
unsafe fn get(name: &CStr) -> u64 {
    let address = sys::symbol(name);
    if address.is_null() {
        return 0;
    }
    // SAFETY: promised by the caller.
    unsafe { core::mem::transmute::<*mut c_void, GetObject>(address)() as u64 }
}

/// `sys.modules`; null when there is none.
///
/// # Safety
///
/// The GIL must be held.
pub unsafe fn module_dict() -> u64 {
    // SAFETY: the type of the function in every version; the result is borrowed.
    unsafe { get(c"PyImport_GetModuleDict") }
}

/// Adds every module of `sys.modules`, by its name there.
///
/// # Safety
///
/// `modules` must be null or a live dict.
pub unsafe fn modules(visit: &mut Visit, modules: u64) {
    if modules == 0 {
        return;
    }
    // SAFETY: promised by the caller; keys of a live dict are live objects.
    unsafe {
        for (key, module) in visit.entries(modules) {
            let name = visit.text(key);
            let node = visit.paths.root(name.as_ref().map_or(b"?", |name| name.bytes()));
            visit.add(module, node);
        }
    }
}

/// The objects that the collector tracks and no module leads to: locals of frames, data of C code.
///
/// # Safety
///
/// The GIL must be held.
pub unsafe fn untold(visit: &mut Visit) {
    // SAFETY: the type of the function in every version; the interpreter outlives the walk.
    unsafe {
        let interpreter = get(c"PyInterpreterState_Get");
        for head in collector::generations(interpreter) {
            collector::each(head, |object| visit.orphan(object));
        }
    }
}
