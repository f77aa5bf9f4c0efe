//! What objects refer to, and the buffers that they own.

use super::layout::{
    BYTEARRAY_ALLOCATED, BYTEARRAY_BYTES, FLAG_HEAP_TYPE, LIST_ALLOCATED, LIST_ITEMS, MODULE_DICT, OB_SIZE,
    OB_TYPE, SET_MASK, SET_SMALL_TABLE, SET_TABLE, TP_DICT, TP_FLAGS, TUPLE_ITEMS, word,
};
use super::memory::prefetch;
use super::plans::{Look, Plan};
use super::visit::{Visit, WALKED, object_of};
use crate::heap::dicts::{Entries, Keys};
use crate::wire::CensusObject;

/// Items ahead that are asked for.
const AHEAD: u64 = 16;

impl Visit {
    /// # Safety
    ///
    /// The entry must be that of a live object, of the type of the plan.
    pub unsafe fn follow(&mut self, entry: &CensusObject, plan: &Plan) {
        let (object, node, ty) = (object_of(entry, plan), entry.node(), entry.ty());
        // SAFETY: promised by the caller; layouts are those of the version.
        unsafe {
            match plan.look {
                Look::Nothing => {}
                Look::Tuple => self.follow_items(object + TUPLE_ITEMS as u64, word(object, OB_SIZE), node),
                Look::List => {
                    let items = word(object, LIST_ITEMS);
                    self.follow_items(items, word(object, OB_SIZE), node);
                    let bytes = word(object, LIST_ALLOCATED).saturating_mul(8);
                    self.add_buffer(items, bytes, ty, node, CensusObject::ITEMS);
                }
                Look::Dict if entry.kind() == WALKED => {}
                Look::Dict => self.follow_dict(object, node, ty),
                Look::Type => {
                    self.follow_attributes(word(object, TP_DICT), node);
                    self.follow_shared_keys(object, node, ty);
                }
                Look::Module => self.follow_attributes(word(object, MODULE_DICT), node),
                Look::Set if word(object, SET_TABLE) != object + SET_SMALL_TABLE as u64 => {
                    let bytes = (word(object, SET_MASK).saturating_add(1)).saturating_mul(16);
                    self.add_buffer(word(object, SET_TABLE), bytes, ty, node, CensusObject::TABLE);
                }
                Look::Set => {}
                Look::ByteArray => {
                    let bytes = word(object, BYTEARRAY_ALLOCATED);
                    self.add_buffer(word(object, BYTEARRAY_BYTES), bytes, ty, node, CensusObject::BYTES);
                }
                Look::Array => self.follow_array(object, node, ty),
                Look::NdArray => self.follow_ndarray(object, node, ty),
                Look::Deque => self.follow_deque(object, node, ty),
            }
            if plan.flags & FLAG_HEAP_TYPE != 0 {
                self.follow_instance(object, node, ty, plan);
            }
            if plan.traverse != 0 {
                self.traverse(object, node, plan);
            }
        }
    }

    /// # Safety
    ///
    /// `items` must hold so many references, or null.
    pub unsafe fn follow_items(&mut self, items: u64, count: u64, node: u32) {
        if items == 0 || count == 0 || count > i64::MAX as u64 {
            return;
        }
        let shared = self.paths.shared(node, b"[*]");
        for index in 0..count {
            // SAFETY: promised by the caller.
            unsafe {
                if index + AHEAD < count {
                    prefetch(word(items, (index + AHEAD) as usize * 8));
                }
                self.add(word(items, index as usize * 8), shared);
            }
        }
    }

    /// # Safety
    ///
    /// `dict` must be a live dict.
    unsafe fn follow_dict(&mut self, dict: u64, node: u32, ty: u32) {
        // SAFETY: promised by the caller; keys and values of a live dict are live.
        unsafe {
            let entries = self.entries(dict);
            self.add_dict_buffers(&entries, node, ty);
            for (key, value) in entries {
                if self.seen.is_new(value) {
                    let below = match self.text(key) {
                        Some(name) => self.paths.value(node, &name),
                        None => self.paths.shared(node, b"[*]"),
                    };
                    self.add(value, below);
                }
                self.add_key(key, node);
            }
        }
    }

    /// The dict of a module, a type or an instance: its values are attributes.
    ///
    /// # Safety
    ///
    /// `dict` must be null or a live dict.
    pub unsafe fn follow_attributes(&mut self, dict: u64, node: u32) {
        // SAFETY: promised by the caller; keys and values of a live dict are live.
        unsafe {
            if dict == 0 {
                return;
            }
            self.add_as(dict, node, WALKED);
            let entries = self.entries(dict);
            if let Some(ty) = self.types.index(word(dict, OB_TYPE)) {
                self.add_dict_buffers(&entries, node, ty);
            }
            for (key, value) in entries {
                if self.seen.is_new(value) {
                    let below = match self.text(key) {
                        Some(name) => self.paths.attribute(node, &name),
                        None => self.paths.shared(node, b".*"),
                    };
                    self.add(value, below);
                }
                self.add_key(key, node);
            }
        }
    }

    /// The keys that dicts of a class's instances share.
    ///
    /// # Safety
    ///
    /// `object` must be a live type.
    unsafe fn follow_shared_keys(&mut self, object: u64, node: u32, ty: u32) {
        // SAFETY: a heap type has such keys, or null.
        unsafe {
            let keys = match word(object, TP_FLAGS) & FLAG_HEAP_TYPE {
                0 => 0,
                _ => word(object, self.version.qualified_name + 8),
            };
            if keys != 0 {
                let keys = Keys::read(keys, self.version.minor);
                self.add_buffer(keys.at, keys.bytes, ty, node, CensusObject::KEYS);
                (0..keys.count).for_each(|index| self.add_key(keys.key(index), node));
            }
        }
    }

    fn add_key(&mut self, key: u64, node: u32) {
        if self.seen.is_new(key) {
            let keys = self.paths.shared(node, b".keys()");
            self.add(key, keys);
        }
    }

    /// # Safety
    ///
    /// The entries must be those of a live dict.
    unsafe fn add_dict_buffers(&mut self, entries: &Entries, node: u32, ty: u32) {
        let keys = entries.keys;
        self.add_buffer(keys.at, keys.bytes, ty, node, CensusObject::KEYS);
        if entries.values != 0 {
            // SAFETY: promised by the caller.
            let (start, bytes) = unsafe { self.extent_of_values(entries.values, &keys) };
            self.add_buffer(start, bytes, ty, node, CensusObject::VALUES);
        }
    }
}
