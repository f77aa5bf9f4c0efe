//! Tagged 64-bit words.
//!
//! | low bits | meaning                                              |
//! | -------- | ---------------------------------------------------- |
//! | `…1`     | an integer of 63 bits, shifted left by one           |
//! | `…0000`  | address of an object; zero is a register never set   |
//! | `…10`    | a float whose exponent is neither tiny nor huge      |
//! | `…0100`  | nil, false, true, a builtin function, or a shared box |
//!
//! Integers outside of 63 bits and floats of rare exponents are objects of their own
//! ([`Kind::Int`](super::super::gc::object::Kind), `Kind::Float`).

/// One word that a program can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value(pub(crate) u64);

const BUILTIN_TAG: u64 = 0x34;
const BOX_TAG: u64 = 0x54;
const FLOAT_TAG: u64 = 2;
/// The word for `0.0`.
const FLOAT_ZERO: u64 = Value::FLOAT_ZERO.0;
/// The float whose word would be that of zero: 2^-255 exactly.
const FLOAT_CLASH: u64 = 0x3000_0000_0000_0000;

impl Value {
    pub(crate) const NIL: Self = Self(0x04);
    pub(crate) const FALSE: Self = Self(0x14);
    pub(crate) const TRUE: Self = Self(0x24);
    pub(crate) const FLOAT_ZERO: Self = Self(0x8000_0000_0000_0002);
    /// A global variable whose `let` has not run yet. Programs never see it.
    pub(crate) const UNSET: Self = Self(0x44);

    pub(crate) const fn boolean(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }

    pub(crate) const fn builtin(index: u8) -> Self {
        Self((index as u64) << 8 | BUILTIN_TAG)
    }

    /// The box in that word of the shared boxes.
    pub(crate) const fn shared_box(index: u64) -> Self {
        Self(index << 8 | BOX_TAG)
    }

    pub(crate) const fn as_shared_box(self) -> Option<u64> {
        if self.0 & 0xff == BOX_TAG { Some(self.0 >> 8) } else { None }
    }

    /// The integer as a tagged word, if it fits.
    pub(crate) const fn small_int(value: i64) -> Option<Self> {
        let shifted = value << 1;
        if shifted >> 1 == value { Some(Self(shifted.cast_unsigned() | 1)) } else { None }
    }

    pub(crate) const fn as_small_int(self) -> Option<i64> {
        if self.0 & 1 == 1 { Some(self.0.cast_signed() >> 1) } else { None }
    }

    pub(crate) fn as_builtin(self) -> Option<u8> {
        if self.0 & 0xff == BUILTIN_TAG { u8::try_from(self.0 >> 8).ok() } else { None }
    }

    /// The float as a word, unless its exponent is rare: zero and 2^-255 to 2^256 fit.
    ///
    /// The encoding is that of Ruby's flonum (`internal/numeric.h`): the exponents that fit begin with
    /// the bits 011 or 100, of which the first two tell each other, so rotating by three makes room for
    /// the tag.
    pub(crate) const fn small_float(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        if bits == 0 {
            return Some(Self(FLOAT_ZERO));
        }
        let top = bits >> 60 & 7;
        if (top == 3 || top == 4) && bits != FLOAT_CLASH {
            return Some(Self(bits.rotate_left(3) & !3 | FLOAT_TAG));
        }
        None
    }

    pub(crate) const fn as_small_float(self) -> Option<f64> {
        if self.0 & 3 != FLOAT_TAG {
            return None;
        }
        if self.0 == FLOAT_ZERO {
            return Some(0.0);
        }
        let leading = 2 - (self.0 >> 63);
        Some(f64::from_bits((leading | self.0 & !3).rotate_right(3)))
    }

    /// The address, if the word is one.
    pub(crate) const fn as_address(self) -> Option<u64> {
        if self.0.trailing_zeros() >= 3 && self.0 != 0 { Some(self.0) } else { None }
    }

    /// Whether it is nil, a boolean or a builtin: equal to nothing but itself.
    pub(crate) const fn is_special(self) -> bool {
        self.0 & 15 == Self::NIL.0
    }

    /// Everything but nil and false counts as true.
    pub(crate) const fn is_truthy(self) -> bool {
        self.0 != Self::NIL.0 && self.0 != Self::FALSE.0
    }

    /// The word as a sign-extended immediate of an instruction, if it is small and no address.
    pub(crate) fn short_bits(self) -> Option<i32> {
        if self.as_address().is_some() {
            return None;
        }
        i32::try_from(self.0.cast_signed()).ok()
    }

    pub(crate) fn from_short_bits(bits: i32) -> Self {
        Self(i64::from(bits).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_63_bits_fit_and_larger_ones_do_not() {
        for value in [0, 1, -1, 42, (1 << 62) - 1, -(1 << 62)] {
            let word = Value::small_int(value).unwrap();
            assert_eq!(word.as_small_int(), Some(value));
            assert_eq!(word.as_address(), None);
        }
        for value in [1 << 62, -(1 << 62) - 1, i64::MAX, i64::MIN] {
            assert_eq!(Value::small_int(value), None);
        }
    }

    #[test]
    fn common_floats_fit_and_rare_ones_do_not() {
        for value in [0.0, 1.0, -1.0, 0.1, -1e70, 1e-70, 123_456.789, f64::EPSILON] {
            let word = Value::small_float(value).unwrap();
            assert_eq!(word.as_small_float().map(f64::to_bits), Some(value.to_bits()), "{value}");
            assert_eq!((word.as_address(), word.as_small_int(), word.as_builtin()), (None, None, None));
        }
        for value in [-0.0, f64::INFINITY, f64::NAN, 1e300, 1e-300, f64::from_bits(FLOAT_CLASH)] {
            assert_eq!(Value::small_float(value), None, "{value}");
        }
        for word in [Value::NIL, Value::TRUE, Value::builtin(3), Value(0x7000_0000_0010), Value(3)] {
            assert_eq!(word.as_small_float(), None);
        }
    }

    #[test]
    fn words_that_are_no_integers_are_told_apart() {
        assert_eq!(Value::builtin(7).as_builtin(), Some(7));
        assert_eq!(Value::NIL.as_builtin(), None);
        assert_eq!(Value::shared_box(900).as_shared_box(), Some(900));
        assert_eq!(Value::shared_box(900).as_address(), None);
        assert_eq!(Value::builtin(7).as_shared_box(), None);
        assert_eq!(Value::TRUE.as_address(), None);
        assert_eq!(Value(0x7000_0000_0010).as_address(), Some(0x7000_0000_0010));
        assert!(Value::TRUE.is_truthy() && !Value::FALSE.is_truthy() && !Value::NIL.is_truthy());
    }
}
