//! Which field of an object stands at an offset, and what a write to it means.
//!
//! The structs of builtin types come from the version tables ([`super::offsets`]); members of other
//! types have the names that their type gives them ([`TypeInfo::slots`], [`TypeInfo::attributes`]).

use super::memory::Memory;
use super::offsets::Offsets;
use super::offsets::structs::Struct;
use super::strings::{Text, text_of};
use super::types::{Builtin, TypeInfo};
use std::borrow::Cow;

/// Bytes of a pointer.
const WORD: u64 = 8;

/// The order of 30 values (`SHARED_KEYS_MAX_SIZE`) and two bytes more take so many words.
const MAX_WORDS_BEFORE_VALUES: u64 = 4;

/// What a write to a field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldClass {
    /// A reference count: of an object, or of shared dict keys.
    Refcount,
    /// The collector's header in front of the object.
    GcHeader,
    /// A cache filled at first use.
    Cache,
    /// Inline caches and counters of the adaptive interpreter.
    Specialize,
    /// Anything else: a real store.
    Body,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// `ob_refcnt`, `_gc_prev`, `hash`, `.price`, `items`.
    pub name: Cow<'static, str>,
    /// What a write to it means.
    pub class: FieldClass,
}

impl Field {
    fn new(name: impl Into<Cow<'static, str>>, class: FieldClass) -> Self {
        Self { name: name.into(), class }
    }

    fn body(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, FieldClass::Body)
    }
}

/// The field at an offset from the start of an object of the type `info`, and the bytes from the start
/// of the field to the offset.
///
/// Negative offsets are the headers in front of the object. A field without a known name is called by
/// its offset: `+24`. Which form a string has is not known here: what may be its cached UTF-8 is taken
/// for that, as text is not written again; [`field_of`] looks.
pub fn field_at(offsets: &Offsets, info: &TypeInfo, offset: i64) -> (Field, u64) {
    locate(offsets, info, Text::Compact, offset)
}

/// Like [`field_at`], of the object at an address: text and caches of strings are told apart.
pub fn field_of(
    memory: &dyn Memory,
    offsets: &Offsets,
    info: &TypeInfo,
    object: u64,
    offset: i64,
) -> (Field, u64) {
    let text = if info.builtin == Some(Builtin::Str) { text_of(memory, offsets, object) } else { None };
    locate(offsets, info, text.unwrap_or(Text::Compact), offset)
}

/// The field at an offset in the keys of a dict (`PyDictKeysObject`).
///
/// `dk_version` is a cache: the interpreter gives keys a version when it specializes. So is `dk_lookup`
/// (up to 3.10), which the first lookup of a key that is no string changes.
pub fn dict_keys_field(offsets: &Offsets, offset: u64) -> (Field, u64) {
    let Some(member) = offsets.structs.keys.member_at(offset) else {
        return (Field::body("keys"), offset.saturating_sub(offsets.dicts.table));
    };
    let class = match member.name {
        "dk_refcnt" => FieldClass::Refcount,
        "dk_version" | "dk_lookup" => FieldClass::Cache,
        _ => FieldClass::Body,
    };
    (Field::new(member.name, class), offset - u64::from(member.offset))
}

/// The field at an offset in a block that holds the attribute values of an instance apart from it
/// (`ma_values`; 3.11 and 3.12 `PyDictValues`), whose first value is `before` bytes behind its start.
pub fn values_field(info: &TypeInfo, before: u64, offset: u64) -> (Field, u64) {
    let Some(into_values) = offset.checked_sub(before) else { return (Field::body("values"), offset) };
    (attribute(info, into_values).unwrap_or(Field::body("values")), into_values % WORD)
}

