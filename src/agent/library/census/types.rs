//! Types: their names, their slots, the names of attributes that instances keep in line, and how the
//! walk treats their objects.

use super::layout::{
    FLAG_HEAP_TYPE, FLAG_MANAGED_DICT, OB_SIZE, OB_TYPE, TP_BASE, TP_BASICSIZE, TP_DICT, TP_FLAGS,
    TP_ITEMSIZE, TP_NAME, Version, word,
};
use super::memory::zeroed;
use super::plans::{Known, Plan};
use super::table::{Census, Slots, mix};
use super::text::Text;
use crate::heap::dicts::{Entries, Keys};
use crate::wire::{CensusName, CensusType, MOST_TYPES};

/// Slots looked for in one type and its bases.
const MOST_SLOTS: usize = 4096;
/// Bytes of `PyMemberDef`, and the kinds of members that are references (`structmember.h`).
const SLOT_BYTES: u64 = 40;
const T_OBJECT: u32 = 6;
const T_OBJECT_EX: u32 = 16;

/// The types seen so far.
pub struct Types {
    census: Census,
    version: Version,
    known: Known,
    slots: Slots,
    plans: *mut Plan,
    last: (u64, u32),
}

impl Types {
    pub fn new(census: Census, version: Version, known: Known) -> Option<Self> {
        let plans = zeroed(MOST_TYPES * size_of::<Plan>())?.cast();
        Some(Self { census, version, known, slots: Slots::new(1 << 17)?, plans, last: (0, 0) })
    }

    /// The index of a type.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    pub unsafe fn index(&mut self, address: u64) -> Option<u32> {
        if self.last.0 != address {
            // SAFETY: promised by the caller.
            self.last = (address, unsafe { self.find(address) }?);
        }
        Some(self.last.1)
    }

    /// How to treat the objects of a type that is in the census.
    pub fn plan(&self, index: u32) -> &'static Plan {
        // SAFETY: plans of types are written before their index is known, and stay as they are.
        unsafe { &*self.plans.add(index as usize) }
    }

    /// The name of a type that is in the census.
    pub fn name(&self, index: u32) -> &'static [u8] {
        let name = self.plan(index).name;
        self.census.text(name.at, name.len as usize)
    }

    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn find(&mut self, address: u64) -> Option<u32> {
        for slot in self.slots.probe(mix(address)) {
            let Some(found) = self.slots.get(slot) else {
                // SAFETY: promised by the caller; the index is below the number of plans.
                unsafe {
                    let entry = self.describe(address);
                    let index = self.census.push_type(entry)?;
                    self.plans.add(index as usize).write(self.known.plan(&entry));
                    self.slots.set(slot, index);
                    return Some(index);
                }
            };
            if self.plan(found).address == address {
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
                name: self.name_of(address, flags),
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
    unsafe fn name_of(&self, address: u64, flags: u64) -> CensusName {
        // SAFETY: a live type has a name; a heap type has the fields of PyHeapTypeObject.
        unsafe {
            if flags & FLAG_HEAP_TYPE != 0
                && let Some(qualified) = Text::of(word(address, self.version.qualified_name), self.version)
            {
                return match self.module_of(address) {
                    Some(module) if module.bytes() != b"builtins" => {
                        self.keep(&[module.bytes(), b".", qualified.bytes()])
                    }
                    _ => self.keep(&[qualified.bytes()]),
                };
            }
            let name = word(address, TP_NAME);
            if name == 0 { self.keep(&[b"?"]) } else { self.keep(&[Text::of_c(name).bytes()]) }
        }
    }

    /// `__module__`, looked up without the comparisons of a dict, which keys may bring along.
    ///
    /// # Safety
    ///
    /// `address` must be a live type.
    unsafe fn module_of(&self, address: u64) -> Option<Text> {
        // SAFETY: the dict of a live heap type.
        unsafe {
            let dict = word(address, TP_DICT);
            let mut entries = (dict != 0).then(|| Entries::of(dict, self.version.minor))?;
            let is_module = |key| Text::of(key, self.version).is_some_and(|key| key.bytes() == b"__module__");
            let (_, module) = entries.find(|&(key, _)| is_module(key))?;
            Text::of(module, self.version)
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
                            let name = self.keep(&[Text::of_c(name).bytes()]);
                            self.census.push_name(CensusName { offset, ..name });
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
                        let name = Text::of(keys.key(index), self.version);
                        self.census.push_name(self.keep(&[name.as_ref().map_or(b"?", Text::bytes)]));
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
}
