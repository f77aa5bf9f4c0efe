//! The x86-64 back end: one template for every instruction, all values in the registers on the VM
//! stack.
//!
//! `rbx` is the address of register 0, `r12` that of the context words, `r13` that of the first
//! global. Compiled functions take the address of register 0 in `rdi` and answer a status in `eax`;
//! a result goes into the word before register 0, where the callee stood.

use super::native::{CALL_WORD, FIELD_WORD, GLOBALS_WORD, OPERATE_WORD};
use super::{Assembled, NEVER, Site};
use crate::runtimes::toy::gc::object::{BODY, LIST_ARRAY, LIST_COUNT};
use crate::runtimes::toy::lang::bytecode::{Arithmetic, Comparison, Function, Op};
use crate::runtimes::toy::vm::CALL_DEPTH_LIMIT;
use crate::runtimes::toy::vm::value::Value;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

type Assembler = VecAssembler<X64Relocation>;

macro_rules! asm {
    ($assembler:expr, $($code:tt)*) => { dynasm!($assembler ; .arch x64 ; $($code)*) };
}

const NIL: i32 = Value::NIL.0 as i32;
const FALSE: i32 = Value::FALSE.0 as i32;
const TRUE: i32 = Value::TRUE.0 as i32;
const UNSET: i32 = Value::UNSET.0 as i32;
/// The one bit in which nil and false differ.
const NIL_OR_FALSE: i32 = NIL ^ FALSE;
const DEPTH_LIMIT: i32 = CALL_DEPTH_LIMIT as i32;
const BODY_OFFSET: i32 = BODY as i32;
const COUNT_OFFSET: i32 = LIST_COUNT as i32;
const ARRAY_OFFSET: i32 = LIST_ARRAY as i32;

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

/// Compiles one function for the address. Its patchable places get numbers from `first_site` on.
pub(super) fn compile(
    index: u32,
    function: &Function,
    constants: usize,
    address: u64,
    first_site: usize,
) -> Option<Assembled> {
    let mut ops = Assembler::new(usize::try_from(address).ok()?);
    let labels = function.code.iter().map(|_| ops.new_dynamic_label()).collect();
    let failed = ops.new_dynamic_label();
    let constants = i32::try_from(constants).ok()?;
    let address = usize::try_from(address).ok()?;
    let mut compiler =
        Compiler { ops, index, constants, address, first_site, labels, failed, sites: Vec::new(), aside: Vec::new() };
    compiler.function(function)?;
    let code = compiler.ops.finalize().ok()?;
    Some(Assembled { code, sites: compiler.sites })
}

struct Compiler {
    ops: Assembler,
    index: u32,
    /// How many global variables stand before the constants.
    constants: i32,
    address: usize,
    first_site: usize,
    /// Where the code of every instruction begins.
    labels: Vec<DynamicLabel>,
    failed: DynamicLabel,
    sites: Vec<Site>,
    /// Slow ways, which stand after the function's fast code.
    aside: Vec<Aside>,
}

/// Code out of the way of the fast one.
enum Aside {
    /// Lets the machine do the instruction, then goes on.
    Operate { from: DynamicLabel, back: DynamicLabel, pc: u32 },
    /// Lets the machine access a field.
    Field { from: DynamicLabel, back: DynamicLabel, site: u32 },
    /// Lets the machine make the call that a call instruction led here.
    CallStub { from: DynamicLabel, site: u32 },
    /// Calls the stub, then goes on.
    CallSlowly { from: DynamicLabel, back: DynamicLabel, stub: DynamicLabel, callee: i32 },
}

impl Compiler {
    fn function(&mut self, function: &Function) -> Option<()> {
        asm!(self.ops, push rbx; mov rbx, rdi; inc QWORD [r12]);
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
        for aside in std::mem::take(&mut self.aside) {
            self.aside(&aside)?;
        }
        Some(())
    }

