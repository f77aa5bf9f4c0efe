//! What a write of a reference has to do besides the write.

/// The work that a policy asks of everybody who writes a reference.
///
/// The interpreter, the instructions in [`vm`](super::super::vm) and compiled code all obey it.
/// Registers on the VM stack are counted like every other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// Nothing.
    None,
    /// The count of the new object goes up and that of the old one down, in the collector's word of
    /// each. An object whose count reaches zero is freed.
    CountInHeader,
    /// The same, with the counts in a table of 32-bit words, one for 16 bytes of heap.
    CountBeside,
    /// A store of an object into an object marks the card of the object written to.
    Cards,
}
