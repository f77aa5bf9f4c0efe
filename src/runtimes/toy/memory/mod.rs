//! Memory of the runtime, all of it mapped by name and never by the C library's allocator.

pub(crate) mod mapping;
pub(crate) mod shared;
pub(crate) mod words;
