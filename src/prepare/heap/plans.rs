//! How the walk treats the objects of a type, found out once for each type.

use super::api::Api;
use super::finish;
use super::layout::{
    FLAG_HAVE_GC, FLAG_INT, FLAG_MANAGED_DICT, FLAG_STR, FLAG_TYPE, OB_SIZE, OB_TYPE, STR_LENGTH, STR_STATE,
    TP_BASE, TP_BASICSIZE, TP_DEL, TP_FINALIZE, TP_FLAGS, TP_IS_GC, TP_ITEMSIZE, TP_TRAVERSE,
    TP_WEAKLISTOFFSET, prefix, text_at, word,
};
use super::memory::Memory;
use super::resources;

/// What the objects of a type are to the walk.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Refers to nothing that is known.
    Leaf,
    Tuple,
    List,
    Dict,
    Type,
    Code,
    /// Without a `tp_traverse`, but its members are references.
    Members,
    /// Its `tp_traverse` tells what it refers to.
    Traverse,
    /// A frame, a generator, a coroutine: left alone.
    Running,
    /// A file, a socket, a lock, a thread: left alone.
    Resource,
    /// Of a type that the caller excludes: left alone.
    Excluded,
}

/// How many bytes an object has.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Size {
    Fixed,
    Items,
    Digits,
    Text,
    List,
}

/// The objects of the type have a finalizer.
const FINALIZER: u8 = 1;
/// Capsules: those with a destructor have one.
const CAPSULE: u8 = 2;
/// Weak references: those with a callback make it run, or not, by when they go themselves.
const WEAK_REFERENCE: u8 = 4;
/// Modules: one of them stands guard.
const MODULE: u8 = 8;

/// `ob_shash`, `hash` of a string; of a frozenset (`PySetObject`).
const TEXT_HASH: u8 = 24;
const SET_HASH: u8 = 48;
const CAPSULE_DESTRUCTOR: usize = 40;

/// `PyWeakReference`.
const WEAK_CALLBACK: usize = 24;
const WEAK_NEXT: usize = 48;

/// How to treat the objects of one type.
#[derive(Clone, Copy)]
pub struct Plan {
    ty: u64,
    pub traverse: u64,
    pub is_gc: u64,
    /// `tp_weaklistoffset`, where weak references count.
    weak_list: i32,
    basic: u32,
    item: u32,
    prefix: u8,
    pub kind: Kind,
    /// Attributes stand elsewhere, where a word in front of the object says (3.11, 3.12).
    pub has_values: bool,
    size: Size,
    marks: u8,
    /// Where the hash of the object is kept, once it is known.
    pub hash: Option<core::num::NonZeroU8>,
}

impl Plan {
    /// Whether an object of the type is followed.
    pub const fn is_followed(&self) -> bool {
        !matches!(self.kind, Kind::Leaf | Kind::Running | Kind::Resource | Kind::Excluded)
    }

    /// Whether its objects are not left alone.
    pub const fn is_entered(&self) -> bool {
        !matches!(self.kind, Kind::Running | Kind::Resource | Kind::Excluded)
    }

    /// Whether something runs when the object goes.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    pub unsafe fn has_finalizer(&self, object: u64) -> bool {
        // SAFETY: promised by the caller; a capsule ends with its destructor.
        self.marks & FINALIZER != 0
            || self.marks & CAPSULE != 0 && unsafe { word(object, CAPSULE_DESTRUCTOR) } != 0
    }

    /// Whether an object is the guard of this preparation.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    pub unsafe fn is_guard(&self, object: u64) -> bool {
        // SAFETY: promised by the caller.
        self.marks & MODULE != 0 && unsafe { finish::is_guard(object) }
    }

    /// Whether an object is a weak reference with a callback, or has one.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    #[inline]
    pub unsafe fn has_callback(&self, object: u64) -> bool {
        // SAFETY: promised by the caller; what is in the list is live.
        unsafe {
            if self.marks & WEAK_REFERENCE != 0 && word(object, WEAK_CALLBACK) != 0 {
                return true;
            }
            if self.weak_list == 0 {
                return false;
            }
            let mut reference = word(object.wrapping_add_signed(i64::from(self.weak_list)), 0);
            while reference != 0 {
                if word(reference, WEAK_CALLBACK) != 0 {
                    return true;
                }
                reference = word(reference, WEAK_NEXT);
            }
        }
        false
    }

    /// Bytes of an object with what stands in front of it, and of the items of a list. Of a dict, what
    /// it owns is counted when it is followed; buffers of other types are not.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type.
    pub unsafe fn bytes(&self, object: u64, minor: u32) -> u64 {
        let basic = u64::from(self.basic) + u64::from(self.prefix);
        // SAFETY: promised by the caller; layouts are those of the version.
        let items = unsafe {
            match self.size {
                Size::Fixed => return basic,
                Size::Text => return u64::from(self.prefix) + text_bytes(object, self.basic, minor),
                Size::List => word(object, super::layout::LIST_ALLOCATED),
                Size::Digits if minor >= 12 => (word(object, OB_SIZE) >> 3).max(1),
                Size::Items | Size::Digits => (word(object, OB_SIZE) as i64).unsigned_abs(),
            }
        };
        basic.saturating_add(items.saturating_mul(u64::from(self.item)))
    }
}

