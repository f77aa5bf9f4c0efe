//! Where paths begin: the modules, then whatever the collector knows that no module leads to.

use super::visit::Visit;
use crate::sys;
use core::ffi::{c_char, c_void};

type Object = *mut c_void;
type GetObject = unsafe extern "C" fn() -> Object;
type ImportModule = unsafe extern "C" fn(*const c_char) -> Object;
type CallMethod = unsafe extern "C" fn(Object, *const c_char, *const c_char, ...) -> Object;
type ListSize = unsafe extern "C" fn(Object) -> isize;
type ListItem = unsafe extern "C" fn(Object, isize) -> Object;
type NoResult = unsafe extern "C" fn();

/// A function of the C API with the type that it has in every version.
///
/// # Safety
///
/// `F` must be the type of the function of this name.
unsafe fn api<F: Copy>(name: &core::ffi::CStr) -> Option<F> {
    let address = sys::symbol(name);
    // SAFETY: a function pointer has the size of a pointer; the type is promised by the caller.
    (!address.is_null()).then(|| unsafe { core::mem::transmute_copy::<Object, F>(&address) })
}

/// Every module of `sys.modules`, by its name there.
pub fn modules(visit: &mut Visit) {
    // SAFETY: the type of the function; the GIL is held, and the result is borrowed.
    let modules = unsafe { api::<GetObject>(c"PyImport_GetModuleDict").map(|get| get()) };
    if let Some(modules) = modules.filter(|modules| !modules.is_null()) {
        visit.each_entry(modules as u64, |visit, key, value| {
            // SAFETY: keys of a live dict are live objects.
            let name = unsafe { visit.ascii(key) };
            visit.root(value, name.unwrap_or(b"?"));
        });
    }
}

/// The objects that the collector tracks and no module leads to: locals of frames, data of C code.
pub fn untold(visit: &mut Visit) {
    // SAFETY: types of the functions; the GIL is held, this process is a copy that nobody else uses.
    unsafe {
        let (Some(import), Some(call), Some(size), Some(item), Some(clear)) = (
            api::<ImportModule>(c"PyImport_ImportModule"),
            api::<CallMethod>(c"PyObject_CallMethod"),
            api::<ListSize>(c"PyList_Size"),
            api::<ListItem>(c"PyList_GetItem"),
            api::<NoResult>(c"PyErr_Clear"),
        ) else {
            return;
        };
        let gc = import(c"gc".as_ptr());
        if gc.is_null() {
            return clear();
        }
        // Frozen objects are not listed.
        call(gc, c"unfreeze".as_ptr(), core::ptr::null());
        let list = call(gc, c"get_objects".as_ptr(), core::ptr::null());
        if list.is_null() {
            return clear();
        }
        for index in 0..size(list) {
            visit.orphan(item(list, index) as u64);
        }
    }
}
