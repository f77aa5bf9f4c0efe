//! What the instruction at a fault does to memory: the second witness of a cause.

mod registers;
#[cfg(test)]
mod tests;

use iced_x86::{
    CodeSize, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, InstructionInfoOptions,
    MemorySize, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};
use registers::{Registers, signed, truncate};

/// What an instruction leaves in the memory that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Nothing: it only reads, or touches no memory.
    Nothing,
    /// What stood there plus a signed amount, where that is known: `inc dec add sub xadd`.
    Add(Option<i64>),
    /// Another function of what stood there: `and or xor shl bts cmpxchg…`.
    Change,
    /// A general register or a constant; its value where that is known: `mov xchg stosq`.
    Value(Option<u64>),
    /// A vector or floating-point register.
    Vector,
    /// A run of elements: `rep stos`, `movs`.
    Run,
    /// A return address, a frame, or a pushed value.
    Push,
    /// Anything else: saved processor state, control words.
    Other,
}

/// One decoded instruction, held against the byte at which it faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// What it stores.
    pub store: Store,
    /// Bytes stored; 0 where it stores none, or how many is not known.
    pub width: u64,
    /// Whether the store covers the faulting byte; `None` where the registers do not tell.
    pub covers: Option<bool>,
    /// Bytes of the store in front of the faulting byte: not 0 where it began on the page before.
    ///
    /// 0 where the registers do not tell: most stores fault at their first byte.
    pub lead: u64,
    /// New value minus old value, as a signed number of [`Self::width`] bytes, where both are known.
    pub delta: Option<i64>,
}

impl Store {
    /// Decodes the instruction that starts at `code[0]` and stands at `ip`, and compares what it
    /// writes with the byte at `address`.
    ///
    /// `registers` are the general ones in the order of their encoding (rax rcx rdx rbx rsp rbp rsi
    /// rdi r8…r15) before the store; `old` the bytes that start at `address & !7`. `None` where
    /// the bytes are no whole instruction.
    pub fn decode(
        code: &[u8],
        ip: u64,
        address: u64,
        registers: Option<&[u64; 16]>,
        old: Option<&[u8]>,
    ) -> Option<Decoded> {
        let instruction = Decoder::with_ip(64, code, ip, DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            return None;
        }
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(&instruction, InstructionInfoOptions::NO_REGISTER_USAGE);
        let registers = Registers(registers);
        let spans: Vec<Span> = info
            .used_memory()
            .iter()
            .filter(|memory| writes(memory.access()))
            .map(|memory| Span::of(&instruction, memory, registers))
            .collect();
        let covering = spans.iter().find(|span| span.covers(address) == Some(true));
        Some(match covering.or(spans.first()) {
            Some(span) => span.decoded(&instruction, address, registers, old),
            None => Decoded { store: Self::Nothing, width: 0, covers: Some(false), lead: 0, delta: None },
        })
    }
}

impl Decoded {
    /// Whether it writes memory at all.
    pub fn writes(&self) -> bool {
        self.store != Store::Nothing
    }
}

/// Memory that one instruction writes.
struct Span {
    /// First byte, where the registers tell.
    start: Option<u64>,
    /// Bytes; `None` where their number is not known.
    width: Option<u64>,
    /// Whether what stood there goes into what is stored.
    modifies: bool,
    /// Whether it may also run down from its start: the direction flag is not known.
    either_way: bool,
}

impl Span {
    fn of(instruction: &Instruction, memory: &UsedMemory, registers: Registers) -> Self {
        let element = match memory.memory_size() {
            MemorySize::Unknown => instruction.memory_size(),
            known => known,
        };
        let element = u64::try_from(element.size()).ok().filter(|size| *size > 0);
        let at = memory.virtual_address(0, |register, _, _| registers.part_of_address(register));
        let width = if repeats(instruction) {
            element.zip(registers.value(counter(memory))).and_then(|(size, n)| size.checked_mul(n))
        } else {
            element
        };
        Self {
            start: at.filter(|_| !addresses_bits(instruction)),
            width,
            modifies: matches!(memory.access(), OpAccess::ReadWrite | OpAccess::ReadCondWrite),
            either_way: repeats(instruction),
        }
    }

