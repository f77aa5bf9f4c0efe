//! What an object refers to.

use super::api::{IsGc, Object, Traverse};
use super::dicts::{Entries, Keys};
use super::layout::{
    DICT_VALUES, FLAG_HEAP_TYPE, LIST_ITEMS, OB_SIZE, OB_TYPE, TP_BASE, TP_BASES, TP_DICT, TP_FLAGS,
    TP_MEMBERS, TP_MRO, TUPLE_ITEMS, qualified_name, word,
};
use super::plans::{Kind, Plan};
use super::walk::Walk;
use core::ffi::{CStr, c_char, c_int, c_void};

/// Items of a list, tuple or dict that are taken before what they lead to is followed.
const ITEMS_AT_ONCE: u64 = 128;
/// Bytes of `PyMemberDef`, and the kinds of members that are references (`structmember.h`).
const MEMBER_BYTES: u64 = 40;
const T_OBJECT: u32 = 6;
const T_OBJECT_EX: u32 = 16;

impl Walk {
    /// Takes what an object refers to, from a position on.
    ///
    /// # Safety
    ///
    /// `object` must be live, and changed by nobody.
    pub unsafe fn follow(&mut self, object: u64, from: u64) {
        // SAFETY: promised by the caller; layouts are those of the version.
        unsafe {
            let Some(plan) = self.plan(word(object, OB_TYPE)) else { return };
            match plan.kind {
                Kind::Tuple => self.follow_items(object, object + TUPLE_ITEMS as u64, from),
                Kind::List => self.follow_items(object, word(object, LIST_ITEMS), from),
                Kind::Dict => self.follow_dict(object, from),
                Kind::Type => self.follow_type(object, plan),
                Kind::Code => self.follow_code(object),
                Kind::Members => self.follow_members(object, |_, _| ()),
                Kind::Traverse => self.traverse(object, plan),
                Kind::Leaf | Kind::Running | Kind::Resource | Kind::Excluded => {}
            }
        }
    }

    /// # Safety
    ///
    /// `items` must hold as many references as the object's size says, or be null.
    unsafe fn follow_items(&mut self, object: u64, items: u64, from: u64) {
        // SAFETY: promised by the caller.
        unsafe {
            let count = word(object, OB_SIZE);
            if items == 0 {
                return;
            }
            let end = count.min(from + ITEMS_AT_ONCE);
            if end < count {
                self.push(object, end);
            }
            for index in from..end {
                self.visit(word(items, index as usize * 8));
            }
        }
    }

    /// # Safety
    ///
    /// `dict` must be a live dict.
    unsafe fn follow_dict(&mut self, dict: u64, from: u64) {
        // SAFETY: promised by the caller; keys and values of a live dict are live.
        unsafe {
            let entries = Entries::of(dict, self.rules.minor);
            if from == 0 {
                let values = if word(dict, DICT_VALUES) == 0 { 0 } else { entries.keys.room * 8 };
                self.counts.bytes += if values == 0 { entries.keys.bytes } else { values };
            }
            let end = entries.keys.count.min(from + ITEMS_AT_ONCE);
            if end < entries.keys.count {
                self.push(dict, end);
            }
            for (key, value) in entries.between(from, end) {
                self.visit(key);
                self.visit(value);
            }
        }
    }

    /// # Safety
    ///
    /// `ty` must be a live type, `plan` that of its metatype.
    unsafe fn follow_type(&mut self, ty: u64, plan: &Plan) {
        // SAFETY: promised by the caller; offsets of PyTypeObject and PyHeapTypeObject.
        unsafe {
            if word(ty, TP_FLAGS) & FLAG_HEAP_TYPE == 0 {
                // Its tp_traverse is for types on the heap alone.
                let dict = self.rules.api.type_dict(ty, word(ty, TP_DICT));
                for object in [dict, word(ty, TP_BASE), word(ty, TP_BASES), word(ty, TP_MRO)] {
                    self.visit(object);
                }
                return;
            }
            self.traverse(ty, plan);
            if let Some(qualified) = qualified_name(self.rules.minor) {
                for offset in [qualified - 16, qualified - 8, qualified] {
                    self.visit(word(ty, offset));
                }
                let keys = word(ty, qualified + 8);
                if keys != 0 {
                    let keys = Keys::read(keys, self.rules.minor);
                    self.counts.bytes += keys.bytes;
                    for index in 0..keys.count {
                        self.visit(keys.key(index));
                    }
                }
            }
        }
    }

    /// Code has no `tp_traverse`: its constants and names are members, but for the names of its locals,
    /// which stand in front of the name of its file (3.11 and later).
    ///
    /// # Safety
    ///
    /// `code` must be a live code object.
    unsafe fn follow_code(&mut self, code: u64) {
        let minor = self.rules.minor;
        // SAFETY: promised by the caller.
        unsafe {
            self.follow_members(code, |walk, (name, offset)| {
                if minor >= 11 && name == c"co_filename" {
                    walk.visit(word(code, offset - 16));
                    walk.visit(word(code, offset - 8));
                }
            });
        }
    }

    /// # Safety
    ///
    /// `object` must be live, and the members of its type must describe it.
    unsafe fn follow_members(&mut self, object: u64, each: impl Fn(&mut Self, (&CStr, usize))) {
        // SAFETY: promised by the caller; the last member has no name.
        unsafe {
            let mut member = word(word(object, OB_TYPE), TP_MEMBERS);
            while member != 0 && word(member, 0) != 0 {
                if matches!(word(member, 8) as u32, T_OBJECT | T_OBJECT_EX) {
                    let (name, offset) = (word(member, 0), word(member, 16) as usize);
                    self.visit(word(object, offset));
                    each(self, (CStr::from_ptr(name as *const c_char), offset));
                }
                member += MEMBER_BYTES;
            }
        }
    }

    /// Asks the object itself, as the collector does: only what that may track.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the plan's type.
    unsafe fn traverse(&mut self, object: u64, plan: &Plan) {
        // SAFETY: promised by the caller; slots of a live type.
        unsafe {
            if plan.traverse == 0
                || plan.is_gc != 0 && core::mem::transmute::<u64, IsGc>(plan.is_gc)(object as Object) == 0
            {
                return;
            }
            let walk: *mut Self = self;
            core::mem::transmute::<u64, Traverse>(plan.traverse)(object as Object, on_visit, walk.cast());
        }
    }
}

unsafe extern "C" fn on_visit(object: Object, walk: *mut c_void) -> c_int {
    // SAFETY: `traverse` passes itself and waits; a live object refers to live objects.
    unsafe { (*walk.cast::<Walk>()).visit(object as u64) };
    0
}
