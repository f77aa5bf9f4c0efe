//! Where values are: registers of the VM that are used most have a home, a machine register for words
//! and another one for floats. All others stay in their words on the VM stack.
//!
//! The machine and its collector know the VM stack only. So before anything that they do, every value
//! that will be read again is written back, and afterwards read anew, for objects may have moved.

use super::super::effects::Effects;
use super::super::native::FLOAT_ZERO_WORD;
use super::super::types::Type;
use super::{Compiler, asm, context, slot};
use dynasmrt::{DynasmApi, DynasmLabelApi};

/// `rax`, `rcx`, `rdx` and `r8` hold nothing from one instruction to the next.
pub(super) const RAX: u8 = 0;
pub(super) const RCX: u8 = 1;
pub(super) const R8: u8 = 8;

/// Machine registers for words: r9, r10, r11, rsi, rdi, rbp, r14, r15. The float of home `n` lives in
/// `xmm(n + 2)`.
const WORDS: [u8; 8] = [9, 10, 11, 6, 7, 5, 14, 15];
/// The first of them; `xmm0` and `xmm1` hold nothing from one instruction to the next.
const FIRST_FLOAT: u8 = 2;
/// How much more a round of a loop counts than what stands outside of it.
const LOOP_WEIGHT: u32 = 8;

/// Where the value of a register with a home is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// In its word on the VM stack.
    #[default]
    Memory,
    /// In the machine register; the word on the stack is older if it changed.
    Word { changed: bool },
    /// As a float in the other one.
    Float { changed: bool },
    /// Nowhere yet: it is this word.
    Constant(i32),
}

impl Place {
    pub(super) const fn is_changed(self) -> bool {
        matches!(self, Self::Word { changed: true } | Self::Float { changed: true } | Self::Constant(_))
    }
}

pub(super) type Places = [Place; WORDS.len()];

/// Which registers have a home.
pub(super) struct Homes {
    of: [Option<u8>; 256],
    registers: [Option<u8>; WORDS.len()],
}

impl Homes {
    pub(super) const fn none() -> Self {
        Self { of: [None; 256], registers: [None; WORDS.len()] }
    }

    /// Gives homes to the registers that are used most.
    pub(super) fn choose(effects: &Effects) -> Self {
        let mut weights = [0_u32; 256];
        for (pc, effect) in effects.at.iter().enumerate() {
            let depth = effects.loops.iter().filter(|(head, end)| (*head..=*end).contains(&pc)).count();
            let weight = LOOP_WEIGHT.pow(u32::try_from(depth).unwrap_or(u32::MAX).min(5));
            for register in effect.reads.iter().chain(effect.writes.iter()) {
                let sum = &mut weights[usize::from(register)];
                *sum = sum.saturating_add(weight);
            }
        }
        let mut used: Vec<u8> = (0..=u8::MAX).filter(|r| weights[usize::from(*r)] > 1).collect();
        used.sort_by_key(|register| std::cmp::Reverse(weights[usize::from(*register)]));
        let mut homes = Self::none();
        for (home, register) in (0..WORDS.len()).zip(used) {
            homes.registers[home] = Some(register);
            homes.of[usize::from(register)] = u8::try_from(home).ok();
        }
        homes
    }

    /// The registers with a home, and which one.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u8)> + use<> {
        let registers = self.registers.into_iter().enumerate();
        registers.filter_map(|(home, register)| register.map(|register| (home, register)))
    }
}

pub(super) const fn word_of(home: usize) -> u8 {
    WORDS[home]
}

pub(super) const fn float_of(home: usize) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "there are 8 homes")]
    let home = home as u8;
    FIRST_FLOAT + home
}

