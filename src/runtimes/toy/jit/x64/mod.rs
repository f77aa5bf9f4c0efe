//! The x86-64 back end: one template for every instruction, specialised for the kinds of values that
//! are known or guessed, with the values used most in machine registers ([`places`]).
//!
//! `rbx` is the address of register 0, `r12` that of the context words, `r13` that of the first
//! global. Compiled functions take the address of register 0 in `rdi` and answer a status in `eax`;
//! a result goes into the word before register 0, where the callee stood.

mod cards;
mod counting;
mod division;
mod guards;
mod joins;
mod lists;
mod numbers;
mod places;
mod sections;
mod sites;
mod slots;
mod stores;

use super::deopt::Exit;
use super::effects::Effects;
use super::native::{GLOBALS_WORD, RESUME_WORD};
use super::plan::{Plan, Start};
use super::site::Site;
use super::types::{Seen, Type, Types};
use super::{Assembled, Layout};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::gc::object::{BODY, LIST_ARRAY, LIST_COUNT};
use crate::runtimes::toy::lang::bytecode::{Constant, Function, Op, Program};
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::vm::{CALL_DEPTH_LIMIT, HIGH_WORD};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};
use places::{Homes, Places, RAX};
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

/// Enters compiled code from Rust: `(context, registers, entry) -> status`. All of Rust's registers are
/// saved here, once for all compiled code that runs above.
pub(super) fn trampoline() -> Option<Vec<u8>> {
    let mut ops = Assembler::new(0);
    asm!(ops,
        push rbx; push rbp; push r12; push r13; push r14; push r15
        ; sub rsp, 8
        ; mov r12, rdi
        ; mov r13, [r12 + context(GLOBALS_WORD)]
        ; mov rdi, rsi
        ; call rdx
        ; add rsp, 8
        ; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
        ; ret
    );
    ops.finalize().ok()
}

/// What to enter instead of a function to go on in the middle of one.
pub(super) fn resumption() -> Option<Vec<u8>> {
    let mut ops = Assembler::new(0);
    asm!(ops, push rbx; mov rbx, rdi; jmp QWORD [r12 + context(RESUME_WORD)]);
    ops.finalize().ok()
}

/// Compiles one function for the addresses of a layout, as the plan says.
pub(super) fn compile(
    program: &Program,
    index: u32,
    plan: Plan,
    barrier: Barrier,
    layout: Layout,
) -> Option<Assembled> {
    let function = &program.functions[index as usize];
    let mut ops = Assembler::new(layout.hot);
    let labels = function.code.iter().map(|_| ops.new_dynamic_label()).collect();
    let (failed, leave) = (ops.new_dynamic_label(), ops.new_dynamic_label());
    let mut compiler = Compiler {
        ops,
        address: layout.hot,
        layout,
        index,
        program,
        function,
        constants: i32::try_from(program.globals.len()).ok()?,
        barrier,
        frame: function.frame,
        labels,
        failed,
        leave,
        sites: Vec::new(),
        words: Vec::new(),
        exits: Vec::new(),
        aside: Vec::new(),
        homes: if plan.homes { Homes::choose(&plan.effects) } else { Homes::none() },
        places: Places::default(),
        decided: vec![None; function.code.len()],
        known: vec![Type::Unknown; usize::from(function.frame)],
        pc: plan.start.pc(),
        effects: plan.effects,
        types: plan.types,
        seen: plan.seen,
        guards: plan.guards,
        leaves_at_random: plan.guards && layout.leaves_at_random,
        is_at_entry: false,
    };
    compiler.begin(plan.start, &plan.seeds);
    compiler.function(plan.start)?;
    let hot = compiler.begin_cold()?;
    compiler.common_exit();
    while let Some(aside) = compiler.aside.pop() {
        compiler.aside(aside)?;
    }
    compiler.finish(hot)
}

