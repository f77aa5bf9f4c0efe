//! The two parts of a function's code, hot and cold, which stand far apart and share their labels.

use super::super::Assembled;
use super::{Assembler, Compiler};
use dynasmrt::components::LabelRegistry;
use dynasmrt::{AssemblyOffset, DynamicLabel};

/// A part of the code and the address where it will stand.
pub(super) struct Part {
    ops: Assembler,
    address: usize,
}

impl Part {
    fn new(address: usize) -> Self {
        Self { ops: Assembler::new(address), address }
    }

    /// Tells the other part where this one's labels are. A label has the same number in both.
    fn share_labels(&mut self, other: &mut Self) -> Option<()> {
        let count = self.ops.new_dynamic_label().get_id();
        while other.ops.new_dynamic_label().get_id() < count {}
        let mut numbers = LabelRegistry::new();
        for label in (0..count).map(|_| numbers.new_dynamic_label()) {
            if let Some(address) = self.address_of(label)
                && other.address_of(label).is_none()
            {
                let distance = AssemblyOffset(address.wrapping_sub(other.address));
                other.ops.labels_mut().define_dynamic(label, distance).ok()?;
            }
        }
        Some(())
    }

    fn address_of(&self, label: DynamicLabel) -> Option<usize> {
        let AssemblyOffset(offset) = self.ops.labels().resolve_dynamic(label).ok()?;
        Some(self.address.wrapping_add(offset))
    }
}

/// A word of the table beside the code, as it is when the code is new.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Number(u32),
    Target(DynamicLabel),
}

impl Word {
    fn value(self, code: &Part) -> Option<u64> {
        match self {
            Self::Number(number) => Some(u64::from(number)),
            Self::Target(label) => code.address_of(label).map(|address| address as u64),
        }
    }
}

impl Compiler<'_> {
    /// From here on, code goes to the cold part. Answers the hot one.
    pub(super) fn begin_cold(&mut self) -> Option<Part> {
        let mut cold = Part::new(self.layout.cold);
        let ops = std::mem::replace(&mut self.ops, Assembler::new(0));
        let mut hot = Part { ops, address: self.address };
        hot.share_labels(&mut cold)?;
        (self.ops, self.address) = (cold.ops, cold.address);
        Some(hot)
    }

    /// Ends both parts.
    pub(super) fn finish(self, mut hot: Part) -> Option<Assembled> {
        let mut cold = Part { ops: self.ops, address: self.address };
        cold.share_labels(&mut hot)?;
        let words = self.words.iter().map(|word| word.value(&hot)).collect::<Option<_>>()?;
        // Code that guesses can only be entered where it begins.
        let instructions = if self.guards { &[][..] } else { &self.labels[..] };
        let instructions = instructions.iter().map(|label| hot.address_of(*label)).collect::<Option<_>>()?;
        Some(Assembled {
            instructions,
            exits: self.exits,
            hot: hot.ops.finalize().ok()?,
            cold: cold.ops.finalize().ok()?,
            sites: self.sites,
            words,
        })
    }
}