impl Compiler<'_> {
    pub(super) fn home(&self, register: u8) -> Option<usize> {
        self.homes.of[usize::from(register)].map(usize::from)
    }

    pub(super) fn known(&self, register: u8) -> Type {
        self.known[usize::from(register)]
    }

    /// The machine register with the register's word: its home, or the scratch register.
    pub(super) fn word(&mut self, register: u8, scratch: u8) -> u8 {
        let Some(home) = self.home(register) else {
            asm!(self.ops, mov Rq(scratch), [rbx + slot(register)]);
            return scratch;
        };
        match self.places[home] {
            Place::Word { .. } => word_of(home),
            Place::Memory => {
                asm!(self.ops, mov Rq(word_of(home)), [rbx + slot(register)]);
                self.places[home] = Place::Word { changed: false };
                word_of(home)
            }
            Place::Constant(bits) => {
                asm!(self.ops, mov Rq(scratch), bits);
                scratch
            }
            Place::Float { .. } => {
                self.box_float(float_of(home), scratch);
                scratch
            }
        }
    }

    /// The same, in the scratch register for sure, which may be changed.
    pub(super) fn word_in(&mut self, register: u8, scratch: u8) {
        let found = self.word(register, scratch);
        if found != scratch {
            asm!(self.ops, mov Rq(scratch), Rq(found));
        }
    }

    /// The register's value as a float, in its home or in the scratch register. It is known to be a
    /// number.
    pub(super) fn float(&mut self, register: u8, scratch: u8) -> u8 {
        if self.known(register).is_int() {
            self.word_in(register, RAX);
            asm!(self.ops, sar rax, 1; xorps Rx(scratch), Rx(scratch); cvtsi2sd Rx(scratch), rax);
            return scratch;
        }
        let Some(home) = self.home(register) else {
            self.word_in(register, RAX);
            self.unbox_float(RAX, scratch);
            return scratch;
        };
        if !matches!(self.places[home], Place::Float { .. }) {
            let changed = self.places[home].is_changed();
            let word = self.word(register, RAX);
            self.unbox_float(word, float_of(home));
            self.places[home] = Place::Float { changed };
        }
        float_of(home)
    }

    /// Gives the register the value in `rax`.
    pub(super) fn set_word(&mut self, to: u8) {
        if let Some(home) = self.home(to) {
            asm!(self.ops, mov Rq(word_of(home)), rax);
            self.places[home] = Place::Word { changed: true };
        } else {
            self.store(to);
        }
    }

    /// Gives the register the float in `xmm0`.
    pub(super) fn set_float(&mut self, to: u8) {
        if let Some(home) = self.home(to) {
            asm!(self.ops, movaps Rx(float_of(home)), xmm0);
            self.places[home] = Place::Float { changed: true };
        } else {
            self.box_float(0, RAX);
            self.store(to);
        }
    }

    pub(super) fn set_constant(&mut self, to: u8, bits: i32) {
        if let Some(home) = self.home(to) {
            self.places[home] = Place::Constant(bits);
        } else {
            self.store_immediate(to, bits);
        }
    }

    /// Adds one to the integer in a register, which stays small.
    pub(super) fn count_up(&mut self, register: u8) {
        let Some(home) = self.home(register) else {
            asm!(self.ops, add QWORD [rbx + slot(register)], 2);
            return;
        };
        let word = self.word(register, R8);
        if word != word_of(home) {
            asm!(self.ops, mov Rq(word_of(home)), Rq(word));
        }
        asm!(self.ops, add Rq(word_of(home)), 2);
        self.places[home] = Place::Word { changed: true };
    }

    /// Writes back what was changed and is read from the current instruction on.
    pub(super) fn write_back(&mut self) {
        for (home, register) in self.homes.iter() {
            if self.places[home].is_changed() && self.effects.is_live(self.pc as usize, register) {
                self.write_back_one(home, register);
            }
        }
    }

    pub(super) fn write_back_one(&mut self, home: usize, register: u8) {
        match self.places[home] {
            Place::Memory => {}
            Place::Word { .. } => asm!(self.ops, mov[rbx + slot(register)], Rq(word_of(home))),
            Place::Constant(bits) => asm!(self.ops, mov QWORD [rbx + slot(register)], bits),
            Place::Float { .. } => {
                self.box_float(float_of(home), RAX);
                asm!(self.ops, mov[rbx + slot(register)], rax);
            }
        }
    }

    /// Gets ready for the machine to do something: values are on the VM stack only.
    pub(super) fn leave_homes(&mut self) {
        self.write_back();
        self.places = Places::default();
    }

    /// Reads back what is to be in homes, after the machine did something.
    pub(super) fn read_back(&mut self, places: &Places) {
        for (home, register) in self.homes.iter() {
            self.read_back_one(places[home], home, register);
        }
    }

    pub(super) fn read_back_one(&mut self, place: Place, home: usize, register: u8) {
        match place {
            Place::Memory | Place::Constant(_) => {}
            Place::Word { .. } => asm!(self.ops, mov Rq(word_of(home)), [rbx + slot(register)]),
            Place::Float { .. } => {
                asm!(self.ops, mov rax, [rbx + slot(register)]);
                self.unbox_float(RAX, float_of(home));
            }
        }
    }

    /// Makes a value of a float; leaves the compiled code if it does not fit into a word. Uses `rdx`.
    ///
    /// See [`Value::small_float`](crate::runtimes::toy::vm::value::Value::small_float).
    pub(super) fn box_float(&mut self, float: u8, to: u8) {
        let (exit, done) = (self.exit(), self.ops.new_dynamic_label());
        asm!(self.ops,
            movq Rq(to), Rx(float)
            ; mov rdx, Rq(to)
            ; shr rdx, 60
            ; inc edx
            ; and edx, 6
            ; cmp edx, 4
            ; je >common
            ; test Rq(to), Rq(to)
            ; jnz =>exit
            ; mov Rq(to), [r12 + context(FLOAT_ZERO_WORD)]
            ; jmp =>done
            ; common:
            ; rol Rq(to), 3
            ; and Rq(to), -4
            ; or Rq(to), 2
            ; cmp Rq(to), [r12 + context(FLOAT_ZERO_WORD)]
            ; je =>exit
            ; =>done
        );
    }

    /// The float of a value that is known to be one and stands in the word. Uses `rdx`.
    fn unbox_float(&mut self, word: u8, to: u8) {
        asm!(self.ops,
            cmp Rq(word), [r12 + context(FLOAT_ZERO_WORD)]
            ; je >zero
            ; mov rdx, Rq(word)
            ; shr rdx, 63
            ; neg rdx
            ; add rdx, Rq(word)
            ; ror rdx, 3
            ; movq Rx(to), rdx
            ; jmp >done
            ; zero:
            ; xorps Rx(to), Rx(to)
            ; done:
        );
    }
}