    fn instruction(&mut self, pc: u32, op: Op) -> Option<()> {
        match op {
            Op::Immediate { to, bits } => asm!(self.ops, mov QWORD [rbx + slot(to)], bits),
            Op::Move { to, from } => asm!(self.ops, mov rax, [rbx + slot(from)]; mov [rbx + slot(to)], rax),
            Op::Constant { to, index } => {
                let offset = i32::try_from(index).ok()?.checked_add(self.constants)?.checked_mul(8)?;
                asm!(self.ops, mov rax, [r13 + offset]; mov [rbx + slot(to)], rax);
            }
            Op::GetGlobal { to, index } => {
                let slow = self.slow(pc);
                let offset = i32::try_from(index).ok()?.checked_mul(8)?;
                asm!(self.ops,
                    mov rax, [r13 + offset]
                    ; cmp rax, UNSET
                    ; je =>slow
                    ; mov [rbx + slot(to)], rax
                );
            }
            Op::SetGlobal { from, index } => {
                let offset = i32::try_from(index).ok()?.checked_mul(8)?;
                asm!(self.ops, mov rax, [rbx + slot(from)]; mov [r13 + offset], rax);
            }
            Op::GetCell { to, cell } => asm!(self.ops,
                mov rax, [rbx + slot(cell)]
                ; mov rax, [rax + BODY_OFFSET]
                ; mov [rbx + slot(to)], rax
            ),
            Op::SetCell { cell, from } => asm!(self.ops,
                mov rax, [rbx + slot(cell)]
                ; mov rcx, [rbx + slot(from)]
                ; mov [rax + BODY_OFFSET], rcx
            ),
            Op::GetCapture { to, index } => {
                self.load_captured_cell(index);
                asm!(self.ops, mov rax, [rax + BODY_OFFSET]; mov [rbx + slot(to)], rax);
            }
            Op::SetCapture { index, from } => {
                self.load_captured_cell(index);
                asm!(self.ops, mov rcx, [rbx + slot(from)]; mov [rax + BODY_OFFSET], rcx);
            }
            Op::CaptureCell { to, index } => {
                self.load_captured_cell(index);
                asm!(self.ops, mov [rbx + slot(to)], rax);
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
                    ; mov [rbx + slot(to)], rax
                    ; add rax, 2
                    ; mov [rbx + slot(state)], rax
                );
            }
            Op::GetField { to, object, .. } => self.get_field(pc, to, object)?,
            Op::SetField { object, from, .. } => self.set_field(pc, object, from)?,
            Op::Call { slot, .. } => self.call_value(pc, slot)?,
            Op::CallFunction { slot, .. } => self.call_function(pc, slot)?,
            Op::Return { from } => asm!(self.ops,
                mov rax, [rbx + slot(from)]
                ; mov [rbx - 8], rax
                ; xor eax, eax
                ; dec QWORD [r12]
                ; pop rbx
                ; ret
            ),
            Op::NewCell { .. }
            | Op::NewClosure { .. }
            | Op::Negate { .. }
            | Op::CallBuiltin { .. }
            | Op::NewList { .. }
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
        asm!(self.ops, mov [rbx + slot(to)], rax);
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
        const SHIFT: i8 = (TRUE - FALSE).trailing_zeros() as i8;
        asm!(self.ops,
            movzx eax, al
            ; shl eax, SHIFT
            ; add eax, FALSE
            ; mov [rbx + slot(to)], rax
        );
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
            ; mov [rbx + slot(to)], rax
            ; add QWORD [rbx + slot(state) + 8], 2
        );
    }

    fn get_field(&mut self, pc: u32, to: u8, object: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let guard = self.guarded_object(object, slow);
        // mov rax, [rax + offset]
        let operand = self.patchable(&[0x48, 0x8b, 0x80], 0);
        asm!(self.ops, mov [rbx + slot(to)], rax; =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::Field { from: slow, back, site });
        Some(())
    }

    fn set_field(&mut self, pc: u32, object: u8, from: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let guard = self.guarded_object(object, slow);
        asm!(self.ops, mov rcx, [rbx + slot(from)]);
        // mov [rax + offset], rcx
        let operand = self.patchable(&[0x48, 0x89, 0x88], 0);
        asm!(self.ops, =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::Field { from: slow, back, site });
        Some(())
    }

    /// Loads an object into `rax` if the upper half of its header equals the guard.
    fn guarded_object(&mut self, object: u8, slow: DynamicLabel) -> usize {
        asm!(self.ops,
            mov rax, [rbx + slot(object)]
            ; test al, 7
            ; jnz =>slow
        );
        // cmp dword [rax + 4], guard
        let guard = self.patchable(&[0x81, 0x78, 0x04], NEVER);
        asm!(self.ops, jne =>slow);
        guard
    }

    fn call_function(&mut self, pc: u32, callee: u8) -> Option<()> {
        let stub = self.ops.new_dynamic_label();
        let operand = self.direct_call(callee, stub);
        let site = self.site(pc, None, operand)?;
        self.aside.push(Aside::CallStub { from: stub, site });
        Some(())
    }

    fn call_value(&mut self, pc: u32, callee: u8) -> Option<()> {
        let (slow, back) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        let stub = self.ops.new_dynamic_label();
        let guard = self.guarded_object(callee, slow);
        let operand = self.direct_call(callee, stub);
        asm!(self.ops, =>back);
        let site = self.site(pc, Some(guard), operand)?;
        self.aside.push(Aside::CallStub { from: stub, site });
        self.aside.push(Aside::CallSlowly { from: slow, back, stub, callee: slot(callee) + 8 });
        Some(())
    }

    /// Calls the stub until the call is patched. Calls nested too deeply always go to the stub.
    fn direct_call(&mut self, callee: u8, stub: DynamicLabel) -> usize {
        let (too_deep, done) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        self.aside.push(Aside::CallSlowly { from: too_deep, back: done, stub, callee: slot(callee) + 8 });
        let failed = self.failed;
        asm!(self.ops,
            cmp QWORD [r12], DEPTH_LIMIT
            ; jae =>too_deep
            ; lea rdi, [rbx + slot(callee) + 8]
        );
        self.pad(1);
        let operand = self.here() + 1;
        asm!(self.ops,
            call =>stub
            ; test eax, eax
            ; jnz =>failed
            ; =>done
        );
        operand
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

    fn aside(&mut self, aside: &Aside) -> Option<()> {
        let failed = self.failed;
        match *aside {
            Aside::Operate { from, back, pc } => {
                asm!(self.ops, =>from);
                self.call_operate(pc);
                asm!(self.ops, test eax, eax; jnz =>failed; jmp =>back);
            }
            Aside::Field { from, back, site } => asm!(self.ops,
                =>from
                ; mov rdi, r12
                ; mov rsi, rbx
                ; mov edx, site.cast_signed()
                ; call QWORD [r12 + context(FIELD_WORD)]
                ; test eax, eax
                ; jnz =>failed
                ; jmp =>back
            ),
            Aside::CallStub { from, site } => asm!(self.ops,
                =>from
                ; sub rsp, 8
                ; mov rsi, rdi
                ; mov rdi, r12
                ; mov edx, site.cast_signed()
                ; call QWORD [r12 + context(CALL_WORD)]
                ; add rsp, 8
                ; ret
            ),
            Aside::CallSlowly { from, back, stub, callee } => asm!(self.ops,
                =>from
                ; lea rdi, [rbx + callee]
                ; call =>stub
                ; test eax, eax
                ; jnz =>failed
                ; jmp =>back
            ),
        }
        Some(())
    }

    fn site(&mut self, pc: u32, guard: Option<usize>, operand: usize) -> Option<u32> {
        let number = u32::try_from(self.first_site + self.sites.len()).ok()?;
        self.sites.push(Site { function: self.index, pc, guard, operand });
        Some(number)
    }

    /// An instruction whose last four bytes are patched; returns their address.
    fn patchable(&mut self, opcode: &[u8], operand: u32) -> usize {
        self.pad(opcode.len());
        self.ops.extend(opcode);
        let address = self.here();
        self.ops.push_u32(operand);
        address
    }

    /// Makes the operand after so many bytes of opcode aligned.
    fn pad(&mut self, opcode: usize) {
        while (self.here() + opcode) % 4 != 0 {
            asm!(self.ops, nop);
        }
    }

    fn here(&self) -> usize {
        self.address + self.ops.offset().0
    }
}

/// Offset of a register from register 0, in bytes.
fn slot(register: u8) -> i32 {
    8 * i32::from(register)
}

/// Offset of a context word, in bytes.
const fn context(word: usize) -> i32 {
    8 * word as i32
}
