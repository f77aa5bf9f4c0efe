//! Where the walk begins when the caller names nothing: the modules, and all types.

use super::api::{Api, Object, call};
use super::dicts::Entries;
use super::layout::{
    FLAG_DICT, FLAG_TYPE, LIST_ITEMS, MODULE_DICT, OB_SIZE, OB_TYPE, STR_LENGTH, STR_STATE, TP_FLAGS,
    text_at, word,
};
use super::memory::Memory;
use super::seen::Seen;
use super::system::symbol;
use core::ffi::{CStr, c_char, c_int};

const COMPACT_ASCII: u64 = 3 << 5;

/// `sys.modules`; 0 where it is no dict.
pub fn modules() -> u64 {
    let get = symbol(c"PyImport_GetModuleDict");
    if get == 0 {
        return 0;
    }
    let modules = call!(get, () -> Object,) as u64;
    // SAFETY: a live object, if any.
    if modules != 0 && unsafe { has_flag(modules, FLAG_DICT) } { modules } else { 0 }
}

/// `threading.Thread`; 0 where nobody imported it.
///
/// # Safety
///
/// `modules` must be 0 or a live dict.
pub unsafe fn thread_type(modules: u64, api: &Api, minor: u32) -> u64 {
    // SAFETY: promised by the caller; a module has a dict.
    unsafe {
        if modules == 0 {
            return 0;
        }
        let Some(module) = find(modules, b"threading", api, minor) else { return 0 };
        let module_type = symbol(c"PyModule_Type");
        if word(module, OB_TYPE) != module_type || word(module, MODULE_DICT) == 0 {
            return 0;
        }
        let thread = find(word(module, MODULE_DICT), b"Thread", api, minor);
        thread.filter(|&thread| has_flag(thread, FLAG_TYPE)).unwrap_or(0)
    }
}

/// The value of a name, found without the comparisons of a dict, which keys may bring along.
///
/// # Safety
///
/// `dict` must be a live dict.
unsafe fn find(dict: u64, name: &[u8], api: &Api, minor: u32) -> Option<u64> {
    // SAFETY: promised by the caller; the characters of a compact string stand behind it.
    unsafe {
        Entries::of(dict, minor)
            .find(|&(key, _)| {
                word(key, OB_TYPE) == api.str_type
                    && word(key, STR_STATE) & COMPACT_ASCII == COMPACT_ASCII
                    && word(key, STR_LENGTH) == name.len() as u64
                    && core::slice::from_raw_parts(
                        (key as usize + text_at(minor)[0]) as *const u8,
                        name.len(),
                    ) == name
            })
            .map(|(_, value)| value)
    }
}

/// All types, as a list of Python, which keeps them alive; 0 where that failed.
///
/// Types know those that derive from them. The list is made before the walk begins, for making it may
/// let the collector run.
pub fn all_types(api: &Api) -> u64 {
    let mut memory = Memory::new();
    let Some(mut seen) = Seen::new(&mut memory) else { return 0 };
    let [attribute, new_list, append, apply] =
        [c"PyObject_GetAttrString", c"PyList_New", c"PyList_Append", c"PyObject_CallFunctionObjArgs"]
            .map(symbol);
    if [attribute, new_list, append, apply].contains(&0) {
        return 0;
    }
    // Of `type` itself, so that a metaclass is not asked.
    let name: &CStr = c"__subclasses__";
    let subclasses =
        call!(attribute, (Object, *const c_char) -> Object, api.type_type as Object, name.as_ptr());
    let list = call!(new_list, (isize) -> Object, 0);
    if subclasses.is_null() || list.is_null() {
        clear_error();
        return 0;
    }
    let mut add = |ty: u64| {
        if seen.add(ty, &mut memory) == Some(true) {
            call!(append, (Object, Object) -> c_int, list, ty as Object);
        }
    };
    add(api.object_type);
    let mut index = 0;
    let item = |list: u64, index: u64| {
        // SAFETY: lists that are ours alone.
        let size = unsafe { word(list, OB_SIZE) };
        // SAFETY: as above; the index is below the size.
        (index < size).then(|| unsafe { word(word(list, LIST_ITEMS), index as usize * 8) })
    };
    while let Some(ty) = item(list as u64, index) {
        let derived = call!(
            apply,
            (Object, Object, Object) -> Object,
            subclasses,
            ty as Object,
            core::ptr::null_mut()
        ) as u64;
        index += 1;
        if derived == 0 {
            clear_error();
            continue;
        }
        (0..).map_while(|each| item(derived, each)).for_each(&mut add);
        api.release(derived);
    }
    api.release(subclasses as u64);
    list as u64
}

/// Forgets the error that Python raised, if any.
pub fn clear_error() {
    let clear = symbol(c"PyErr_Clear");
    if clear != 0 {
        call!(clear, () -> (),);
    }
}

/// # Safety
///
/// `object` must be live.
unsafe fn has_flag(object: u64, flag: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { word(word(object, OB_TYPE), TP_FLAGS) & flag != 0 }
}
