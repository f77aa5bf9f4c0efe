//! Which field of an object stands at an offset, and what a write to it means.

use std::borrow::Cow;

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
