//! Guards and the ways out of compiled code: to the interpreter where a guess is wrong, to the machine
//! for what templates do not do.

use super::super::deopt::Exit;
use super::super::native::{DEOPT_COUNT_WORD, DEOPT_WORD, OPERATE_WORD};
use super::super::types::Type;
use super::places::{Place, Places, RAX, float_of};
use super::sites::Aside;
use super::{Compiler, asm, context, immediate, slot};
use crate::runtimes::toy::gc::object::Kind;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// The lowest byte of a list's header.
pub(super) const LIST: i8 = Kind::List as i8;

/// An instruction that the machine does when the fast way cannot.
pub(super) struct SlowWay {
    pub(super) from: DynamicLabel,
    /// Where values are when the fast way is left.
    before: Places,
}

impl Compiler<'_> {
    /// A label that leaves the compiled code: the interpreter goes on with the current instruction.
    pub(super) fn exit(&mut self) -> DynamicLabel {
        let from = self.ops.new_dynamic_label();
        let is_seed = self.is_at_entry;
        self.aside.push(Aside::Exit { from, pc: self.pc, places: self.places, is_seed });
        from
    }

    /// An exit for a guess. To find bugs, it may be taken although the guess holds.
    pub(super) fn guard(&mut self) -> DynamicLabel {
        let exit = self.exit();
        if self.leaves_at_random {
            asm!(self.ops, dec QWORD [r12 + context(DEOPT_COUNT_WORD)]; jz =>exit);
        }
        exit
    }

    /// Makes sure that the register holds an integer in the word.
    pub(super) fn guard_int(&mut self, register: u8, otherwise: DynamicLabel) {
        if self.known(register).is_int() {
            return;
        }
        let word = self.word(register, RAX);
        asm!(self.ops, test Rq(word), 1; jz =>otherwise);
        self.learn(register, Type::Int);
    }

    pub(super) fn guard_float(&mut self, register: u8, otherwise: DynamicLabel) {
        if self.known(register) != Type::Unknown {
            return;
        }
        let word = self.word(register, RAX);
        asm!(self.ops, mov rdx, Rq(word); and edx, 3; cmp edx, 2; jne =>otherwise);
        self.learn(register, Type::Float);
    }

    pub(super) fn guard_list(&mut self, register: u8, otherwise: DynamicLabel) {
        if self.known(register) == Type::List {
            return;
        }
        let word = self.word(register, RAX);
        asm!(self.ops,
            test Rq(word), 7
            ; jnz =>otherwise
            ; cmp BYTE [Rq(word)], LIST
            ; jne =>otherwise
        );
        self.learn(register, Type::List);
    }

    fn learn(&mut self, register: u8, kind: Type) {
        self.known[usize::from(register)] = kind;
    }

    /// The whole instruction, done by the machine.
    pub(super) fn operate(&mut self) {
        let failed = self.failed;
        self.leave_homes();
        self.call_operate();
        asm!(self.ops, test eax, eax; jnz =>failed);
    }

    fn call_operate(&mut self) {
        asm!(self.ops,
            mov rdi, r12
            ; mov rsi, rbx
            ; mov edx, self.pc.cast_signed()
            ; mov ecx, self.index.cast_signed()
            ; call QWORD [r12 + context(OPERATE_WORD)]
        );
    }

    /// Begins an instruction that the machine may have to do. Operands that are read from here on are
    /// read again after it did.
    pub(super) fn slow_way(&mut self) -> SlowWay {
        SlowWay { from: self.ops.new_dynamic_label(), before: self.places }
    }

    /// Ends such an instruction.
    pub(super) fn come_back(&mut self, slow: &SlowWay) {
        let back = self.ops.new_dynamic_label();
        asm!(self.ops, =>back);
        let (from, before, after) = (slow.from, slow.before, self.places);
        self.aside.push(Aside::Operate { from, back, pc: self.pc, before, after });
    }

    pub(super) fn operate_aside(&mut self, from: DynamicLabel, back: DynamicLabel, after: &Places) {
        let failed = self.failed;
        asm!(self.ops, =>from);
        self.write_back();
        self.call_operate();
        asm!(self.ops, test eax, eax; jnz =>failed);
        self.read_back(after);
        asm!(self.ops, jmp =>back);
    }

    /// Writes everything back, floats as they are, and tells the machine which exit this is. The frame's
    /// status comes back, or the address of code to go on with.
    pub(super) fn leave(&mut self, from: DynamicLabel, is_seed: bool) -> Option<()> {
        let number = u32::try_from(self.layout.first_exit + self.exits.len()).ok()?;
        let mut floats = Vec::new();
        asm!(self.ops, =>from);
        for (home, register) in self.homes.iter() {
            let place = self.places[home];
            if !place.is_changed() || !self.effects.is_live(self.pc as usize, register) {
                continue;
            }
            if let Place::Float { .. } = place {
                asm!(self.ops, movq[rbx + slot(register)], Rx(float_of(home)));
                floats.push(register);
            } else {
                self.write_back_one(home, register);
            }
        }
        self.exits.push(Exit { function: self.index, pc: self.pc, floats, is_seed });
        let leave = self.leave;
        asm!(self.ops, mov edx, number.cast_signed(); jmp =>leave);
        Some(())
    }

    /// What all exits share.
    pub(super) fn common_exit(&mut self) {
        let leave = self.leave;
        asm!(self.ops,
            =>leave
            ; mov rdi, r12
            ; mov rsi, rbx
            ; call QWORD [r12 + context(DEOPT_WORD)]
            ; cmp rax, 1
            ; jbe >ended
            ; jmp rax
            ; ended:
            ; pop rbx
            ; ret
        );
    }
}

const _: () = assert!(immediate(Kind::List as u64) < 128);