/// Bytes in front of the first value in such a block that begins at an address.
///
/// In 3.11 and 3.12 there stand, downwards from the values: how many bytes these are, how many values
/// were set, and the order in which they were (`Objects/dictobject.c`, `new_values`). `None` where
/// that is not found, or not only once.
pub fn before_values(memory: &dyn Memory, offsets: &Offsets, start: u64) -> Option<u64> {
    match offsets.version {
        (3, ..=10) => return Some(0),
        (3, 11 | 12) => {}
        _ => return Some(WORD),
    }
    let fits = |before: &u64| {
        let mut bytes = memory.bytes(start, usize::try_from(*before).ok()?)?;
        let (size, count) = (bytes.pop()?, bytes.pop()?);
        let room = bytes.len();
        let order = bytes.iter().rev().take(count.into());
        let fits = u64::from(size) == *before
            && usize::from(count) <= room
            && order.clone().all(|index| usize::from(*index) < room);
        Some(fits)
    };
    let mut found = (1..=MAX_WORDS_BEFORE_VALUES).map(|words| words * WORD).filter(|b| fits(b) == Some(true));
    found.next().filter(|_| found.next().is_none())
}

/// The field at an offset in the items of a list, or of another array of pointers.
pub fn items_field(offset: u64) -> (Field, u64) {
    (Field::body(format!("[{}]", offset / WORD)), offset % WORD)
}

fn locate(offsets: &Offsets, info: &TypeInfo, text: Text, offset: i64) -> (Field, u64) {
    let Ok(offset) = u64::try_from(offset) else { return header_field(offsets, info, offset) };
    match offset {
        0..8 => (Field::new("ob_refcnt", FieldClass::Refcount), offset),
        8..16 => (Field::body("ob_type"), offset - 8),
        _ => builtin_field(offsets, info.builtin, text, offset)
            .or_else(|| slot_field(info, offset))
            .or_else(|| inline_field(offsets, info, offset))
            .or_else(|| tail_field(offsets, info.builtin, text, offset))
            .unwrap_or_else(|| unnamed(offset)),
    }
}

fn unnamed(offset: u64) -> (Field, u64) {
    (Field::body(format!("+{}", offset - offset % WORD)), offset % WORD)
}

/// The words in front of an object, as far as its type has them. Those in front of the collector's
/// header are the dict and the weak references.
fn header_field(offsets: &Offsets, info: &TypeInfo, offset: i64) -> (Field, u64) {
    let into_word = offset.rem_euclid(8);
    let (gc, preheader) = (info.flags.gc(), info.flags.preheader(offsets));
    let field = match offset - into_word {
        -8 if gc => Field::new("_gc_prev", FieldClass::GcHeader),
        -16 if gc => Field::new("_gc_next", FieldClass::GcHeader),
        -24 if preheader => Field::body("__dict__"),
        // In 3.11, the values for which no dict was made yet.
        -32 if preheader && offsets.version == (3, 11) => Field::body("values"),
        -32 if preheader => Field::body("__weakref__"),
        start => Field::body(start.to_string()),
    };
    (field, into_word.unsigned_abs())
}

/// The structs that an instance of a builtin type, or of one derived from it, begins with.
fn builtin_field(
    offsets: &Offsets,
    builtin: Option<Builtin>,
    text: Text,
    offset: u64,
) -> Option<(Field, u64)> {
    let builtin = builtin?;
    let all = &offsets.structs;
    let parts: &[&Struct] = match builtin {
        Builtin::Type => &[&all.type_object, &all.heap_type],
        Builtin::Code => &[&all.code],
        Builtin::Function => &[&all.function],
        Builtin::Dict => &[&all.dict],
        Builtin::List => &[&all.list],
        Builtin::Set => &[&all.set],
        Builtin::Str => match text {
            Text::Ascii => &[&all.ascii],
            Text::Compact => &[&all.ascii, &all.compact],
            Text::Apart => &[&all.ascii, &all.compact, &all.unicode],
        },
        Builtin::Bytes => &[&all.bytes],
        Builtin::Int => &[&all.long],
        Builtin::Float => &[&all.float],
        Builtin::Cell => &[&all.cell],
        Builtin::Weakref => &[&all.weakref],
        Builtin::Tuple => return tuple_field(offsets, offset),
    };
    let member = parts.iter().find_map(|part| part.member_at(offset))?;
    let class = class_of(builtin, member.name);
    Some((Field::new(member.name, class), offset - u64::from(member.offset)))
}

