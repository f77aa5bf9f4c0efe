//! Templates of integer division, which processors are slow at.

use super::sites::Aside;
use super::{Compiler, asm};
use crate::runtimes::toy::lang::bytecode::Arithmetic;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};

/// What to multiply with and to shift by instead of dividing numbers below 2^31.
///
/// The factor is the 2^shift-th part of the divisor, rounded up; with 31 bits more in the shift than in the
/// divisor, the rounding never shows (Granlund and Montgomery, "Division by invariant integers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reciprocal {
    divisor: i32,
    factor: u32,
    shift: i8,
}

impl Reciprocal {
    pub(super) fn of(divisor: i32) -> Option<Self> {
        let wide = u64::try_from(divisor).ok().filter(|divisor| *divisor >= 2)?;
        let shift = 31 + (64 - (wide - 1).leading_zeros());
        let factor = u32::try_from((1_u64 << shift).div_ceil(wide)).ok()?;
        Some(Self { divisor, factor, shift: i8::try_from(shift).ok()? })
    }
}

impl Compiler<'_> {
    /// Divides the integer in `rax` by a constant: by multiplication, where it is small and not negative.
    pub(super) fn divide_by(&mut self, operator: Arithmetic, reciprocal: Reciprocal) {
        let Reciprocal { divisor, factor, shift } = reciprocal;
        let (wide, divided) = (self.ops.new_dynamic_label(), self.ops.new_dynamic_label());
        asm!(self.ops,
            sar rax, 1
            ; cmp rax, i32::MAX
            ; ja =>wide
            ; mov edx, factor.cast_signed()
            ; imul rdx, rax
            ; shr rdx, shift
            ; =>divided
        );
        self.aside.push(Aside::Divide { from: wide, back: divided, divisor });
        if operator == Arithmetic::Rem {
            asm!(self.ops, imul rdx, rdx, divisor; sub rax, rdx; lea rax, [rax * 2 + 1]);
        } else {
            asm!(self.ops, lea rax, [rdx * 2 + 1]);
        }
    }

    /// Puts the quotient of the integer in `rax` and a constant into `rdx`.
    pub(super) fn divide_wide(&mut self, from: DynamicLabel, back: DynamicLabel, divisor: i32) {
        asm!(self.ops,
            =>from
            ; mov rcx, rax
            ; mov r8, divisor
            ; cqo
            ; idiv r8
            ; mov rdx, rax
            ; mov rax, rcx
            ; jmp =>back
        );
    }

    /// Divides the integers in `rax` and `rcx`, as 32-bit numbers where they are so small.
    pub(super) fn divide(&mut self, operator: Arithmetic) {
        asm!(self.ops,
            sar rax, 1
            ; sar rcx, 1
            ; mov rdx, rax
            ; or rdx, rcx
            ; shr rdx, 32
            ; jnz >wide
            ; xor edx, edx
            ; div ecx
            ; jmp >divided
            ; wide:
            ; cqo
            ; idiv rcx
            ; divided:
        );
        if operator == Arithmetic::Rem {
            asm!(self.ops, lea rax, [rdx * 2 + 1]);
        } else {
            asm!(self.ops, lea rax, [rax * 2 + 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn multiplying_with_the_reciprocal_divides(divisor in 2..i32::MAX, small in 2..300_i32, number in 0..=i32::MAX) {
            for divisor in [divisor, small] {
                let Reciprocal { factor, shift, .. } = Reciprocal::of(divisor).unwrap();
                for number in [number, number - number % divisor, i32::MAX, divisor - 1] {
                    let product = u64::from(number.cast_unsigned()) * u64::from(factor);
                    prop_assert_eq!(product >> shift, u64::from((number / divisor).cast_unsigned()));
                }
            }
        }
    }
}
