//! Types: their names, their slots, and the names of attributes that instances keep in line.

use super::layout::{
    FLAG_HEAP_TYPE, FLAG_MANAGED_DICT, FLAG_STR, Keys, OB_SIZE, OB_TYPE, STR_LENGTH, STR_STATE, TP_BASE,
    TP_BASICSIZE, TP_DICT, TP_FLAGS, TP_ITEMSIZE, TP_NAME, Version, word,
};
use super::table::{Census, FREE, Slots, mix};
use crate::sys;
use crate::wire::{CensusName, CensusType};
use core::ffi::{CStr, c_char, c_void};

/// Names longer than this are cut.
pub const MOST_NAME_BYTES: usize = 200;
/// Slots looked for in one type and its bases.
const MOST_SLOTS: usize = 4096;
/// Bytes of `PyMemberDef`, and the kinds of members that are references (`structmember.h`).
const SLOT_BYTES: u64 = 40;
const T_OBJECT: u32 = 6;
const T_OBJECT_EX: u32 = 16;

type GetItemString = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// The types seen so far.
pub struct Types {
    census: Census,
    version: Version,
    slots: Slots,
    get_item: Option<GetItemString>,
    last: (u64, u32),
}

impl Types {
    pub fn new(census: Census, version: Version) -> Option<Self> {
        let get_item = sys::symbol(c"PyDict_GetItemString");
        // SAFETY: the function has this type in every CPython.
        let get_item = (!get_item.is_null())
            .then(|| unsafe { core::mem::transmute::<*mut c_void, GetItemString>(get_item) });
        Some(Self { census, version, slots: Slots::new(1 << 17)?, get_item, last: (0, FREE) })
    }

    /// The index of a type.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    pub unsafe fn index(&mut self, address: u64) -> Option<u32> {
        if self.last.0 == address {
            return Some(self.last.1);
        }
        let types = self.census.types();
        for slot in self.slots.probe(mix(address)) {
            let found = self.slots.get(slot);
            if found == FREE {
                // SAFETY: promised by the caller.
                let index = self.census.push_type(unsafe { self.describe(address) })?;
                self.slots.set(slot, index);
                self.last = (address, index);
                return Some(index);
            }
            if types[found as usize].address == address {
                self.last = (address, found);
                return Some(found);
            }
        }
        None
    }

    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn describe(&self, address: u64) -> CensusType {
        // SAFETY: offsets of PyTypeObject, the same in every version.
        unsafe {
            let flags = word(address, TP_FLAGS);
            CensusType {
                address,
                flags,
                name: self.name(address, flags),
                prefix: self.version.prefix(flags),
                slots: self.slot_names(address),
                attributes: self.attribute_names(address, flags),
                basic_size: u32::try_from(word(address, TP_BASICSIZE)).unwrap_or(0),
                item_size: u32::try_from(word(address, TP_ITEMSIZE)).unwrap_or(0),
                pad: 0,
            }
        }
    }

    /// `module.QualName` of a type made by a class statement; `tp_name` of others.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn name(&self, address: u64, flags: u64) -> CensusName {
        // SAFETY: a live type has a name; a heap type has the fields of PyHeapTypeObject.
        unsafe {
            if flags & FLAG_HEAP_TYPE != 0
                && let Some(qualified) = self.ascii(word(address, self.version.qualified_name))
            {
                return match self.module_of(address) {
                    Some(module) if module != b"builtins" => self.keep(&[module, b".", qualified]),
                    _ => self.keep(&[qualified]),
                };
            }
            let name = word(address, TP_NAME);
            if name == 0 { self.keep(&[b"?"]) } else { self.keep(&[c_text(name)]) }
        }
    }

    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn module_of(&self, address: u64) -> Option<&'static [u8]> {
        // SAFETY: the dict of a live heap type; the result is borrowed from it.
        unsafe {
            let dict = word(address, TP_DICT);
            let get_item = self.get_item.filter(|_| dict != 0)?;
            let module = get_item(dict as *mut c_void, c"__module__".as_ptr());
            self.ascii(module as u64)
        }
    }

    /// The slots of a type and of its bases.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn slot_names(&self, address: u64) -> [u32; 2] {
        let first = self.census.header().names as u32;
        let (mut count, mut ty) = (0, address);
        // SAFETY: the members of a heap type stand behind it (PyHeapType_GET_MEMBERS).
        unsafe {
            while ty != 0 && count < MOST_SLOTS {
                if word(ty, TP_FLAGS) & FLAG_HEAP_TYPE != 0 {
                    let members = ty + word(word(ty, OB_TYPE), TP_BASICSIZE);
                    for index in 0..word(ty, OB_SIZE).min((MOST_SLOTS - count) as u64) {
                        let member = members + index * SLOT_BYTES;
                        let name = word(member, 0);
                        if name == 0 {
                            break;
                        }
                        count += 1;
                        if matches!(word(member, 8) as u32, T_OBJECT | T_OBJECT_EX) {
                            let offset = u32::try_from(word(member, 16)).unwrap_or(0);
                            self.census.push_name(CensusName { offset, ..self.keep(&[c_text(name)]) });
                        }
                    }
                }
                ty = word(ty, TP_BASE);
            }
        }
        [first, self.census.header().names as u32 - first]
    }

    /// The attributes whose values instances of a type keep without a dict, in the order of the values.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn attribute_names(&self, address: u64, flags: u64) -> [u32; 2] {
        let first = self.census.header().names as u32;
        if self.version.minor >= 11 && flags & FLAG_MANAGED_DICT != 0 && flags & FLAG_HEAP_TYPE != 0 {
            // SAFETY: a heap type has cached keys, or null.
            unsafe {
                let keys = word(address, self.version.qualified_name + 8);
                if keys != 0 {
                    let keys = Keys::read(keys, self.version.minor);
                    for index in 0..keys.count.min(64) {
                        let name = self.ascii(keys.key(index)).unwrap_or(b"?");
                        self.census.push_name(self.keep(&[name]));
                    }
                }
            }
        }
        [first, self.census.header().names as u32 - first]
    }

    fn keep(&self, parts: &[&[u8]]) -> CensusName {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let at = self.census.push_text(parts);
        CensusName { at: at.unwrap_or(0), len: if at.is_some() { len as u32 } else { 0 }, offset: 0 }
    }

    /// The characters of an ASCII string; `None` for other strings and other objects.
    ///
    /// # Safety
    ///
    /// `object` must be null or a live object.
    pub unsafe fn ascii(&self, object: u64) -> Option<&'static [u8]> {
        // SAFETY: promised by the caller; the length is that of the string.
        unsafe { ascii(object, self.version) }
    }
}

/// # Safety
///
/// `object` must be null or a live object.
pub unsafe fn ascii(object: u64, version: Version) -> Option<&'static [u8]> {
    const COMPACT_ASCII: u64 = 0b110_0000;
    // SAFETY: promised by the caller; the length is that of the string.
    unsafe {
        if object == 0 || word(word(object, OB_TYPE), TP_FLAGS) & FLAG_STR == 0 {
            return None;
        }
        if word(object, STR_STATE) & COMPACT_ASCII != COMPACT_ASCII {
            return None;
        }
        let len = (word(object, STR_LENGTH) as usize).min(MOST_NAME_BYTES);
        Some(core::slice::from_raw_parts((object as usize + version.text_at[0]) as *const u8, len))
    }
}

/// # Safety
///
/// `address` must be a string that ends in NUL and lives on.
unsafe fn c_text(address: u64) -> &'static [u8] {
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(address as *const c_char) }.to_bytes();
    &text[..text.len().min(MOST_NAME_BYTES)]
}
