//! Code that reads guards, operands, targets and counters, wherever the policy puts them.
//!
//! In the code, each is the aligned last operand of an instruction. In the table, each is a word; the
//! code knows its address. Both are in one cache line, so a change is seen as a whole.

use super::super::policy::Place;
use super::super::site::{Entry, NEVER, Slot};
use super::sections::Word;
use super::{Compiler, asm};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// What compiled code does with the object in `rax` when an entry's guard holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    /// Loads the field into `rax`.
    Get,
    /// Puts the field's address into `rdx`.
    Set,
    /// Calls the function, with its registers at `rdi`.
    Call,
}

impl Compiler<'_> {
    /// One entry of an inline cache: the guard, then what to do if it holds. Falls through after
    /// that, or goes to the label.
    pub(super) fn entry(&mut self, hit: Hit, otherwise: DynamicLabel) -> Option<Entry> {
        match self.layout.policy.caches {
            Place::Code => Some(self.entry_in_code(hit, otherwise)),
            Place::Table => self.entry_in_table(hit, otherwise),
        }
    }

    fn entry_in_code(&mut self, hit: Hit, otherwise: DynamicLabel) -> Entry {
        // cmp dword [rax + 4], guard
        let guard = self.patchable(&[0x81, 0x78, 0x04], NEVER);
        asm!(self.ops, jne =>otherwise);
        let operand = match hit {
            // mov rax, [rax + offset]
            Hit::Get => self.patchable(&[0x48, 0x8b, 0x80], 0),
            // lea rdx, [rax + offset]
            Hit::Set => self.patchable(&[0x48, 0x8d, 0x90], 0),
            // call target
            Hit::Call => self.patchable(&[0xe8], 0),
        };
        Entry { guard, operand }
    }

    fn entry_in_table(&mut self, hit: Hit, otherwise: DynamicLabel) -> Option<Entry> {
        let (guard, address) = self.table_word(Word::Number(NEVER))?;
        let (operand, _) = self.table_word(Word::Number(0))?;
        asm!(self.ops,
            mov r8, QWORD address
            ; mov ecx, [r8]
            ; cmp [rax + 4], ecx
            ; jne =>otherwise
        );
        match hit {
            Hit::Get => asm!(self.ops, mov rcx, [r8 + 8]; mov rax, [rax + rcx]),
            Hit::Set => asm!(self.ops, mov rdx, [r8 + 8]; add rdx, rax),
            Hit::Call => asm!(self.ops, call QWORD [r8 + 8]),
        }
        Some(Entry { guard, operand })
    }

    /// Calls what a target names; at first, the stub.
    pub(super) fn call_target(&mut self, stub: DynamicLabel) -> Option<Slot> {
        match self.layout.policy.caches {
            Place::Code => {
                self.pad(1);
                let operand = self.here() + 1;
                asm!(self.ops, call =>stub);
                Some(Slot::Code(operand))
            }
            Place::Table => {
                let (target, address) = self.table_word(Word::Target(stub))?;
                asm!(self.ops, mov r8, QWORD address; call QWORD [r8]);
                Some(target)
            }
        }
    }

    /// Loads the number of misses into `ecx`.
    pub(super) fn counter(&mut self) -> Option<Slot> {
        match self.layout.policy.counters {
            // mov ecx, count
            Place::Code => Some(self.patchable(&[0xb9], 0)),
            Place::Table => {
                let (counter, address) = self.table_word(Word::Number(0))?;
                asm!(self.ops, mov r8, QWORD address; mov ecx, [r8]);
                Some(counter)
            }
        }
    }

    /// Takes the next word of the table; answers its address as well.
    fn table_word(&mut self, word: Word) -> Option<(Slot, i64)> {
        let index = self.layout.first_slot + self.words.len();
        self.words.push(word);
        let address = self.layout.table.checked_add(index as u64 * 8)?;
        Some((Slot::Table(index), address.cast_signed()))
    }

    /// An instruction whose last four bytes are changed later.
    fn patchable(&mut self, opcode: &[u8], operand: u32) -> Slot {
        self.pad(opcode.len());
        self.ops.extend(opcode);
        let address = self.here();
        self.ops.push_u32(operand);
        Slot::Code(address)
    }

    /// Makes the operand after so many bytes of opcode aligned.
    fn pad(&mut self, opcode: usize) {
        while !(self.here() + opcode).is_multiple_of(4) {
            asm!(self.ops, nop);
        }
    }
}