/// The size of a tuple, its hash (3.14+), or an item: `[3]`.
fn tuple_field(offsets: &Offsets, offset: u64) -> Option<(Field, u64)> {
    let tuple = &offsets.structs.tuple;
    let items = tuple.offset("ob_item")?;
    if let Some(into_items) = offset.checked_sub(items) {
        return Some(items_field(into_items));
    }
    let member = tuple.member_at(offset)?;
    Some((Field::new(member.name, class_of(Builtin::Tuple, member.name)), offset - u64::from(member.offset)))
}

/// What a write to a field of a builtin struct means.
///
/// `ma_version_tag` of a dict is a body field: it changes only with the contents of the dict, so a
/// write to it is part of a real store. `tp_flags` is a cache: in an existing type, only the bit that
/// says whether `tp_version_tag` is valid changes.
fn class_of(builtin: Builtin, name: &str) -> FieldClass {
    match (builtin, name) {
        (Builtin::Str, "hash" | "utf8" | "utf8_length" | "wstr" | "wstr_length")
        | (Builtin::Bytes, "ob_shash")
        | (Builtin::Set | Builtin::Weakref, "hash")
        | (Builtin::Tuple, "ob_hash")
        | (Builtin::Function, "func_version")
        | (
            Builtin::Type,
            "tp_flags" | "tp_version_tag" | "tp_versions_used" | "tp_cache" | "_spec_cache"
            | "ht_cached_keys",
        )
        | (
            Builtin::Code,
            "co_version"
            | "co_zombieframe"
            | "_co_code"
            | "_co_cached"
            | "_co_linearray"
            | "_co_linearray_entry_size"
            | "_co_instrumentation_version",
        ) => FieldClass::Cache,
        (
            Builtin::Code,
            "co_code_adaptive" | "co_warmup" | "co_executors" | "co_opcache" | "co_opcache_map"
            | "co_opcache_flag" | "co_opcache_size",
        ) => FieldClass::Specialize,
        _ => FieldClass::Body,
    }
}

/// An entry of `__slots__`, a member of a C type, or the pointer to a dict or weak references.
fn slot_field(info: &TypeInfo, offset: u64) -> Option<(Field, u64)> {
    let slot = info.slots.iter().find(|slot| (slot.offset..slot.offset + slot.size).contains(&offset))?;
    let dunder = slot.name.starts_with("__") && slot.name.ends_with("__");
    let name = if dunder { slot.name.clone() } else { format!(".{}", slot.name) };
    Some((Field::body(name), offset - slot.offset))
}

/// An attribute whose value follows the instance: four bytes of counts, padded to a word, and the values.
fn inline_field(offsets: &Offsets, info: &TypeInfo, offset: u64) -> Option<(Field, u64)> {
    let behind = offset.checked_sub(info.basicsize).filter(|_| info.flags.inline_values(offsets))?;
    let Some(into_values) = behind.checked_sub(WORD) else { return Some((Field::body("values"), behind)) };
    Some((attribute(info, into_values).unwrap_or(Field::body("values")), into_values % WORD))
}

/// The attribute whose value is so many bytes behind the first value.
fn attribute(info: &TypeInfo, into_values: u64) -> Option<Field> {
    let names = &info.attributes.as_ref()?.names;
    let name = names.get(usize::try_from(into_values / WORD).ok()?)?;
    Some(Field::body(format!(".{name}")))
}

/// What follows the struct of a builtin type whose instances have many sizes.
fn tail_field(offsets: &Offsets, builtin: Option<Builtin>, text: Text, offset: u64) -> Option<(Field, u64)> {
    let all = &offsets.structs;
    let (start, field) = match builtin? {
        Builtin::Code => (
            offsets.code.units.map(|_| offsets.code.code)?,
            Field::new("co_code_adaptive", FieldClass::Specialize),
        ),
        Builtin::Bytes => (offsets.bytes.1, Field::body("ob_sval")),
        Builtin::Int => (all.long.offset("ob_digit")?, Field::body("ob_digit")),
        Builtin::Type => (u64::from(all.heap_type.size), Field::body("slots")),
        Builtin::Str => match text {
            Text::Ascii => (offsets.strings.ascii_text, Field::body("text")),
            Text::Compact => (offsets.strings.compact_text, Field::body("text")),
            Text::Apart => return None,
        },
        _ => return None,
    };
    offset.checked_sub(start).map(|into| (field, into))
}
