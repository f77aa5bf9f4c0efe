//! The walk: breadth first over the objects, in the order in which they were added.

use super::layout::{
    BYTEARRAY_ALLOCATED, BYTEARRAY_BYTES, DICT_KEYS, DICT_VALUES, FLAG_DICT, FLAG_HAVE_GC, FLAG_HEAP_TYPE,
    FLAG_INLINE_VALUES, FLAG_INT, FLAG_LIST, FLAG_MANAGED_DICT, FLAG_STR, FLAG_TUPLE, FLAG_TYPE, Keys,
    LIST_ALLOCATED, LIST_ITEMS, MODULE_DICT, OB_SIZE, OB_TYPE, SET_MASK, SET_SMALL_TABLE, SET_TABLE,
    STR_LENGTH, STR_STATE, TP_BASE, TP_DICT, TP_DICTOFFSET, TP_IS_GC, TP_TRAVERSE, TUPLE_ITEMS, Version,
    word,
};
use super::objects::Objects;
use super::paths::Paths;
use super::table::Census;
use super::types::{self, Types};
use crate::state;
use crate::sys;
use crate::wire::{CensusObject, CensusType};
use core::ffi::{c_int, c_void};

type Next = unsafe extern "C" fn(*mut c_void, *mut isize, *mut *mut c_void, *mut *mut c_void) -> c_int;
type Traverse = unsafe extern "C" fn(*mut c_void, Visitor, *mut c_void) -> c_int;
type Visitor = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type IsGc = unsafe extern "C" fn(*mut c_void) -> c_int;

/// The addresses of types that are looked into by name.
struct Known {
    module: u64,
    set: u64,
    frozen_set: u64,
    byte_array: u64,
}

/// The state of the walk.
pub struct Visit {
    census: Census,
    objects: Objects,
    types: Types,
    paths: Paths,
    version: Version,
    known: Known,
    next_entry: Next,
    done: usize,
    /// Whose references the running traversal reports.
    node: u32,
    /// All of them share one node.
    items: bool,
}

impl Visit {
    pub fn new(census: Census) -> Option<Self> {
        let version = Version::of_minor(state::get().python_minor)?;
        let next_entry = sys::symbol(c"PyDict_Next");
        let address = |name| sys::symbol(name) as u64;
        (!next_entry.is_null()).then_some(())?;
        Some(Self {
            census,
            objects: Objects::new(census)?,
            types: Types::new(census, version)?,
            paths: Paths::new(census)?,
            version,
            known: Known {
                module: address(c"PyModule_Type"),
                set: address(c"PySet_Type"),
                frozen_set: address(c"PyFrozenSet_Type"),
                byte_array: address(c"PyByteArray_Type"),
            },
            // SAFETY: the type of this function in every version.
            next_entry: unsafe { core::mem::transmute::<*mut c_void, Next>(next_entry) },
            done: 0,
            node: 0,
            items: false,
        })
    }

    /// Objects and buffers so far.
    pub fn objects(&self) -> u64 {
        self.census.header().objects
    }

