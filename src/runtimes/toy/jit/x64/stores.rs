//! Every store of a value that compiled code makes: where the work that a memory policy asks of
//! stores belongs.
//!
//! `rax`, `rcx`, `rdx` and `r8` may be changed. Where the policy asks for anything, no register has a
//! home, and `rsi`, `rdi` and `r9` to `r11` may be changed as well.

use super::places::{RAX, RCX};
use super::{BODY_OFFSET, Compiler, asm, slot};
use crate::runtimes::toy::gc::Barrier;
use dynasmrt::DynasmApi;

impl Compiler<'_> {
    /// Stores `rax` into a register.
    pub(super) fn store(&mut self, to: u8) {
        match self.barrier {
            Barrier::None | Barrier::Cards => {
                asm!(self.ops, mov[rbx + slot(to)], rax);
            }
            Barrier::CountInHeader | Barrier::CountBeside => self.counted_store(slot(to)),
        }
    }

    /// Stores a value that is no object into a register.
    pub(super) fn store_immediate(&mut self, to: u8, bits: i32) {
        match self.barrier {
            Barrier::None | Barrier::Cards => {
                asm!(self.ops, mov QWORD [rbx + slot(to)], bits);
            }
            Barrier::CountInHeader | Barrier::CountBeside => self.counted_store_immediate(to, bits),
        }
    }

    /// Stores `rax` into the global variable at so many bytes from the first.
    pub(super) fn store_global(&mut self, offset: i32) {
        match self.barrier {
            Barrier::None | Barrier::Cards => {
                asm!(self.ops, mov[r13 + offset], rax);
            }
            Barrier::CountInHeader | Barrier::CountBeside => self.counted_store_global(offset),
        }
    }

    /// Stores a register into the cell in `rax`.
    pub(super) fn store_cell(&mut self, from: u8) {
        self.word_in(from, RCX);
        asm!(self.ops, lea rdx, [rax + BODY_OFFSET]);
        self.store_slot();
    }

    /// Stores `rcx` into the slot at the address in `rdx` of the object in `rax`; of a list's items,
    /// the object is their array.
    pub(super) fn store_slot(&mut self) {
        match self.barrier {
            Barrier::None => {
                asm!(self.ops, mov[rdx], rcx);
            }
            Barrier::Cards => self.marked_store_slot(),
            Barrier::CountInHeader | Barrier::CountBeside => self.counted_store_slot(),
        }
    }

    /// Ends the call with the value of a register as its result.
    pub(super) fn return_from(&mut self, from: u8) {
        self.word_in(from, RAX);
        match self.barrier {
            Barrier::None | Barrier::Cards => asm!(self.ops, mov[rbx - 8], rax),
            Barrier::CountInHeader | Barrier::CountBeside => {
                self.counted_store(-8);
                self.counted_return(self.frame);
            }
        }
        asm!(self.ops, xor eax, eax; dec QWORD [r12]; pop rbx; ret);
    }
}