struct Compiler<'a> {
    /// The part of the code that is being written: the hot one, then the cold one.
    ops: Assembler,
    /// The address of that part.
    address: usize,
    layout: Layout,
    index: u32,
    program: &'a Program,
    function: &'a Function,
    /// How many global variables stand before the constants.
    constants: i32,
    /// What every store of a reference has to do.
    barrier: Barrier,
    /// How many registers the function has.
    frame: u16,
    /// Where the code of every instruction begins.
    labels: Vec<DynamicLabel>,
    /// Where the call ends with an error.
    failed: DynamicLabel,
    /// Where exits lead to.
    leave: DynamicLabel,
    sites: Vec<Site>,
    words: Vec<Word>,
    exits: Vec<Exit>,
    /// Slow ways, which stand in the cold part.
    aside: Vec<Aside>,
    homes: Homes,
    /// Where the values with homes are.
    places: Places,
    /// Where they are at the beginning of instructions that jumps lead to.
    decided: Vec<Option<Places>>,
    /// What registers hold, within the current instruction.
    known: Vec<Type>,
    /// The current instruction.
    pc: u32,
    effects: Effects,
    types: Types,
    seen: Vec<Seen>,
    guards: bool,
    leaves_at_random: bool,
    is_at_entry: bool,
}

impl Compiler<'_> {
    /// Begins the call, and makes sure that what was guessed about its registers is right.
    fn begin(&mut self, start: Start, seeds: &[(u8, Type)]) {
        if start == Start::Call {
            let frame = slot_of(self.frame);
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
        }
        self.is_at_entry = true;
        for (register, kind) in seeds {
            let exit = self.guard();
            match kind {
                Type::Int => self.guard_int(*register, exit),
                Type::Float => self.guard_float(*register, exit),
                Type::List => self.guard_list(*register, exit),
                Type::Unknown | Type::Other | Type::Constant(_) => {}
            }
        }
        self.is_at_entry = false;
        if let Start::Loop(head) = start {
            self.clear_dead(head as usize);
            self.jump(head as usize);
        }
    }

    /// Clears what the interpreter left in registers that nobody reads any more. Values of theirs may
    /// stay in the machine's registers from now on, and the words would keep objects alive until the
    /// call ends.
    fn clear_dead(&mut self, head: usize) {
        for register in (0..=u8::MAX).take(usize::from(self.frame)) {
            if !self.effects.is_live(head, register) {
                asm!(self.ops, mov QWORD [rbx + slot(register)], 0);
            }
        }
    }

    fn function(&mut self, start: Start) -> Option<()> {
        let mut comes_from_above = start == Start::Call;
        let mut pc = 0;
        while pc < self.function.code.len() {
            let Some(known) = self.types.before(pc) else {
                comes_from_above = false;
                pc += 1;
                continue;
            };
            self.known.copy_from_slice(known);
            self.pc = u32::try_from(pc).ok()?;
            if self.effects.is_join(pc) {
                self.join(pc, comes_from_above);
            } else {
                let label = self.labels[pc];
                asm!(self.ops, =>label);
            }
            self.forget_dead();
            let took_two = self.instruction(self.function.code[pc])?;
            comes_from_above = !self.effects.at[pc].ends;
            pc += if took_two { 2 } else { 1 };
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

    /// Compiles the instruction; answers whether the next one is done as well.
    fn instruction(&mut self, op: Op) -> Option<bool> {
        match op {
            Op::Immediate { to, bits } => self.set_constant(to, bits),
            Op::Move { to, from } => self.copy(to, from),
            Op::Constant { to, index } => self.constant(to, index)?,
            Op::GetGlobal { to, index } => self.get_global(to, index)?,
            Op::SetGlobal { from, index } => {
                self.word_in(from, RAX);
                self.store_global(i32::try_from(index).ok()?.checked_mul(8)?);
            }
            Op::GetCell { to, cell } => {
                let cell = self.word(cell, RAX);
                asm!(self.ops, mov rax, [Rq(cell) + BODY_OFFSET]);
                self.set_word(to);
            }
            Op::SetCell { cell, from } => {
                self.word_in(cell, RAX);
                self.store_cell(from);
            }
            Op::GetCapture { to, index } => {
                self.load_captured_cell(index);
                asm!(self.ops, mov rax, [rax + BODY_OFFSET]);
                self.set_word(to);
            }
            Op::SetCapture { index, from } => {
                self.load_captured_cell(index);
                self.store_cell(from);
            }
            Op::CaptureCell { to, index } => {
                self.load_captured_cell(index);
                self.set_word(to);
            }
            Op::Arithmetic { operator, to, left, right } => self.arithmetic(operator, to, left, right),
            Op::Compare { operator, to, left, right } => {
                return Some(self.compare(operator, to, left, right));
            }
            Op::Negate { to, from } => self.negate(to, from),
            Op::Not { to, from } => {
                self.test_falsehood(from);
                asm!(self.ops, sete al);
                self.boolean();
                self.set_word(to);
            }
            Op::Jump { target } | Op::Loop { target } => self.jump(target as usize),
            Op::JumpIfFalse { condition, target } => {
                self.test_falsehood(condition);
                let target = self.way_to(target);
                asm!(self.ops, je =>target);
            }
            Op::JumpIfTrue { condition, target } => {
                self.test_falsehood(condition);
                let target = self.way_to(target);
                asm!(self.ops, jne =>target);
            }
            Op::NextItem { to, state, exit } => self.next_item(to, state, exit),
            Op::NextNumber { to, state, exit } => self.next_number(to, state, exit),
            Op::GetIndex { to, object, index } => self.get_index(to, object, index),
            Op::SetIndex { object, index, from } => self.set_index(object, index, from),
            Op::CheckList { list } => self.check_list(list),
            Op::CheckRange { state } => self.check_range(state),
            Op::GetField { to, object, .. } => self.get_field(to, object)?,
            Op::SetField { object, from, .. } => self.set_field(object, from)?,
            Op::Call { slot, .. } => self.call_value(slot)?,
            Op::CallFunction { slot, .. } => self.call_function(slot)?,
            Op::CallBuiltin { slot, builtin, .. } => self.call_builtin(slot, builtin),
            Op::Return { from } => self.return_from(from),
            Op::NewCell { .. }
            | Op::NewClosure { .. }
            | Op::NewList { .. }
            | Op::NewMap { .. }
            | Op::Append { .. }
            | Op::NewRecord { .. }
            | Op::FailAssertion { .. } => self.operate(),
        }
        Some(false)
    }

    fn copy(&mut self, to: u8, from: u8) {
        match self.home(from).map(|home| self.places[home]) {
            Some(places::Place::Constant(bits)) => self.set_constant(to, bits),
            Some(places::Place::Float { .. }) if self.home(to).is_some() => {
                let float = self.float(from, 0);
                asm!(self.ops, movaps xmm0, Rx(float));
                self.set_float(to);
            }
            _ => {
                self.word_in(from, RAX);
                self.set_word(to);
            }
        }
    }

    fn constant(&mut self, to: u8, index: u32) -> Option<()> {
        if let Constant::Float(bits) = self.program.constants[index as usize]
            && Value::small_float(f64::from_bits(bits)).is_some()
            && self.home(to).is_some()
        {
            asm!(self.ops, mov rax, QWORD bits.cast_signed(); movq xmm0, rax);
            self.set_float(to);
            return Some(());
        }
        let offset = i32::try_from(index).ok()?.checked_add(self.constants)?.checked_mul(8)?;
        asm!(self.ops, mov rax, [r13 + offset]);
        self.set_word(to);
        Some(())
    }

    fn get_global(&mut self, to: u8, index: u32) -> Option<()> {
        let slow = self.slow_way();
        let (offset, from) = (i32::try_from(index).ok()?.checked_mul(8)?, slow.from);
        asm!(self.ops, mov rax, [r13 + offset]; cmp rax, UNSET; je =>from);
        self.set_word(to);
        self.come_back(&slow);
        Some(())
    }

    /// What the interpreter saw at the current instruction.
    fn seen(&self) -> Seen {
        self.seen.get(self.pc as usize).copied().unwrap_or_default()
    }

    fn load_captured_cell(&mut self, index: u8) {
        asm!(self.ops, mov rax, [rbx - 8]; mov rax, [rax + BODY_OFFSET + 8 * i32::from(index)]);
    }

    /// Sets the flags to equal if the register holds nil or false.
    fn test_falsehood(&mut self, condition: u8) {
        self.word_in(condition, RAX);
        asm!(self.ops, and rax, !NIL_OR_FALSE; cmp rax, NIL);
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