    /// # Safety
    ///
    /// `object` must be null or live.
    pub unsafe fn ascii(&self, object: u64) -> Option<&'static [u8]> {
        // SAFETY: promised by the caller.
        unsafe { types::ascii(object, self.version) }
    }

    /// Adds a module.
    pub fn root(&mut self, object: u64, name: &[u8]) {
        let node = self.paths.root(name);
        self.add(object, node);
    }

    /// Adds an object that no module leads to, if it is new.
    pub fn orphan(&mut self, object: u64) {
        let root = self.paths.root(b"(no module)");
        // SAFETY: the collector lists live objects.
        let Some(ty) = (unsafe { self.types.index(word(object, OB_TYPE)) }) else { return };
        let name = self.census.types()[ty as usize].name;
        let node = self.paths.native(root, self.census.text(name.at, name.len as usize));
        self.add(object, node);
    }

    /// Looks into every object that was added, and into those that this adds.
    pub fn follow_all(&mut self) {
        while let Some(&object) = self.census.objects().get(self.done) {
            self.done += 1;
            if object.kind == CensusObject::OBJECT
                && let Some(&ty) = self.census.types().get(object.ty as usize)
            {
                // SAFETY: an object that a live object refers to is live.
                unsafe { self.follow(object.start, object.node, &ty) };
            }
        }
    }

    fn add(&mut self, object: u64, node: u32) {
        if object == 0 {
            return;
        }
        // SAFETY: whoever refers to an object keeps it alive.
        unsafe {
            let Some(ty) = self.types.index(word(object, OB_TYPE)) else { return };
            let entry = self.census.types()[ty as usize];
            let size = self.size_of(object, &entry);
            let kind = CensusObject::OBJECT;
            self.objects.add(CensusObject { start: object, size, ty, node, kind });
        }
    }

    fn add_buffer(&mut self, start: u64, bytes: u64, ty: &CensusType, node: u32, kind: u32) {
        // SAFETY: a type that is in the census.
        let Some(ty) = (unsafe { self.types.index(ty.address) }) else { return };
        if start != 0 && bytes != 0 {
            let size = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.census.push_object(CensusObject { start, size, ty, node, kind });
        }
    }

    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn size_of(&self, object: u64, ty: &CensusType) -> u32 {
        // SAFETY: promised by the caller.
        unsafe {
            let items = if ty.flags & FLAG_STR != 0 {
                let state = word(object, STR_STATE);
                let (character, ascii) = (state >> 2 & 7, state >> 6 & 1);
                let compact = state >> 5 & 1 == 1;
                if !compact {
                    return ty.basic_size;
                }
                let header = self.version.text_at[usize::from(ascii == 0)] as u64;
                return u32::try_from(header + (word(object, STR_LENGTH) + 1) * character.max(1))
                    .unwrap_or(u32::MAX);
            } else if ty.item_size == 0 {
                0
            } else if ty.flags & FLAG_INT != 0 && self.version.minor >= 12 {
                word(object, OB_SIZE) >> 3
            } else {
                (word(object, OB_SIZE) as i64).unsigned_abs()
            };
            let bytes = u64::from(ty.basic_size) + items.saturating_mul(u64::from(ty.item_size));
            u32::try_from(bytes).unwrap_or(u32::MAX)
        }
    }

    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn follow(&mut self, object: u64, node: u32, ty: &CensusType) {
        // SAFETY: promised by the caller; layouts are those of the version.
        unsafe {
            if ty.flags & FLAG_TUPLE != 0 {
                self.follow_items(object + TUPLE_ITEMS as u64, word(object, OB_SIZE), node);
            } else if ty.flags & FLAG_LIST != 0 {
                self.follow_items(word(object, LIST_ITEMS), word(object, OB_SIZE), node);
                let bytes = word(object, LIST_ALLOCATED).saturating_mul(8);
                self.add_buffer(word(object, LIST_ITEMS), bytes, ty, node, CensusObject::ITEMS);
            } else if ty.flags & FLAG_DICT != 0 {
                self.follow_dict(object, node, ty);
            } else if ty.flags & FLAG_TYPE != 0 {
                self.follow_attributes(word(object, TP_DICT), node);
            } else if self.is_module(ty.address) {
                self.follow_attributes(word(object, MODULE_DICT), node);
            } else if ty.address == self.known.byte_array {
                let (at, bytes) = (word(object, BYTEARRAY_BYTES), word(object, BYTEARRAY_ALLOCATED));
                self.add_buffer(at, bytes, ty, node, CensusObject::BYTES);
            }
            if ty.flags & FLAG_HEAP_TYPE != 0 {
                self.follow_instance(object, node, ty);
            }
            let is_set = ty.address == self.known.set || ty.address == self.known.frozen_set;
            if is_set && word(object, SET_TABLE) != object + SET_SMALL_TABLE as u64 {
                let bytes = (word(object, SET_MASK) + 1).saturating_mul(16);
                self.add_buffer(word(object, SET_TABLE), bytes, ty, node, CensusObject::TABLE);
            }
            self.traverse(object, node, ty, is_set);
        }
    }

    /// # Safety
    ///
    /// `items` must hold so many references, or null.
    unsafe fn follow_items(&mut self, items: u64, count: u64, node: u32) {
        if items == 0 || count == 0 || count > i64::MAX as u64 {
            return;
        }
        let shared = self.paths.shared(node, b"[*]");
        for index in 0..count {
            // SAFETY: promised by the caller.
            self.add(unsafe { word(items, index as usize * 8) }, shared);
        }
    }

    /// # Safety
    ///
    /// `dict` must be a live dict.
    unsafe fn follow_dict(&mut self, dict: u64, node: u32, ty: &CensusType) {
        let keys = self.paths.shared(node, b".keys()");
        self.each_entry(dict, |visit, key, value| {
            // SAFETY: keys of a live dict are live.
            let name = unsafe { visit.ascii(key) };
            if visit.objects.is_new(value) {
                let below = visit.paths.value(node, name);
                visit.add(value, below);
            }
            visit.add(key, keys);
        });
        // SAFETY: promised by the caller.
        unsafe { self.add_dict_buffers(dict, node, ty) };
    }

    /// The dict of a module, a type or an instance: its values are attributes.
    ///
    /// # Safety
    ///
    /// `dict` must be null or a live dict.
    unsafe fn follow_attributes(&mut self, dict: u64, node: u32) {
        if dict == 0 {
            return;
        }
        self.add(dict, node);
        self.each_entry(dict, |visit, key, value| {
            // SAFETY: keys of a live dict are live.
            let name = unsafe { visit.ascii(key) }.unwrap_or(b"*");
            visit.add_attribute(value, node, name);
        });
    }

    fn add_attribute(&mut self, value: u64, node: u32, name: &[u8]) {
        if self.objects.is_new(value) {
            let below = self.paths.attribute(node, name);
            self.add(value, below);
        }
    }

    /// # Safety
    ///
    /// `dict` must be a live dict.
    unsafe fn add_dict_buffers(&mut self, dict: u64, node: u32, ty: &CensusType) {
        // SAFETY: promised by the caller.
        unsafe {
            let (at, values) = (word(dict, DICT_KEYS), word(dict, DICT_VALUES));
            let keys = Keys::read(at, self.version.minor);
            self.add_buffer(keys.at, keys.bytes, ty, node, CensusObject::KEYS);
            if values != 0 && self.version.minor < 11 {
                self.add_buffer(values, keys.count.saturating_mul(8), ty, node, CensusObject::VALUES);
            }
        }
    }

    /// Attributes and slots of an object whose class is written in Python.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn follow_instance(&mut self, object: u64, node: u32, ty: &CensusType) {
        // SAFETY: promised by the caller.
        unsafe {
            let [first, count] = ty.slots;
            for index in first..first + count {
                let slot = self.census.names()[index as usize];
                if slot.offset != 0 && slot.offset < ty.basic_size {
                    let value = word(object, slot.offset as usize);
                    if plausible(value) {
                        self.add_attribute(value, node, self.census.text(slot.at, slot.len as usize));
                    }
                }
            }
            match self.values_of(object, ty) {
                Values::Dict(dict) => self.follow_attributes(dict, node),
                Values::InLine { values, ordered } => self.follow_values(values, ordered, node, ty),
                Values::None => {}
            }
        }
    }

    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn values_of(&self, object: u64, ty: &CensusType) -> Values {
        // SAFETY: promised by the caller; where each version keeps dict and values, see
        // `Include/internal/pycore_object.h` and `pycore_dict.h`.
        unsafe {
            if self.version.minor >= 11 && ty.flags & FLAG_MANAGED_DICT != 0 {
                let dict = word(object - 24, 0);
                return match self.version.minor {
                    11 => match word(object - 32, 0) {
                        0 if dict == 0 => Values::None,
                        0 => Values::Dict(dict),
                        values => Values::InLine { values, ordered: true },
                    },
                    12 if dict & 1 == 1 => Values::InLine { values: dict + 1, ordered: true },
                    13 if dict == 0 && ty.flags & FLAG_INLINE_VALUES != 0 => {
                        let header = object + u64::from(ty.basic_size);
                        let valid = word(header, 0) >> 24 & 0xff != 0;
                        if valid { Values::InLine { values: header + 8, ordered: false } } else { Values::None }
                    }
                    _ => Values::Dict(dict),
                };
            }
            let offset = word(ty.address, TP_DICTOFFSET) as i64;
            if offset > 0 { Values::Dict(word(object, offset as usize)) } else { Values::None }
        }
    }

    /// # Safety
    ///
    /// `values` must be the inline values of an instance of the type.
    unsafe fn follow_values(&mut self, values: u64, ordered: bool, node: u32, ty: &CensusType) {
        let [first, count] = ty.attributes;
        for (index, name) in (first..first + count).enumerate() {
            let name = self.census.names()[name as usize];
            // SAFETY: there is room for a value of each shared key.
            let value = unsafe { word(values, index * 8) };
            if value != 0 {
                self.add_attribute(value, node, self.census.text(name.at, name.len as usize));
            }
        }
        if ordered {
            // The order of insertion stands in front, its size in the byte before the values.
            // SAFETY: as above.
            let before = unsafe { word(values - 8, 0) } >> 56;
            let bytes = before + u64::from(count) * 8;
            self.add_buffer(values - before, bytes, ty, node, CensusObject::VALUES);
        }
    }

    /// Asks the object itself for what it refers to.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    unsafe fn traverse(&mut self, object: u64, node: u32, ty: &CensusType, items: bool) {
        // SAFETY: as the collector does: only objects that it may track, with the GIL held.
        unsafe {
            let traverse = word(ty.address, TP_TRAVERSE);
            if ty.flags & FLAG_HAVE_GC == 0 || traverse == 0 {
                return;
            }
            let is_gc = word(ty.address, TP_IS_GC);
            if is_gc != 0 && core::mem::transmute::<u64, IsGc>(is_gc)(object as *mut c_void) == 0 {
                return;
            }
            (self.node, self.items) = (node, items);
            let visitor: *mut Self = self;
            core::mem::transmute::<u64, Traverse>(traverse)(object as *mut c_void, on_visit, visitor.cast());
        }
    }

    fn is_module(&self, ty: u64) -> bool {
        let mut ty = ty;
        while ty != 0 {
            if ty == self.known.module {
                return true;
            }
            // SAFETY: the base of a live type is null or live.
            ty = unsafe { word(ty, TP_BASE) };
        }
        false
    }

    /// Calls `each` with every key and value of a live dict.
    pub fn each_entry(&mut self, dict: u64, mut each: impl FnMut(&mut Self, u64, u64)) {
        let (mut position, mut key, mut value) = (0, core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: a live dict, which nobody changes; keys and values are borrowed.
        while unsafe {
            (self.next_entry)(dict as *mut c_void, &raw mut position, &raw mut key, &raw mut value)
        } != 0
        {
            each(self, key as u64, value as u64);
        }
    }
}

/// Where an instance keeps its attributes.
enum Values {
    None,
    Dict(u64),
    /// In line; whether an order of insertion stands in front.
    InLine { values: u64, ordered: bool },
}

/// Members of other kinds than references may stand among the slots of native bases.
fn plausible(value: u64) -> bool {
    value & 7 == 0 && value > 1 << 16 && value < 1 << 47 && sys::readable(value + OB_TYPE as u64)
}

unsafe extern "C" fn on_visit(object: *mut c_void, visit: *mut c_void) -> c_int {
    // SAFETY: `traverse` passes itself, and waits for the traversal.
    let visit = unsafe { &mut *visit.cast::<Visit>() };
    if !visit.objects.is_new(object as u64) {
        return 0;
    }
    // SAFETY: a live object refers to live objects.
    let Some(ty) = (unsafe { visit.types.index(word(object as u64, OB_TYPE)) }) else { return 0 };
    let node = if visit.items {
        visit.paths.shared(visit.node, b"[*]")
    } else {
        let name = visit.census.types()[ty as usize].name;
        visit.paths.native(visit.node, visit.census.text(name.at, name.len as usize))
    };
    visit.add(object as u64, node);
    0
}
