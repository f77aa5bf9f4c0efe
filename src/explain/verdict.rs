//! The cause of a write: what stood there (the place) and what was done to it (the store) must agree.

use super::allocators::{is_allocator, is_maker};
use super::instruction::{Decoded, Store};
use super::movers::is_mover;
use super::place::Place;
use crate::cpython::fields::FieldClass;
use crate::family::Cause;

/// The minor version from which reference counts saturate, and half of one is written at a time.
const IMMORTAL_COUNTS: (u8, u8) = (3, 12);

/// Decides the cause of one write.
///
/// `place` is the first witness, `store` the second; `writer` is the demangled symbol of the
/// instruction, empty where none covers it. What the kernel wrote for a system call has no
/// instruction that could be decoded: its own word counts. `version` is `CPython`'s.
///
/// Memory that has one use only (a stack, a library's data, a region that a runtime named) needs
/// no store to say what a write to it was. Everything else does: without a decoded store, or when
/// the store does not write the byte, the answer is [`Cause::Unexplained`].
pub fn decide(
    place: Place,
    store: Option<&Decoded>,
    writer: &str,
    by_kernel: bool,
    version: (u8, u8),
) -> Cause {
    if by_kernel {
        return Cause::KernelWrite;
    }
    if store.is_some_and(|store| !store.writes() || store.covers == Some(false)) {
        return Cause::Unexplained;
    }
    by_use(place)
        .or_else(|| store.map(|store| by_store(place, store, writer, version)))
        .unwrap_or(Cause::Unexplained)
}

/// The cause of any write to memory that has one use only.
const fn by_use(place: Place) -> Option<Cause> {
    match place {
        Place::Stack => Some(Cause::Stack),
        Place::InterpreterData => Some(Cause::Interpreter),
        Place::LibraryData => Some(Cause::NativeData),
        Place::JitCode => Some(Cause::JitCode),
        Place::JitData => Some(Cause::JitData),
        Place::Marks => Some(Cause::GcMark),
        Place::Counts => Some(Cause::Refcount),
        Place::MoveTarget => Some(Cause::GcMove),
        _ => None,
    }
}

/// The cause of a store to memory that is put to many uses.
fn by_store(place: Place, store: &Decoded, writer: &str, version: (u8, u8)) -> Cause {
    match place {
        Place::Object { class, into_field } | Place::Buffer { class, into_field } => {
            by_field(class, into_field, store, writer, version)
        }
        // A program stores into fields, a collector into all that it moves: only the code tells.
        Place::Movable if is_mover(writer) => Cause::GcMove,
        Place::Movable => Cause::ObjectBody,
        // The link of a free block, or the first object that is put into it: pymalloc takes a block
        // by reading it, so the first write is the new object's. Either way the allocator chose an
        // inherited page for new data, and another allocator would have kept it shared.
        Place::PoolHeader | Place::FreeBlock { .. } => Cause::Allocator,
        Place::UnknownBlock | Place::NativeHeap if is_allocator(writer) => Cause::Allocator,
        // A free list of a type is an allocator too.
        Place::UnknownBlock if is_maker(writer) => Cause::Allocator,
        // Native code keeps no census: that it stored into its heap is all that can be known.
        Place::NativeHeap => Cause::NativeData,
        _ => Cause::Unexplained,
    }
}

/// The cause of a store to a known field, if that is what code that writes such a field does.
fn by_field(class: FieldClass, into_field: u64, store: &Decoded, writer: &str, version: (u8, u8)) -> Cause {
    let at_its_start = into_field == store.lead;
    match class {
        FieldClass::Refcount if at_its_start && counts(store, version) => Cause::Refcount,
        FieldClass::Refcount if at_its_start && creates(store) => Cause::ObjectBody,
        FieldClass::GcHeader if links(store, at_its_start) => Cause::GcHeader,
        FieldClass::Cache if fills(store) => Cause::LazyCache,
        FieldClass::Specialize if patches(store) => Cause::Specialize,
        // Freeing an object or a buffer puts the link of the free list where its first field was.
        _ if is_allocator(writer) => Cause::Allocator,
        FieldClass::Body => Cause::ObjectBody,
        _ => Cause::Unexplained,
    }
}

/// `Py_INCREF` and `Py_DECREF`: adds to the count in place, or stores a count that is one off.
///
/// Before 3.12 a count is 64 bits. Since then an increment writes the low 32 bits and a decrement
/// all 64 (`Include/object.h`); the count of shared dict keys is 64 bits in all versions. An
/// addition in place is a count whatever the amount: compilers merge two increments, and
/// `_Py_RefcntAdd` (3.12) gives a repeated item all its references at once.
fn counts(store: &Decoded, version: (u8, u8)) -> bool {
    let halves = version >= IMMORTAL_COUNTS;
    if !(store.width == 8 || store.width == 4 && halves) {
        return false;
    }
    match (store.store, store.delta) {
        (Store::Add(_), _) => true,
        (Store::Value(_), Some(delta)) => {
            matches!(delta, -1 | 1) || halves && matches!(low_half(delta), -1 | 1)
        }
        // The witness saw no registers, or not what stood there; a constant is never a count.
        (Store::Value(value), None) => value.is_none(),
        _ => false,
    }
}

/// `_Py_NewReference`: the count of a new object, in a block that another object had at the fork.
fn creates(store: &Decoded) -> bool {
    store.store == Store::Value(Some(1)) && matches!(store.width, 4 | 8)
}

/// A link or the bits of `PyGC_Head`: a whole word, both words at once, or bits in place.
fn links(store: &Decoded, at_its_start: bool) -> bool {
    match store.store {
        Store::Add(_) | Store::Change => matches!(store.width, 1..=8),
        Store::Value(_) => at_its_start && store.width == 8,
        Store::Vector => at_its_start && matches!(store.width, 8 | 16),
        _ => false,
    }
}

/// A cache holds a number or a pointer, or the two words of a cached UTF-8 form.
fn fills(store: &Decoded) -> bool {
    matches!((store.store, store.width), (_, 1..=8) | (Store::Vector, 16))
}

/// A counter, an opcode, an inline cache, or a run of them that is copied.
fn patches(store: &Decoded) -> bool {
    matches!(store.store, Store::Vector | Store::Run) || matches!(store.width, 1 | 2 | 4 | 8)
}

/// The low 32 bits of a difference: all that an increment writes since 3.12.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is left out on purpose")]
const fn low_half(delta: i64) -> i32 {
    delta as i32
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
