//! Counting references in compiled code, as [`Heap::retain`](super::super::super::gc::heap::Heap) and
//! `release` do.
//!
//! A new reference is counted before the old one is given up. Immortal objects, whose count has its
//! highest bit set, are only looked at. An object whose last reference goes is freed by the machine.

use super::super::native::{COUNTS_WORD, FREE_WORD};
use super::sites::Aside;
use super::{Compiler, asm, context, slot, slot_of};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::gc::object::COLLECTOR_WORD;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// Offset of the count in an object, when it stands there.
const COUNT: i32 = super::immediate(COLLECTOR_WORD);

impl Compiler<'_> {
    /// Stores `rax` into the word at so many bytes from `rbx`, and counts.
    pub(super) fn counted_store(&mut self, offset: i32) {
        self.retain_rax();
        asm!(self.ops, mov rdx, [rbx + offset]; mov [rbx + offset], rax);
        self.release_rdx();
    }

    /// Stores a value that is no object into a register, and counts.
    pub(super) fn counted_store_immediate(&mut self, to: u8, bits: i32) {
        asm!(self.ops, mov rdx, [rbx + slot(to)]; mov QWORD [rbx + slot(to)], bits);
        self.release_rdx();
    }

    /// Stores `rax` into a global variable, and counts.
    pub(super) fn counted_store_global(&mut self, offset: i32) {
        self.retain_rax();
        asm!(self.ops, mov rdx, [r13 + offset]; mov [r13 + offset], rax);
        self.release_rdx();
    }

    /// Stores `rcx` into the slot at the address in `rdx`, and counts.
    pub(super) fn counted_store_slot(&mut self) {
        asm!(self.ops, mov rsi, rdx; mov rax, rcx);
        self.retain_rax();
        asm!(self.ops, mov rdx, [rsi]; mov [rsi], rax);
        self.release_rdx();
    }

    /// Gives up all registers of the call, which are zero from then on, and returns.
    pub(super) fn counted_return(&mut self, frame: u16) {
        let next = self.ops.new_dynamic_label();
        // The end of the registers stands on the native stack, which stays aligned to 16 bytes.
        asm!(self.ops,
            lea rax, [rbx + slot_of(frame)]
            ; push rax
            ; push rax
            ; =>next
            ; mov rdx, [rbx]
            ; mov QWORD [rbx], 0
        );
        self.release_rdx();
        asm!(self.ops,
            add rbx, 8
            ; cmp rbx, [rsp]
            ; jb =>next
            ; add rsp, 16
        );
    }

    /// Counts one more reference to the value in `rax`. Uses `rcx`.
    fn retain_rax(&mut self) {
        let done = self.ops.new_dynamic_label();
        asm!(self.ops, test al, 7; jnz =>done; test rax, rax; jz =>done);
        if self.barrier == Barrier::CountInHeader {
            asm!(self.ops, cmp QWORD [rax + COUNT], 0; jl =>done; inc QWORD [rax + COUNT]);
        } else {
            asm!(self.ops,
                mov rcx, rax
                ; shr rcx, 2
                ; add rcx, [r12 + context(COUNTS_WORD)]
                ; cmp DWORD [rcx], 0
                ; jl =>done
                ; inc DWORD [rcx]
            );
        }
        asm!(self.ops, =>done);
    }

    /// Counts one reference less to the value in `rdx`. Uses `rcx`, and everything that a call does.
    fn release_rdx(&mut self) {
        let (done, dead) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        asm!(self.ops, test dl, 7; jnz =>done; test rdx, rdx; jz =>done);
        if self.barrier == Barrier::CountInHeader {
            asm!(self.ops, cmp QWORD [rdx + COUNT], 0; jl =>done; dec QWORD [rdx + COUNT]; jz =>dead);
        } else {
            asm!(self.ops,
                mov rcx, rdx
                ; shr rcx, 2
                ; add rcx, [r12 + context(COUNTS_WORD)]
                ; cmp DWORD [rcx], 0
                ; jl =>done
                ; dec DWORD [rcx]
                ; jz =>dead
            );
        }
        asm!(self.ops, =>done);
        self.aside.push(Aside::Free { from: dead, back: done });
    }

    /// Lets the machine free the object in `rdx`, then goes on.
    pub(super) fn free_slowly(&mut self, from: DynamicLabel, back: DynamicLabel) {
        asm!(self.ops,
            =>from
            ; mov rdi, r12
            ; mov rsi, rdx
            ; call QWORD [r12 + context(FREE_WORD)]
            ; jmp =>back
        );
    }
}
