//! Templates of arithmetic and comparisons.

use super::super::types::{self, Type, Way};
use super::division::Reciprocal;
use super::guards::SlowWay;
use super::places::{Place, RAX, RCX};
use super::{Compiler, FALSE, TRUE, asm, immediate};
use crate::runtimes::toy::lang::bytecode::{Arithmetic, Comparison, Op};
use crate::runtimes::toy::vm::value::Value;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// What processors call conditions: of signed integers and equality, and of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Above,
    AboveOrEqual,
    BelowOrEqual,
    Below,
}

impl Condition {
    fn of_integers(operator: Comparison) -> Self {
        match operator {
            Comparison::Eq => Self::Equal,
            Comparison::Ne => Self::NotEqual,
            Comparison::Lt => Self::Less,
            Comparison::Le => Self::LessOrEqual,
            Comparison::Gt => Self::Greater,
            Comparison::Ge => Self::GreaterOrEqual,
        }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
            Self::Above => Self::BelowOrEqual,
            Self::AboveOrEqual => Self::Below,
            Self::BelowOrEqual => Self::Above,
            Self::Below => Self::AboveOrEqual,
        }
    }
}

impl Compiler<'_> {
    pub(super) fn arithmetic(&mut self, operator: Arithmetic, to: u8, left: u8, right: u8) {
        let (known_left, known_right) = (self.known(left), self.known(right));
        match types::arithmetic(operator, known_left, known_right, self.seen()) {
            Way::Ints if self.guards => {
                let exit = self.guard();
                self.int_arithmetic(operator, left, right, exit);
                self.set_word(to);
            }
            Way::Floats if self.guards => {
                let exit = self.guard();
                self.guard_float(left, exit);
                self.guard_float(right, exit);
                let left = self.float(left, 0);
                let right = self.float(right, 1);
                self.float_arithmetic(operator, left, right);
                self.set_float(to);
            }
            _ if may_be_int(known_left) && may_be_int(known_right) => {
                let slow = self.slow_way();
                self.int_arithmetic(operator, left, right, slow.from);
                self.set_word(to);
                self.come_back(&slow);
            }
            _ => self.operate(),
        }
    }

    fn float_arithmetic(&mut self, operator: Arithmetic, left: u8, right: u8) {
        // The right side may stand in xmm0 only if the left one does.
        if left != 0 {
            asm!(self.ops, movaps xmm0, Rx(left));
        }
        match operator {
            Arithmetic::Add => asm!(self.ops, addsd xmm0, Rx(right)),
            Arithmetic::Sub => asm!(self.ops, subsd xmm0, Rx(right)),
            Arithmetic::Mul => asm!(self.ops, mulsd xmm0, Rx(right)),
            Arithmetic::Div | Arithmetic::Rem => asm!(self.ops, divsd xmm0, Rx(right)),
        }
    }

    /// Puts the tagged result into `rax`, or goes elsewhere with nothing changed.
    fn int_arithmetic(&mut self, operator: Arithmetic, left: u8, right: u8, otherwise: DynamicLabel) {
        self.guard_int_quietly(left, otherwise);
        self.guard_int_quietly(right, otherwise);
        if let Type::Constant(bits) = self.known(right) {
            return self.arithmetic_with_constant(operator, left, bits, otherwise);
        }
        let right = self.word(right, RCX);
        self.word_in(left, RAX);
        match operator {
            Arithmetic::Add => asm!(self.ops, lea rcx, [Rq(right) - 1]; add rax, rcx; jo =>otherwise),
            Arithmetic::Sub => asm!(self.ops, sub rax, Rq(right); jo =>otherwise; inc rax),
            Arithmetic::Mul => {
                asm!(self.ops, sar rax, 1; lea rcx, [Rq(right) - 1]; imul rax, rcx; jo =>otherwise; inc rax);
            }
            Arithmetic::Div | Arithmetic::Rem => {
                asm!(self.ops,
                    mov rcx, Rq(right)
                    ; cmp rcx, 1
                    ; je =>otherwise
                    ; cmp rcx, -1
                    ; je =>otherwise
                );
                self.divide(operator);
            }
        }
    }

    fn arithmetic_with_constant(
        &mut self,
        operator: Arithmetic,
        left: u8,
        bits: i32,
        otherwise: DynamicLabel,
    ) {
        self.word_in(left, RAX);
        match operator {
            Arithmetic::Add => asm!(self.ops, add rax, bits - 1; jo =>otherwise),
            Arithmetic::Sub => asm!(self.ops, sub rax, bits - 1; jo =>otherwise),
            Arithmetic::Mul => {
                asm!(self.ops, dec rax; imul rax, rax, bits >> 1; jo =>otherwise; inc rax);
            }
            Arithmetic::Div | Arithmetic::Rem if bits == 1 || bits == -1 => {
                asm!(self.ops, jmp =>otherwise);
            }
            Arithmetic::Div | Arithmetic::Rem => {
                if let Some(reciprocal) = Reciprocal::of(bits >> 1) {
                    self.divide_by(operator, reciprocal);
                } else {
                    asm!(self.ops, mov rcx, bits);
                    self.divide(operator);
                }
            }
        }
    }

    pub(super) fn negate(&mut self, to: u8, from: u8) {
        let kind = self.known(from);
        match types::numeric(kind, kind, self.seen()) {
            Way::Ints if self.guards => {
                let exit = self.guard();
                self.guard_int(from, exit);
                self.word_in(from, RCX);
                // Minus twice the integer and one is 2 less the word.
                asm!(self.ops, mov eax, 2; sub rax, rcx; jo =>exit);
                self.set_word(to);
            }
            Way::Floats if self.guards => {
                let exit = self.guard();
                self.guard_float(from, exit);
                let float = self.float(from, 1);
                asm!(self.ops, mov rax, QWORD i64::MIN; movq xmm0, rax; xorps xmm0, Rx(float));
                self.set_float(to);
            }
            _ => self.operate(),
        }
    }

    /// Compares, and jumps at once if that is all that the result is for. Answers whether it did.
    pub(super) fn compare(&mut self, operator: Comparison, to: u8, left: u8, right: u8) -> bool {
        let (known_left, known_right) = (self.known(left), self.known(right));
        let slow: Option<SlowWay>;
        let condition = match types::comparison(operator, known_left, known_right, self.seen()) {
            Way::Ints if self.guards => {
                let exit = self.guard();
                self.guard_int(left, exit);
                self.guard_int(right, exit);
                slow = None;
                self.compare_words(operator, left, right)
            }
            Way::Words => {
                slow = None;
                self.compare_words(operator, left, right)
            }
            Way::Floats if self.guards => {
                let exit = self.guard();
                self.guard_float(left, exit);
                self.guard_float(right, exit);
                slow = None;
                self.compare_floats(operator, left, right)
            }
            _ if may_be_int(known_left) && may_be_int(known_right) => {
                let way = self.slow_way();
                self.guard_int_quietly(left, way.from);
                self.guard_int_quietly(right, way.from);
                slow = Some(way);
                self.compare_words(operator, left, right)
            }
            _ => {
                self.operate();
                return false;
            }
        };
        if slow.is_none()
            && let Some((target, jumps_if)) = self.jump_made_of(to)
        {
            self.places_without(to);
            let label = self.way_to(target);
            jump(self, if jumps_if { condition } else { condition.opposite() }, label);
            return true;
        }
        self.flag(condition);
        self.set_word(to);
        if let Some(slow) = slow {
            self.come_back(&slow);
        }
        false
    }

    fn compare_words(&mut self, operator: Comparison, left: u8, right: u8) -> Condition {
        let word = self.word(left, RAX);
        if let Type::Constant(bits) = self.known(right) {
            asm!(self.ops, cmp Rq(word), bits);
        } else {
            let other = self.word(right, RCX);
            asm!(self.ops, cmp Rq(word), Rq(other));
        }
        Condition::of_integers(operator)
    }

    /// A comparison with what is no number is false, and so is every condition here.
    fn compare_floats(&mut self, operator: Comparison, left: u8, right: u8) -> Condition {
        let left = self.float(left, 0);
        let right = self.float(right, 1);
        match operator {
            Comparison::Lt | Comparison::Le => asm!(self.ops, ucomisd Rx(right), Rx(left)),
            _ => asm!(self.ops, ucomisd Rx(left), Rx(right)),
        }
        match operator {
            Comparison::Lt | Comparison::Gt => Condition::Above,
            Comparison::Le | Comparison::Ge => Condition::AboveOrEqual,
            Comparison::Eq | Comparison::Ne => {
                asm!(self.ops, sete al; setnp cl; test al, cl);
                if operator == Comparison::Eq { Condition::NotEqual } else { Condition::Equal }
            }
        }
    }

    /// The jump after the current comparison, if it is the only one that reads the result: its target,
    /// and whether it jumps when the comparison holds.
    fn jump_made_of(&self, flag: u8) -> Option<(u32, bool)> {
        let next = self.pc as usize + 1;
        let (condition, target, jumps_if) = match *self.function.code.get(next)? {
            Op::JumpIfFalse { condition, target } => (condition, target, false),
            Op::JumpIfTrue { condition, target } => (condition, target, true),
            _ => return None,
        };
        let read_later = [next + 1, target as usize].into_iter().any(|pc| self.effects.is_live(pc, flag));
        (condition == flag && !read_later && !self.effects.is_join(next)).then_some((target, jumps_if))
    }

    fn places_without(&mut self, register: u8) {
        if let Some(home) = self.home(register) {
            self.places[home] = Place::Memory;
        }
    }

    /// Makes a boolean of the processor's flags, in `rax`.
    fn flag(&mut self, condition: Condition) {
        match condition {
            Condition::Equal => asm!(self.ops, sete al),
            Condition::NotEqual => asm!(self.ops, setne al),
            Condition::Less => asm!(self.ops, setl al),
            Condition::LessOrEqual => asm!(self.ops, setle al),
            Condition::Greater => asm!(self.ops, setg al),
            Condition::GreaterOrEqual => asm!(self.ops, setge al),
            Condition::Above => asm!(self.ops, seta al),
            Condition::AboveOrEqual => asm!(self.ops, setae al),
            Condition::BelowOrEqual => asm!(self.ops, setbe al),
            Condition::Below => asm!(self.ops, setb al),
        }
        self.boolean();
    }

    /// Makes a boolean of `al`.
    pub(super) fn boolean(&mut self) {
        asm!(self.ops, movzx eax, al; imul eax, eax, TRUE - FALSE; add eax, FALSE);
    }

    /// Checks for an integer without learning that it is one: the machine may go on with another kind.
    fn guard_int_quietly(&mut self, register: u8, otherwise: DynamicLabel) {
        let known = self.known(register);
        self.guard_int(register, otherwise);
        if !self.guards {
            self.known[usize::from(register)] = known;
        }
    }
}

fn may_be_int(kind: Type) -> bool {
    kind.is_int() || kind == Type::Unknown
}

fn jump(compiler: &mut Compiler<'_>, condition: Condition, label: DynamicLabel) {
    match condition {
        Condition::Equal => asm!(compiler.ops, je =>label),
        Condition::NotEqual => asm!(compiler.ops, jne =>label),
        Condition::Less => asm!(compiler.ops, jl =>label),
        Condition::LessOrEqual => asm!(compiler.ops, jle =>label),
        Condition::Greater => asm!(compiler.ops, jg =>label),
        Condition::GreaterOrEqual => asm!(compiler.ops, jge =>label),
        Condition::Above => asm!(compiler.ops, ja =>label),
        Condition::AboveOrEqual => asm!(compiler.ops, jae =>label),
        Condition::BelowOrEqual => asm!(compiler.ops, jbe =>label),
        Condition::Below => asm!(compiler.ops, jb =>label),
    }
}

const _: () = assert!(immediate(Value::TRUE.0) > immediate(Value::FALSE.0));
