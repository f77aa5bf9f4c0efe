//! The x86-64 back end: one template for every instruction, all values in the registers on the VM
//! stack.
//!
//! `rbx` is the address of register 0, `r12` that of the context words, `r13` that of the first
//! global. Compiled functions take the address of register 0 in `rdi` and answer a status in `eax`;
//! a result goes into the word before register 0, where the callee stood.

mod counting;
mod sections;
mod sites;
mod slots;
mod stores;

use super::native::{GLOBALS_WORD, OPERATE_WORD};
use super::site::Site;
use super::{Assembled, Layout};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::gc::object::{BODY, LIST_ARRAY, LIST_COUNT};
use crate::runtimes::toy::lang::bytecode::{Arithmetic, Comparison, Function, Op};
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::vm::{CALL_DEPTH_LIMIT, HIGH_WORD};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};
use sections::Word;
use sites::Aside;

type Assembler = VecAssembler<X64Relocation>;

macro_rules! asm {
    ($assembler:expr, $($code:tt)*) => { dynasmrt::dynasm!($assembler ; .arch x64 ; $($code)*) };
}
use asm;

const NIL: i32 = immediate(Value::NIL.0);
const FALSE: i32 = immediate(Value::FALSE.0);
const TRUE: i32 = immediate(Value::TRUE.0);
const UNSET: i32 = immediate(Value::UNSET.0);
/// The one bit in which nil and false differ.
const NIL_OR_FALSE: i32 = NIL ^ FALSE;
const DEPTH_LIMIT: i32 = immediate(CALL_DEPTH_LIMIT);
const BODY_OFFSET: i32 = immediate(BODY);
const COUNT_OFFSET: i32 = immediate(LIST_COUNT);
const ARRAY_OFFSET: i32 = immediate(LIST_ARRAY);

/// Enters compiled code from Rust: `(context, registers, entry) -> status`.
pub(super) fn trampoline() -> Option<Vec<u8>> {
    let mut ops = Assembler::new(0);
    asm!(ops,
        push rbx; push r12; push r13
        ; mov r12, rdi
        ; mov r13, [r12 + context(GLOBALS_WORD)]
        ; mov rdi, rsi
        ; call rdx
        ; pop r13; pop r12; pop rbx
        ; ret
    );
    ops.finalize().ok()
}

/// Compiles one function for the addresses of a layout.
pub(super) fn compile(
    index: u32,
    function: &Function,
    constants: usize,
    barrier: Barrier,
    layout: Layout,
) -> Option<Assembled> {
    let mut ops = Assembler::new(layout.hot);
    let labels = function.code.iter().map(|_| ops.new_dynamic_label()).collect();
    let failed = ops.new_dynamic_label();
    let constants = i32::try_from(constants).ok()?;
    let mut compiler = Compiler {
        ops,
        address: layout.hot,
        layout,
        index,
        constants,
        barrier,
        frame: function.frame,
        labels,
        failed,
        sites: Vec::new(),
        words: Vec::new(),
        aside: Vec::new(),
    };
    compiler.function(function)?;
    let hot = compiler.begin_cold()?;
    for aside in std::mem::take(&mut compiler.aside) {
        compiler.slow_way(aside)?;
    }
    compiler.finish(hot)
}

struct Compiler {
    /// The part of the code that is being written: the hot one, then the cold one.
    ops: Assembler,
    /// The address of that part.
    address: usize,
    layout: Layout,
    index: u32,
    /// How many global variables stand before the constants.
    constants: i32,
    /// What every store of a reference has to do.
    barrier: Barrier,
    /// How many registers the function has.
    frame: u16,
    /// Where the code of every instruction begins.
    labels: Vec<DynamicLabel>,
    failed: DynamicLabel,
    sites: Vec<Site>,
    words: Vec<Word>,
    /// Slow ways, which stand in the cold part.
    aside: Vec<Aside>,
}

