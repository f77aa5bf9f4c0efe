//! The C API as the walk needs it, found at run time: one library serves every version.

use super::system::symbol;
use core::ffi::{CStr, c_int, c_void};

pub type Object = *mut c_void;
pub type Visitor = unsafe extern "C" fn(Object, *mut c_void) -> c_int;
pub type Traverse = unsafe extern "C" fn(Object, Visitor, *mut c_void) -> c_int;
pub type IsGc = unsafe extern "C" fn(Object) -> c_int;
pub type Hash = unsafe extern "C" fn(Object) -> isize;

/// Calls a function of the C API at an address.
macro_rules! call {
    ($address:expr, ($($kind:ty),*) -> $given:ty, $($argument:expr),*) => {
        // SAFETY: the address is that of the function named, which has this type in every version that
        // has it; the GIL is held.
        unsafe {
            core::mem::transmute::<u64, unsafe extern "C" fn($($kind),*) -> $given>($address)($($argument),*)
        }
    };
}
pub(super) use call;

/// Addresses of functions and types; 0 where this version has none.
#[derive(Clone, Copy)]
pub struct Api {
    pub type_type: u64,
    pub object_type: u64,
    pub str_type: u64,
    pub bytes_type: u64,
    pub frozenset_type: u64,
    pub tuple_type: u64,
    pub list_type: u64,
    pub dict_type: u64,
    pub code_type: u64,
    pub range_type: u64,
    pub capsule_type: u64,
    pub module_type: u64,
    pub weakref_type: u64,
    pub running: [u64; 4],
    is_subtype: u64,
    append: u64,
    type_dict: u64,
    assign_tag: u64,
    lookup: u64,
    dec_ref: u64,
}

impl Api {
    /// None where this is no `CPython` as it should be.
    pub fn find() -> Option<Self> {
        let need = |name: &CStr| Some(symbol(name)).filter(|&address| address != 0);
        Some(Self {
            type_type: need(c"PyType_Type")?,
            object_type: need(c"PyBaseObject_Type")?,
            str_type: need(c"PyUnicode_Type")?,
            bytes_type: need(c"PyBytes_Type")?,
            frozenset_type: need(c"PyFrozenSet_Type")?,
            tuple_type: need(c"PyTuple_Type")?,
            list_type: need(c"PyList_Type")?,
            dict_type: need(c"PyDict_Type")?,
            code_type: need(c"PyCode_Type")?,
            range_type: need(c"PyRange_Type")?,
            capsule_type: need(c"PyCapsule_Type")?,
            module_type: need(c"PyModule_Type")?,
            weakref_type: need(c"_PyWeakref_RefType")?,
            running: [
                need(c"PyFrame_Type")?,
                need(c"PyGen_Type")?,
                need(c"PyCoro_Type")?,
                need(c"PyAsyncGen_Type")?,
            ],
            is_subtype: need(c"PyType_IsSubtype")?,
            append: need(c"PyList_Append")?,
            type_dict: symbol(c"PyType_GetDict"),
            assign_tag: symbol(c"PyUnstable_Type_AssignVersionTag"),
            lookup: symbol(c"_PyType_Lookup"),
            dec_ref: need(c"Py_DecRef")?,
        })
    }

    /// Whether a type derives from another one, by its method resolution order.
    pub fn is_subtype(&self, ty: u64, of: u64) -> bool {
        call!(self.is_subtype, (Object, Object) -> c_int, ty as Object, of as Object) != 0
    }

    /// The dict of a type, which `CPython` 3.12 and later keeps apart for its own types. 0: it has none.
    pub fn type_dict(&self, ty: u64, tp_dict: u64) -> u64 {
        if self.type_dict == 0 {
            return tp_dict;
        }
        let dict = call!(self.type_dict, (Object) -> Object, ty as Object) as u64;
        if dict != 0 {
            self.release(dict);
        }
        dict
    }

    /// Whether a type has a version tag now. None where this version has no such function.
    pub fn assign_tag(&self, ty: u64) -> Option<bool> {
        if self.assign_tag == 0 {
            return None;
        }
        Some(call!(self.assign_tag, (Object) -> c_int, ty as Object) != 0)
    }

    /// Looks a name up in a type, as attribute access does first. False where there is no such function.
    pub fn look_up(&self, ty: u64, name: u64) -> bool {
        if self.lookup == 0 {
            return false;
        }
        let _borrowed = call!(self.lookup, (Object, Object) -> Object, ty as Object, name as Object);
        true
    }

    pub fn append(&self, list: u64, object: u64) {
        call!(self.append, (Object, Object) -> c_int, list as Object, object as Object);
    }

    pub fn release(&self, object: u64) {
        call!(self.dec_ref, (Object) -> (), object as Object);
    }
}
