//! Places of compiled code that change: the targets of calls, and inline caches.

/// Entries of one inline cache. With all of them in use, the place is megamorphic: what is none of
/// them takes the slow way, and the place changes no more.
pub(super) const ENTRIES: usize = 4;
/// A guard that no object's header ever equals: it has the tags of a record and of a closure.
pub(super) const NEVER: u32 = u32::MAX;
/// Bytes from the address of an operand in the code to the end of its instruction.
const OPERAND: u64 = 4;

/// Where one changing value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Address of an aligned operand of 4 bytes.
    Code(usize),
    /// Index of a word of the table.
    Table(usize),
}

/// What a slot is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// A number: a guard, a field's offset, a count.
    Number(u32),
    /// The address of code to call.
    Target(u64),
}

impl Operand {
    /// What is stored for it: code calls at a distance, the table holds addresses. Nothing where the
    /// distance is too long.
    pub(super) fn bits(self, slot: Slot) -> Option<u64> {
        match (self, slot) {
            (Self::Number(number), _) => Some(u64::from(number)),
            (Self::Target(target), Slot::Table(_)) => Some(target),
            (Self::Target(target), Slot::Code(address)) => {
                let next_instruction = address as u64 + OPERAND;
                let distance = i32::try_from(target.wrapping_sub(next_instruction).cast_signed()).ok()?;
                Some(u64::from(distance.cast_unsigned()))
            }
        }
    }
}

/// One object kind that an inline cache knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Compared with the upper half of an object's header.
    pub(super) guard: Slot,
    /// The field's offset, or the callee's code.
    pub(super) operand: Slot,
}

/// What changes at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cache {
    /// The target of a call to a named function.
    Target(Slot),
    /// An inline cache of a field access or of a call through a value. The counter says how many
    /// misses it had, and with it how many entries are in use.
    Entries { entries: Vec<Entry>, counter: Slot },
}

/// One place that changes, and the instruction it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) function: u32,
    pub(super) pc: u32,
    pub(super) cache: Cache,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_distances_in_code_and_addresses_in_the_table() {
        let near = Operand::Target(0x1000);
        assert_eq!(near.bits(Slot::Table(3)), Some(0x1000));
        assert_eq!(near.bits(Slot::Code(0x0ff0)), Some(12));
        assert_eq!(near.bits(Slot::Code(0x1010)), Some(u64::from((-20_i32).cast_unsigned())));
        assert_eq!(Operand::Target(1 << 40).bits(Slot::Code(0x1000)), None);
        assert_eq!(Operand::Number(NEVER).bits(Slot::Code(0x1000)), Some(0xffff_ffff));
    }
}
