//! How the walk treats the objects of a type, found out once for each type.

use super::foreign;
use super::layout::{
    FLAG_DICT, FLAG_HAVE_GC, FLAG_HEAP_TYPE, FLAG_INLINE_VALUES, FLAG_INT, FLAG_LIST, FLAG_STR, FLAG_TUPLE,
    FLAG_TYPE, MODULE_DICT, OB_TYPE, TP_BASE, TP_DICTOFFSET, TP_FLAGS, TP_IS_GC, TP_NAME, TP_TRAVERSE,
    Version, word,
};
use super::sizes::Tail;
use super::text::Text;
use crate::heap::dicts::Entries;
use crate::sys;
use crate::wire::{CensusName, CensusType};

/// What a type's objects hold that the walk knows how to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Nothing,
    Tuple,
    List,
    Dict,
    Type,
    Module,
    Set,
    ByteArray,
    Array,
    NdArray,
    Deque,
}

/// How to treat the objects of one type.
#[derive(Clone, Copy)]
pub struct Plan {
    pub address: u64,
    pub flags: u64,
    /// `tp_traverse` and `tp_is_gc`; the first is null where nothing is left to be asked.
    pub traverse: u64,
    pub is_gc: u64,
    /// `tp_dictoffset`: negative counts from the end of the object.
    pub dict_offset: i64,
    pub basic_size: u32,
    pub item_size: u32,
    pub prefix: u32,
    pub slots: [u32; 2],
    pub attributes: [u32; 2],
    pub name: CensusName,
    pub look: Look,
    pub tail: Tail,
}

impl Plan {
    /// Whether its objects refer to nothing and own nothing.
    pub fn is_leaf(&self) -> bool {
        self.look == Look::Nothing && self.traverse == 0 && self.flags & FLAG_HEAP_TYPE == 0
    }
}

/// Types and functions that are told apart by their address.
#[derive(Clone, Copy)]
pub struct Known {
    version: Version,
    module: u64,
    sets: [u64; 2],
    byte_array: u64,
    /// Lists, tuples and dicts themselves: their `tp_traverse` tells nothing new.
    containers: [u64; 3],
    generators: [u64; 3],
    frame: u64,
    /// `tp_traverse` of types made by a class statement (`subtype_traverse`); 0 when unknown.
    class_traverse: u64,
}

impl Known {
    pub fn new(version: Version) -> Self {
        let address = |name| sys::symbol(name) as u64;
        Self {
            version,
            module: address(c"PyModule_Type"),
            sets: [address(c"PySet_Type"), address(c"PyFrozenSet_Type")],
            byte_array: address(c"PyByteArray_Type"),
            containers: [address(c"PyList_Type"), address(c"PyTuple_Type"), address(c"PyDict_Type")],
            generators: [address(c"PyGen_Type"), address(c"PyCoro_Type"), address(c"PyAsyncGen_Type")],
            frame: address(c"PyFrame_Type"),
            class_traverse: 0,
        }
    }

    /// Learns how instances of classes are traversed from one that the interpreter itself made: the
    /// `__spec__` of a module is a `ModuleSpec`.
    ///
    /// # Safety
    ///
    /// `modules` must be null or a live dict of modules.
    pub unsafe fn learn(&mut self, modules: u64) {
        // SAFETY: dicts of live modules, which nobody changes; what they hold is live.
        unsafe {
            let entries = (modules != 0).then(|| Entries::of(modules, self.version.minor));
            self.class_traverse = entries
                .into_iter()
                .flatten()
                .filter(|&(_, module)| word(module, OB_TYPE) == self.module)
                .flat_map(|(_, module)| Entries::of(word(module, MODULE_DICT), self.version.minor))
                .filter(|&(key, _)| Text::of(key, self.version).is_some_and(|key| key.bytes() == b"__spec__"))
                .map(|(_, spec)| word(spec, OB_TYPE))
                .find(|&ty| {
                    word(ty, TP_FLAGS) & FLAG_HEAP_TYPE != 0
                        && Text::of_c(word(ty, TP_NAME)).bytes() == b"ModuleSpec"
                })
                .map_or(0, |ty| word(ty, TP_TRAVERSE));
        }
    }

    /// # Safety
    ///
    /// The type must be live.
    pub unsafe fn plan(&self, ty: &CensusType) -> Plan {
        // SAFETY: promised by the caller; offsets of PyTypeObject, the same in every version.
        unsafe {
            Plan {
                address: ty.address,
                flags: ty.flags,
                traverse: if self.tells_more(ty) { word(ty.address, TP_TRAVERSE) } else { 0 },
                is_gc: word(ty.address, TP_IS_GC),
                dict_offset: word(ty.address, TP_DICTOFFSET) as i64,
                basic_size: ty.basic_size,
                item_size: ty.item_size,
                prefix: ty.prefix,
                slots: ty.slots,
                attributes: ty.attributes,
                name: ty.name,
                look: self.look(ty),
                tail: self.tail(ty),
            }
        }
    }

    /// # Safety
    ///
    /// The type must be live.
    unsafe fn look(&self, ty: &CensusType) -> Look {
        let flag = |flag| ty.flags & flag != 0;
        // SAFETY: promised by the caller.
        let derives = |from| unsafe { derives(ty.address, from) };
        match () {
            () if flag(FLAG_TUPLE) => Look::Tuple,
            () if flag(FLAG_LIST) => Look::List,
            () if flag(FLAG_DICT) => Look::Dict,
            () if flag(FLAG_TYPE) => Look::Type,
            () if derives(self.module) => Look::Module,
            () if derives(self.sets[0]) || derives(self.sets[1]) => Look::Set,
            () if derives(self.byte_array) => Look::ByteArray,
            // SAFETY: promised by the caller.
            () => unsafe { foreign::look(ty.address) }.unwrap_or(Look::Nothing),
        }
    }

    fn tail(&self, ty: &CensusType) -> Tail {
        let flag = |flag| ty.flags & flag != 0;
        match () {
            () if flag(FLAG_STR) => Tail::Text,
            () if self.version.minor >= 11 && self.generators.contains(&ty.address) => Tail::Generator,
            () if self.version.minor >= 11 && ty.address == self.frame => Tail::Frame,
            () if self.version.minor >= 13 && flag(FLAG_INLINE_VALUES) => Tail::Values,
            () if ty.item_size == 0 => Tail::None,
            () if flag(FLAG_INT) => Tail::Digits,
            () => Tail::Items,
        }
    }

    /// Whether `tp_traverse` tells of objects that the walk does not find by itself.
    ///
    /// # Safety
    ///
    /// The type must be live.
    unsafe fn tells_more(&self, ty: &CensusType) -> bool {
        if ty.flags & FLAG_HAVE_GC == 0 || self.containers.contains(&ty.address) {
            return false;
        }
        let mut base = ty.address;
        // SAFETY: promised by the caller; bases of a live type are live.
        unsafe {
            // Slots and attributes the walk reads; what native bases add it must ask for.
            while self.class_traverse != 0 && word(base, TP_TRAVERSE) == self.class_traverse {
                base = word(base, TP_BASE);
                if base == 0 {
                    return false;
                }
            }
            word(base, TP_TRAVERSE) != 0
        }
    }
}

/// # Safety
///
/// `ty` must be a live type.
unsafe fn derives(ty: u64, from: u64) -> bool {
    let mut ty = ty;
    while ty != 0 && ty != from {
        // SAFETY: the base of a live type is null or live.
        ty = unsafe { word(ty, TP_BASE) };
    }
    ty != 0
}
