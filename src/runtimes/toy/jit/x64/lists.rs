//! Templates that read and write items of lists, and that count through lists and ranges.

use super::super::types::{self, Type};
use super::guards::LIST;
use super::places::{R8, RAX, RCX};
use super::{ARRAY_OFFSET, BODY_OFFSET, COUNT_OFFSET, Compiler, NIL, asm};
use crate::runtimes::toy::lang::bytecode::BUILTINS;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

impl Compiler<'_> {
    pub(super) fn get_index(&mut self, to: u8, object: u8, index: u8) {
        if !types::is_list_access(self.known(object), self.known(index), self.seen()) {
            return self.operate();
        }
        if self.guards {
            let exit = self.guard();
            self.find_item(object, index, exit);
            asm!(self.ops, mov rax, [rax + rcx * 8 + BODY_OFFSET]);
            self.set_word(to);
        } else {
            let slow = self.slow_way();
            self.find_item(object, index, slow.from);
            asm!(self.ops, mov rax, [rax + rcx * 8 + BODY_OFFSET]);
            self.set_word(to);
            self.forget_guesses();
            self.come_back(&slow);
        }
    }

    pub(super) fn set_index(&mut self, object: u8, index: u8, from: u8) {
        if !types::is_list_access(self.known(object), self.known(index), self.seen()) {
            return self.operate();
        }
        if self.guards {
            let exit = self.guard();
            self.find_item(object, index, exit);
            self.store_item(from);
        } else {
            let slow = self.slow_way();
            self.find_item(object, index, slow.from);
            self.store_item(from);
            self.forget_guesses();
            self.come_back(&slow);
        }
    }

    /// Stores a register into the item of the array in `rax` with the index in `rcx`.
    fn store_item(&mut self, from: u8) {
        let word = self.word(from, R8);
        asm!(self.ops, lea rdx, [rax + rcx * 8 + BODY_OFFSET]; mov rcx, Rq(word));
        self.store_slot();
    }

    /// Puts the array of a list into `rax` and an index inside of the list into `rcx`.
    fn find_item(&mut self, object: u8, index: u8, otherwise: DynamicLabel) {
        self.guard_list(object, otherwise);
        self.guard_int(index, otherwise);
        self.word_in(index, RCX);
        self.word_in(object, RAX);
        // A negative index is a huge one.
        asm!(self.ops,
            sar rcx, 1
            ; cmp rcx, [rax + COUNT_OFFSET]
            ; jae =>otherwise
            ; mov rax, [rax + ARRAY_OFFSET]
        );
    }

    pub(super) fn next_item(&mut self, to: u8, state: u8, exit: u32) {
        self.word_in(state + 1, RCX);
        self.word_in(state, RAX);
        let exit = self.way_to(exit);
        asm!(self.ops,
            sar rcx, 1
            ; cmp rcx, [rax + COUNT_OFFSET]
            ; jae =>exit
            ; mov rax, [rax + ARRAY_OFFSET]
            ; mov rax, [rax + rcx * 8 + BODY_OFFSET]
        );
        self.count_up(state + 1);
        self.set_word(to);
    }

    pub(super) fn next_number(&mut self, to: u8, state: u8, exit: u32) {
        let end = self.word(state + 1, RCX);
        self.word_in(state, RAX);
        let exit = self.way_to(exit);
        asm!(self.ops, cmp rax, Rq(end); jge =>exit);
        self.count_up(state);
        self.set_word(to);
    }

    pub(super) fn check_list(&mut self, list: u8) {
        if self.known(list) == Type::List {
            return;
        }
        if self.guards {
            let exit = self.guard();
            self.guard_list(list, exit);
        } else {
            self.operate();
        }
    }

    pub(super) fn check_range(&mut self, state: u8) {
        if self.guards {
            if self.known(state).is_int() && self.known(state + 1).is_int() {
                return;
            }
            let exit = self.guard();
            self.guard_int(state, exit);
            self.guard_int(state + 1, exit);
        } else {
            self.operate();
        }
    }

    pub(super) fn call_builtin(&mut self, slot: u8, builtin: u8) {
        match BUILTINS[usize::from(builtin)].name {
            "len" if self.known(slot + 1) == Type::List => {
                self.word_in(slot + 1, RAX);
                asm!(self.ops, mov rax, [rax + COUNT_OFFSET]; lea rax, [rax * 2 + 1]);
                self.set_word(slot);
            }
            "push" if self.guards => self.push(slot),
            _ => self.operate(),
        }
    }

    /// Whether a call of the builtin is compiled, so that the machine works only where that fails.
    pub(super) fn is_compiled(&self, builtin: u8) -> bool {
        self.guards && matches!(BUILTINS[usize::from(builtin)].name, "len" | "push")
    }

    /// Appends to a list that has room.
    fn push(&mut self, slot: u8) {
        let way = self.slow_way();
        let from = way.from;
        let item = self.word(slot + 2, R8);
        let list = self.word(slot + 1, RAX);
        if self.known(slot + 1) != Type::List {
            asm!(self.ops, test Rq(list), 7; jnz =>from; cmp BYTE [Rq(list)], LIST; jne =>from);
        }
        asm!(self.ops,
            mov rcx, [Rq(list) + COUNT_OFFSET]
            ; mov rdx, [Rq(list) + ARRAY_OFFSET]
            ; test rdx, rdx
            ; jz =>from
            // The upper half of the array's header: how many items it has room for.
            ; cmp ecx, [rdx + 4]
            ; jae =>from
            ; inc QWORD [Rq(list) + COUNT_OFFSET]
            ; mov rax, rdx
            ; lea rdx, [rax + rcx * 8 + BODY_OFFSET]
            ; mov rcx, Rq(item)
        );
        self.store_slot();
        self.set_constant(slot, NIL);
        self.come_back(&way);
    }

    /// Where nothing is guarded, what the fast way found out does not hold after the slow one.
    fn forget_guesses(&mut self) {
        if let Some(known) = self.types.before(self.pc as usize) {
            self.known.copy_from_slice(known);
        }
    }
}