    fn covers(&self, address: u64) -> Option<bool> {
        let covers = address.wrapping_sub(self.start?) < self.width?;
        (covers || !self.either_way).then_some(covers)
    }

    fn decoded(
        &self,
        instruction: &Instruction,
        address: u64,
        registers: Registers,
        old: Option<&[u8]>,
    ) -> Decoded {
        let covers = self.covers(address);
        let width = self.width.unwrap_or(0);
        let lead = match self.start {
            Some(start) if covers == Some(true) => address - start,
            _ => 0,
        };
        let store = classify(instruction, width, self.modifies, registers);
        let delta = delta(store, width, || old_value(old?, address, lead, width));
        Decoded { store, width, covers, lead, delta }
    }
}

fn classify(instruction: &Instruction, width: u64, modifies: bool, registers: Registers) -> Store {
    let source = || operand(instruction, 1, registers);
    match instruction.mnemonic() {
        Mnemonic::Inc => Store::Add(Some(1)),
        Mnemonic::Dec => Store::Add(Some(-1)),
        Mnemonic::Add | Mnemonic::Xadd => Store::Add(source().map(|amount| signed(amount, width))),
        Mnemonic::Sub => Store::Add(source().map(|amount| signed(amount, width).wrapping_neg())),
        Mnemonic::Mov | Mnemonic::Movnti | Mnemonic::Xchg => {
            Store::Value(source().map(|value| truncate(value, width)))
        }
        _ if instruction.is_string_instruction() => string(instruction, registers),
        _ if instruction.is_stack_instruction() => Store::Push,
        _ if has_vector_operand(instruction) => Store::Vector,
        _ if modifies => Store::Change,
        _ => Store::Other,
    }
}

/// `stos` stores a register; `movs` what stands elsewhere, which is not known.
fn string(instruction: &Instruction, registers: Registers) -> Store {
    match instruction.mnemonic() {
        _ if repeats(instruction) => Store::Run,
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
            Store::Value(operand(instruction, 1, registers))
        }
        _ => Store::Run,
    }
}

/// New minus old value of a store.
fn delta(store: Store, width: u64, old: impl FnOnce() -> Option<u64>) -> Option<i64> {
    match store {
        Store::Add(amount) => amount,
        Store::Value(new) => Some(signed(new?.wrapping_sub(old()?), width)),
        _ => None,
    }
}

/// The value that stood where the store begins, out of the bytes from `address & !7` on.
fn old_value(old: &[u8], address: u64, lead: u64, width: u64) -> Option<u64> {
    let first = usize::try_from((address & 7).checked_sub(lead)?).ok()?;
    let width = usize::try_from(width).ok().filter(|width| (1..=8).contains(width))?;
    let bytes = old.get(first..first.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A constant, or the value of a general register.
fn operand(instruction: &Instruction, number: u32, registers: Registers) -> Option<u64> {
    match instruction.try_op_kind(number).ok()? {
        OpKind::Register => registers.value(instruction.op_register(number)),
        _ => instruction.try_immediate(number).ok(),
    }
}

const fn writes(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

fn repeats(instruction: &Instruction) -> bool {
    instruction.is_string_instruction() && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
}

/// The register that counts the repetitions of a string instruction.
fn counter(memory: &UsedMemory) -> Register {
    match memory.address_size() {
        CodeSize::Code32 => Register::ECX,
        _ => Register::RCX,
    }
}

/// `bts [mem], reg` reaches any bit from its address on, so the address says little.
fn addresses_bits(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc)
        && instruction.op1_kind() == OpKind::Register
}

fn has_vector_operand(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|number| {
        let register = match instruction.try_op_kind(number) {
            Ok(OpKind::Register) => instruction.op_register(number),
            _ => return false,
        };
        register.is_vector_register() || register.is_mm() || register.is_st()
    })
}
