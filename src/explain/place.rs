//! What stood at the byte that was written, at the fork.

use crate::cpython::fields::FieldClass;

/// What stood at an address at the fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A Python object, or the header in front of one.
    Object {
        /// What a write to the field means.
        class: FieldClass,
        /// Bytes from the start of the field to the address.
        into_field: u64,
    },
    /// A buffer that an object owns: items of a list, keys of a dict.
    Buffer {
        /// What a write to the field means.
        class: FieldClass,
        /// Bytes from the start of the field to the address.
        into_field: u64,
    },
    /// The header of a pymalloc pool.
    PoolHeader,
    /// A free pymalloc block, or one never handed out.
    FreeBlock {
        /// Bytes from its start.
        offset: u64,
    },
    /// A used pymalloc block, or a chunk of malloc, in which no object is known.
    UnknownBlock,
    /// Memory of the C heap (`[heap]` or an arena of malloc) in which no object is known.
    NativeHeap,
    /// Data of libpython, or of a program that contains it.
    InterpreterData,
    /// Data of any other library or program.
    LibraryData,
    /// A stack.
    Stack,
    /// The machine code of a JIT compiler.
    JitCode,
    /// A JIT compiler's data.
    JitData,
    /// A collector's mark bits, in a bitmap or in a header.
    Marks,
    /// Reference counts in a table beside the heap.
    Counts,
    /// An object that a collector may move, or replace by another that it moves.
    Movable,
    /// Memory that a collector moves objects to.
    MoveTarget,
    /// Nothing is known.
    Unknown,
}
