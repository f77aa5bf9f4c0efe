//! The classes of writes that break pages.

use serde::{Deserialize, Serialize};

/// Why a page was written: the class of the first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Cause {
    /// A reference count went up or down.
    Refcount = 0,
    /// The collector's links and bits in front of an object.
    GcHeader = 1,
    /// A cache that is filled at first use: string hash, type version, method cache, UTF-8.
    LazyCache = 2,
    /// The adaptive interpreter: inline caches and counters in code objects.
    Specialize = 3,
    /// The allocator's own data: pool headers, free lists, chunk headers.
    Allocator = 4,
    /// A real store into an object.
    ObjectBody = 5,
    /// The interpreter's own state: thread state, runtime, static types.
    Interpreter = 6,
    /// Data of any other library.
    NativeData = 7,
    /// A stack.
    Stack = 8,
    /// The kernel, on behalf of a system call.
    KernelWrite = 9,
    /// Machine code that was patched.
    JitCode = 10,
    /// Data of a JIT compiler: counters, inline caches, call slots.
    JitData = 11,
    /// Mark bits of a collector.
    GcMark = 12,
    /// Objects that a collector moved.
    GcMove = 13,
    /// Broken before the process could be watched: the price of a fork itself.
    Floor = 14,
    /// What the witnesses do not agree on, or did not see.
    Unexplained = 15,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Refcount,
        Self::GcHeader,
        Self::LazyCache,
        Self::Specialize,
        Self::Allocator,
        Self::ObjectBody,
        Self::Interpreter,
        Self::NativeData,
        Self::Stack,
        Self::KernelWrite,
        Self::JitCode,
        Self::JitData,
        Self::GcMark,
        Self::GcMove,
        Self::Floor,
        Self::Unexplained,
    ];

    /// The name in options and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refcount => "refcount",
            Self::GcHeader => "gc_header",
            Self::LazyCache => "lazy_cache",
            Self::Specialize => "specialize",
            Self::Allocator => "allocator",
            Self::ObjectBody => "object_body",
            Self::Interpreter => "interpreter",
            Self::NativeData => "native_data",
            Self::Stack => "stack",
            Self::KernelWrite => "kernel_write",
            Self::JitCode => "jit_code",
            Self::JitData => "jit_data",
            Self::GcMark => "gc_mark",
            Self::GcMove => "gc_move",
            Self::Floor => "floor",
            Self::Unexplained => "unexplained",
        }
    }

    /// What it is called in a sentence: "reference counts".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Refcount => "reference counts",
            Self::GcHeader => "the garbage collector's headers",
            Self::LazyCache => "caches filled at first use",
            Self::Specialize => "the adaptive interpreter",
            Self::Allocator => "the allocator",
            Self::ObjectBody => "real stores into objects",
            Self::Interpreter => "the interpreter's own state",
            Self::NativeData => "data of native libraries",
            Self::Stack => "stacks",
            Self::KernelWrite => "the kernel, in system calls",
            Self::JitCode => "patched machine code",
            Self::JitData => "data of the JIT compiler",
            Self::GcMark => "mark bits of the collector",
            Self::GcMove => "objects the collector moved",
            Self::Floor => "the fork itself",
            Self::Unexplained => "unexplained writes",
        }
    }

    /// The cause of a number, as [`Self::ALL`] orders them.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The cause of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_found_by_number_and_by_name() {
        for (number, cause) in (0..).zip(Cause::ALL) {
            assert_eq!(cause as u8, number);
            assert_eq!(Cause::of_number(number), Some(cause));
            assert_eq!(Cause::of_name(cause.name()), Some(cause));
        }
        assert_eq!(Cause::of_number(16), None);
        assert_eq!(Cause::of_name("cosmic rays"), None);
    }
}