impl Compiler {
    fn function(&mut self, function: &Function) -> Option<()> {
        let frame = slot_of(function.frame);
        asm!(self.ops,
            push rbx
            ; mov rbx, rdi
            ; inc QWORD [r12]
            ; lea rax, [rbx + frame]
            ; cmp rax, [r12 + context(HIGH_WORD)]
            ; jbe >raised
            ; mov [r12 + context(HIGH_WORD)], rax
            ; raised:
        );
        for (pc, op) in function.code.iter().enumerate() {
            let label = self.labels[pc];
            asm!(self.ops, =>label);
            self.instruction(u32::try_from(pc).ok()?, *op)?;
        }
        let failed = self.failed;
        asm!(self.ops,
            =>failed
            ; mov eax, 1
            ; dec QWORD [r12]
            ; pop rbx
            ; ret
        );
        Some(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for every instruction")]
    fn instruction(&mut self, pc: u32, op: Op) -> Option<()> {
        match op {
            Op::Immediate { to, bits } => self.store_immediate(to, bits),
            Op::Move { to, from } => {
                asm!(self.ops, mov rax, [rbx + slot(from)]);
                self.store(to);
            }
            Op::Constant { to, index } => {
                let offset = i32::try_from(index).ok()?.checked_add(self.constants)?.checked_mul(8)?;
                asm!(self.ops, mov rax, [r13 + offset]);
                self.store(to);
            }
            Op::GetGlobal { to, index } => {
                let slow = self.slow(pc);
                let offset = i32::try_from(index).ok()?.checked_mul(8)?;
                asm!(self.ops, mov rax, [r13 + offset]; cmp rax, UNSET; je =>slow);
                self.store(to);
            }
            Op::SetGlobal { from, index } => {
                asm!(self.ops, mov rax, [rbx + slot(from)]);
                self.store_global(i32::try_from(index).ok()?.checked_mul(8)?);
            }
            Op::GetCell { to, cell } => {
                asm!(self.ops, mov rax, [rbx + slot(cell)]; mov rax, [rax + BODY_OFFSET]);
                self.store(to);
            }
            Op::SetCell { cell, from } => {
                asm!(self.ops, mov rax, [rbx + slot(cell)]);
                self.store_cell(from);
            }
            Op::GetCapture { to, index } => {
                self.load_captured_cell(index);
                asm!(self.ops, mov rax, [rax + BODY_OFFSET]);
                self.store(to);
            }
            Op::SetCapture { index, from } => {
                self.load_captured_cell(index);
                self.store_cell(from);
            }
            Op::CaptureCell { to, index } => {
                self.load_captured_cell(index);
                self.store(to);
            }
            Op::Arithmetic { operator, to, left, right } => self.arithmetic(pc, operator, to, left, right),
            Op::Compare { operator, to, left, right } => self.compare(pc, operator, to, left, right),
            Op::Not { to, from } => {
                asm!(self.ops, mov rax, [rbx + slot(from)]; and rax, !NIL_OR_FALSE; cmp rax, NIL; sete al);
                self.store_flag(to);
            }
            Op::Jump { target } | Op::Loop { target } => {
                let target = self.labels[target as usize];
                asm!(self.ops, jmp =>target);
            }
            Op::JumpIfFalse { condition, target } => {
                let target = self.labels[target as usize];
                self.test_falsehood(condition);
                asm!(self.ops, je =>target);
            }
            Op::JumpIfTrue { condition, target } => {
                let target = self.labels[target as usize];
                self.test_falsehood(condition);
                asm!(self.ops, jne =>target);
            }
            Op::NextItem { to, state, exit } => self.next_item(to, state, exit),
            Op::NextNumber { to, state, exit } => {
                let exit = self.labels[exit as usize];
                asm!(self.ops,
                    mov rax, [rbx + slot(state)]
                    ; cmp rax, [rbx + slot(state) + 8]
                    ; jge =>exit
                    ; add QWORD [rbx + slot(state)], 2
                );
                self.store(to);
            }
            Op::GetField { to, object, .. } => self.get_field(pc, to, object)?,
            Op::SetField { object, from, .. } => self.set_field(pc, object, from)?,
            Op::Call { slot, .. } => self.call_value(pc, slot)?,
            Op::CallFunction { slot, .. } => self.call_function(pc, slot)?,
            Op::Return { from } => self.return_from(from),
            Op::NewCell { .. }
            | Op::NewClosure { .. }
            | Op::Negate { .. }
            | Op::CallBuiltin { .. }
            | Op::NewList { .. }
            | Op::NewMap { .. }
            | Op::Append { .. }
            | Op::NewRecord { .. }
            | Op::GetIndex { .. }
            | Op::SetIndex { .. }
            | Op::CheckList { .. }
            | Op::CheckRange { .. }
            | Op::FailAssertion { .. } => self.operate(pc),
        }
        Some(())
    }

    fn load_captured_cell(&mut self, index: u8) {
        asm!(self.ops, mov rax, [rbx - 8]; mov rax, [rax + BODY_OFFSET + 8 * i32::from(index)]);
    }

    fn arithmetic(&mut self, pc: u32, operator: Arithmetic, to: u8, left: u8, right: u8) {
        if matches!(operator, Arithmetic::Div | Arithmetic::Rem) {
            return self.operate(pc);
        }
        let slow = self.slow(pc);
        self.load_two_integers(left, right, slow);
        match operator {
            Arithmetic::Add => asm!(self.ops, dec rax; add rax, rcx; jo =>slow),
            Arithmetic::Sub => asm!(self.ops, sub rax, rcx; jo =>slow; inc rax),
            _ => asm!(self.ops, sar rax, 1; dec rcx; imul rax, rcx; jo =>slow; inc rax),
        }
        self.store(to);
    }

    fn compare(&mut self, pc: u32, operator: Comparison, to: u8, left: u8, right: u8) {
        let slow = self.slow(pc);
        self.load_two_integers(left, right, slow);
        asm!(self.ops, cmp rax, rcx);
        match operator {
            Comparison::Eq => asm!(self.ops, sete al),
            Comparison::Ne => asm!(self.ops, setne al),
            Comparison::Lt => asm!(self.ops, setl al),
            Comparison::Le => asm!(self.ops, setle al),
            Comparison::Gt => asm!(self.ops, setg al),
            Comparison::Ge => asm!(self.ops, setge al),
        }
        self.store_flag(to);
    }

    /// Loads tagged integers into `rax` and `rcx`, or goes the slow way.
    fn load_two_integers(&mut self, left: u8, right: u8, slow: DynamicLabel) {
        asm!(self.ops,
            mov rax, [rbx + slot(left)]
            ; mov rcx, [rbx + slot(right)]
            ; mov rdx, rax
            ; and rdx, rcx
            ; test dl, 1
            ; jz =>slow
        );
    }

    /// Makes a boolean of `al`.
    fn store_flag(&mut self, to: u8) {
        asm!(self.ops,
            movzx eax, al
            ; imul eax, eax, TRUE - FALSE
            ; add eax, FALSE
        );
        self.store(to);
    }

    /// Sets the flags to equal if the register holds nil or false.
    fn test_falsehood(&mut self, condition: u8) {
        asm!(self.ops,
            mov rax, [rbx + slot(condition)]
            ; and rax, !NIL_OR_FALSE
            ; cmp rax, NIL
        );
    }

    fn next_item(&mut self, to: u8, state: u8, exit: u32) {
        let exit = self.labels[exit as usize];
        asm!(self.ops,
            mov rax, [rbx + slot(state)]
            ; mov rcx, [rbx + slot(state) + 8]
            ; sar rcx, 1
            ; cmp rcx, [rax + COUNT_OFFSET]
            ; jae =>exit
            ; mov rax, [rax + ARRAY_OFFSET]
            ; mov rax, [rax + rcx * 8 + BODY_OFFSET]
            ; add QWORD [rbx + slot(state) + 8], 2
        );
        self.store(to);
    }

    /// The whole instruction, done by the machine.
    fn operate(&mut self, pc: u32) {
        let failed = self.failed;
        self.call_operate(pc);
        asm!(self.ops, test eax, eax; jnz =>failed);
    }

    fn call_operate(&mut self, pc: u32) {
        asm!(self.ops,
            mov rdi, r12
            ; mov rsi, rbx
            ; mov edx, pc.cast_signed()
            ; mov ecx, self.index.cast_signed()
            ; call QWORD [r12 + context(OPERATE_WORD)]
        );
    }

    /// A label that lets the machine do the instruction and go on after it.
    fn slow(&mut self, pc: u32) -> DynamicLabel {
        let from = self.ops.new_dynamic_label();
        let back = self.labels[pc as usize + 1];
        self.aside.push(Aside::Operate { from, back, pc });
        from
    }

    fn here(&self) -> usize {
        self.address + self.ops.offset().0
    }
}

/// Offset of a register from register 0, in bytes.
fn slot(register: u8) -> i32 {
    8 * i32::from(register)
}

/// Bytes of so many registers.
fn slot_of(registers: u16) -> i32 {
    8 * i32::from(registers)
}

/// Offset of a context word, in bytes.
const fn context(word: usize) -> i32 {
    8 * immediate(word as u64)
}

/// A small constant as an operand of an instruction.
#[expect(clippy::cast_possible_truncation, reason = "checked when the constants are evaluated")]
const fn immediate(small: u64) -> i32 {
    assert!(small < 1 << 24);
    small as i32
}

#[cfg(test)]
mod tests;
