//! Values of registers as they stood at a fault.

use iced_x86::Register;

/// The general registers, in the order of their x86-64 encoding: rax rcx rdx rbx rsp rbp rsi rdi r8…r15.
#[derive(Clone, Copy)]
pub struct Registers<'a>(pub Option<&'a [u64; 16]>);

impl Registers<'_> {
    /// The value of a general register or of a part of one (`eax`, `ax`, `al`, `ah`), zero-extended.
    pub fn value(self, register: Register) -> Option<u64> {
        if !register.is_gpr() {
            return None;
        }
        let whole = *self.0?.get(register.full_register().number())?;
        Some(match register {
            Register::AH | Register::CH | Register::DH | Register::BH => whole >> 8 & 0xff,
            _ => truncate(whole, register.size() as u64),
        })
    }

    /// A part of an effective address: as [`Self::value`]; segments start at 0, as the processor
    /// takes them in 64-bit mode, but where thread-local memory starts (fs, gs) is not known.
    pub fn part_of_address(self, register: Register) -> Option<u64> {
        match register {
            Register::ES | Register::CS | Register::SS | Register::DS => Some(0),
            _ => self.value(register),
        }
    }
}

/// The low `width` bytes of a value.
pub const fn truncate(value: u64, width: u64) -> u64 {
    if width >= 8 { value } else { value & ((1 << (width * 8)) - 1) }
}

/// The low `width` bytes of a value, as a signed number.
#[expect(clippy::cast_possible_wrap, reason = "two's complement is meant")]
pub const fn signed(value: u64, width: u64) -> i64 {
    if width == 0 || width >= 8 {
        return value as i64;
    }
    let unused = 64 - width * 8;
    (value << unused) as i64 >> unused
}
