//! Where compiled code keeps what changes, and until when it may change.

use crate::runtimes::toy::options::JitMode;

/// Where something stands that compiled code reads and the machine writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// An operand of an instruction.
    Code,
    /// A word of the table beside the code.
    Table,
}

/// One way to keep call targets, inline caches and their counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodePolicy {
    /// Guards, field offsets and call targets.
    pub(super) caches: Place,
    /// How many misses each inline cache had.
    pub(super) counters: Place,
    /// Whether everything is compiled before the first fork and nothing changes after it.
    pub(super) freezes: bool,
}

impl CodePolicy {
    /// The policy of a mode that compiles.
    pub(super) const fn of(mode: JitMode) -> Option<Self> {
        let (caches, counters, freezes) = match mode {
            JitMode::Patch => (Place::Code, Place::Code, false),
            JitMode::SideCounters => (Place::Code, Place::Table, false),
            JitMode::Indirect => (Place::Table, Place::Table, false),
            JitMode::Warm => (Place::Code, Place::Code, true),
            JitMode::Off => return None,
        };
        Some(Self { caches, counters, freezes })
    }
}