/// # Safety
///
/// `object` must be a live string.
unsafe fn text_bytes(object: u64, basic: u32, minor: u32) -> u64 {
    // SAFETY: promised by the caller.
    let (state, length) = unsafe { (word(object, STR_STATE), word(object, STR_LENGTH)) };
    let (character, compact, ascii) = (state >> 2 & 7, state >> 5 & 1, state >> 6 & 1);
    if compact == 0 {
        return u64::from(basic);
    }
    let [after_ascii, after_other] = text_at(minor);
    let at = if ascii == 1 { after_ascii } else { after_other };
    at as u64 + length.saturating_add(1).saturating_mul(character.max(1))
}

/// What decides about a type, besides the type.
pub struct Rules {
    pub api: Api,
    pub minor: u32,
    /// What the caller excludes: objects one after the other, and how many. Types stand for their objects.
    pub excluded: (u64, u64),
    /// `threading.Thread`; 0 where nobody imported it.
    pub thread: u64,
}

impl Rules {
    /// # Safety
    ///
    /// `ty` must be a live type.
    unsafe fn plan(&self, ty: u64) -> Plan {
        // SAFETY: promised by the caller; offsets of PyTypeObject, the same in every version.
        unsafe {
            let flags = word(ty, TP_FLAGS);
            let kind = self.kind(ty, flags);
            let api = &self.api;
            let marks = [
                (FINALIZER, word(ty, TP_FINALIZE) != 0 || word(ty, TP_DEL) != 0),
                (CAPSULE, ty == api.capsule_type),
                (WEAK_REFERENCE, derives(ty, api.weakref_type)),
                (MODULE, ty == api.module_type),
            ];
            let weak_list = if kind == Kind::Type { 0 } else { word(ty, TP_WEAKLISTOFFSET) as i32 };
            let list = kind == Kind::List;
            let size = match () {
                () if list => Size::List,
                () if flags & FLAG_STR != 0 => Size::Text,
                () if word(ty, TP_ITEMSIZE) == 0 || kind == Kind::Type => Size::Fixed,
                () if flags & FLAG_INT != 0 => Size::Digits,
                () => Size::Items,
            };
            let hash = match ty {
                _ if ty == self.api.str_type || ty == self.api.bytes_type => TEXT_HASH,
                _ if ty == self.api.frozenset_type => SET_HASH,
                _ => 0,
            };
            Plan {
                ty,
                traverse: word(ty, TP_TRAVERSE),
                is_gc: word(ty, TP_IS_GC),
                weak_list,
                basic: u32::try_from(word(ty, TP_BASICSIZE)).unwrap_or(0),
                item: if list { 8 } else { u32::try_from(word(ty, TP_ITEMSIZE)).unwrap_or(0) },
                prefix: prefix(self.minor, flags) as u8,
                kind,
                has_values: matches!(self.minor, 11 | 12) && flags & FLAG_MANAGED_DICT != 0,
                size,
                marks: marks.iter().filter(|mark| mark.1).map(|mark| mark.0).sum(),
                hash: core::num::NonZeroU8::new(hash),
            }
        }
    }

    /// # Safety
    ///
    /// `ty` must be a live type.
    unsafe fn kind(&self, ty: u64, flags: u64) -> Kind {
        let api = &self.api;
        // SAFETY: promised by the caller.
        unsafe {
            match ty {
                _ if self.excludes(ty) => Kind::Excluded,
                _ if ty == api.tuple_type => Kind::Tuple,
                _ if ty == api.list_type => Kind::List,
                _ if ty == api.dict_type => Kind::Dict,
                _ if ty == api.str_type => Kind::Leaf,
                _ if flags & FLAG_TYPE != 0 => Kind::Type,
                _ if ty == api.code_type => Kind::Code,
                _ if ty == api.range_type => Kind::Members,
                _ if api.running.contains(&ty) || resources::is_running(ty) => Kind::Running,
                _ if resources::is_resource(ty) || self.is_thread(ty) => Kind::Resource,
                _ if flags & FLAG_HAVE_GC != 0 && word(ty, TP_TRAVERSE) != 0 => Kind::Traverse,
                _ => Kind::Leaf,
            }
        }
    }

    fn is_thread(&self, ty: u64) -> bool {
        self.thread != 0 && self.api.is_subtype(ty, self.thread)
    }

    /// # Safety
    ///
    /// `ty` must be a live type.
    unsafe fn excludes(&self, ty: u64) -> bool {
        let (items, count) = self.excluded;
        (0..count).any(|index| {
            // SAFETY: items of the caller's tuple; `is_subtype` is asked of types only.
            unsafe {
                let excluded = word(items, index as usize * 8);
                is_type(excluded) && self.api.is_subtype(ty, excluded)
            }
        })
    }
}

/// Whether a type derives from another one by its bases of C.
///
/// # Safety
///
/// `ty` must be a live type.
unsafe fn derives(ty: u64, from: u64) -> bool {
    let mut ty = ty;
    while ty != 0 && ty != from {
        // SAFETY: promised by the caller; the base of a live type is null or live.
        ty = unsafe { word(ty, TP_BASE) };
    }
    ty != 0
}

/// Whether an object is a type.
///
/// # Safety
///
/// It must be live.
pub unsafe fn is_type(object: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { word(word(object, OB_TYPE), TP_FLAGS) & FLAG_TYPE != 0 }
}

const FIRST_ROOM: usize = 1 << 9;

/// The plans made so far, by the address of the type.
pub struct Plans {
    at: *mut Plan,
    room: usize,
    used: usize,
}

impl Plans {
    pub fn new(memory: &mut Memory) -> Option<Self> {
        Some(Self { at: memory.piece(FIRST_ROOM * size_of::<Plan>())?.cast(), room: FIRST_ROOM, used: 0 })
    }

    /// The plan of a type, if it was made.
    #[inline]
    pub fn find(&self, ty: u64) -> Option<&'static Plan> {
        // SAFETY: entries stay where they are for as long as the memory, which outlives the walk.
        let plan = unsafe { &*self.place(ty) };
        (plan.ty == ty).then_some(plan)
    }

    /// Makes the plan of a type.
    ///
    /// # Safety
    ///
    /// `ty` must be a live type without a plan.
    pub unsafe fn make(&mut self, ty: u64, rules: &Rules, memory: &mut Memory) -> Option<&'static Plan> {
        if self.used * 2 >= self.room {
            self.grow(memory)?;
        }
        self.used += 1;
        // SAFETY: a free entry; the type is live.
        unsafe {
            let place = self.place(ty);
            place.write(rules.plan(ty));
            Some(&*place)
        }
    }

    /// The entry of a type, or the free one where it belongs.
    #[inline]
    fn place(&self, ty: u64) -> *mut Plan {
        let mut at = ((ty >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        loop {
            // SAFETY: within the table, of which a part is always free: zero, and no plan has that type.
            unsafe {
                let place = self.at.add(at & (self.room - 1));
                let theirs = (&raw const (*place).ty).read();
                if theirs == ty || theirs == 0 {
                    return place;
                }
            }
            at += 1;
        }
    }

    /// Plans handed out stay where they are: the smaller table is kept too.
    fn grow(&mut self, memory: &mut Memory) -> Option<()> {
        let larger = memory.piece(2 * self.room * size_of::<Plan>())?.cast();
        let (smaller, room) = (core::mem::replace(&mut self.at, larger), self.room);
        self.room = 2 * room;
        for index in 0..room {
            // SAFETY: within the table as it was; what is in use was written.
            unsafe {
                let plan = smaller.add(index);
                let ty = (&raw const (*plan).ty).read();
                if ty != 0 {
                    self.place(ty).copy_from_nonoverlapping(plan, 1);
                }
            }
        }
        Some(())
    }
}
