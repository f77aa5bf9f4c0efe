//! Integers and floats: arithmetic, order and equality, exact where the two meet.

use super::value::Value;
use super::{Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::{BODY, Header, Kind};
use crate::runtimes::toy::gc::plan::Reason;
use crate::runtimes::toy::lang::bytecode::Arithmetic;
use crate::runtimes::toy::lang::diagnostic::Diagnostic;
use std::cmp::Ordering;

/// A number, wherever it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// 2^63: the first float above all integers.
const ABOVE_ALL_INTS: f64 = 9_223_372_036_854_775_808.0;

impl Vm {
    /// The integer, in the word or in an object.
    pub(super) fn int(&self, value: Value) -> Option<i64> {
        value.as_small_int().or_else(|| {
            let address = self.heap.address_of(value, Kind::Int)?;
            Some(self.heap.load(address, BODY).cast_signed())
        })
    }

    /// The float, in the word or in an object.
    pub(super) fn float(&self, value: Value) -> Option<f64> {
        value.as_small_float().or_else(|| {
            let address = self.heap.address_of(value, Kind::Float)?;
            Some(f64::from_bits(self.heap.load(address, BODY)))
        })
    }

    pub(super) fn number(&self, value: Value) -> Option<Number> {
        self.int(value).map(Number::Int).or_else(|| self.float(value).map(Number::Float))
    }

    pub(super) fn new_int(&mut self, value: i64) -> Result<Value, Trap> {
        match Value::small_int(value) {
            Some(small) => Ok(small),
            None => self.new_raw(Kind::Int, value.cast_unsigned()),
        }
    }

    pub(super) fn new_float(&mut self, value: f64) -> Result<Value, Trap> {
        match Value::small_float(value) {
            Some(small) => Ok(small),
            None => self.new_raw(Kind::Float, value.to_bits()),
        }
    }

    /// Gives a register a float that needs an object, collecting where there is no room.
    pub(crate) fn set_rare_float(
        &mut self,
        frame: Frame,
        register: u8,
        float: f64,
    ) -> Result<(), Diagnostic> {
        let mut value = self.new_float(float);
        if value == Err(Trap::HeapFull) {
            self.collect(frame, Reason::Full);
            value = self.new_float(float);
        }
        let value = value.map_err(|trap| self.diagnostic(frame, trap))?;
        self.set_register(frame, register, value);
        Ok(())
    }

    /// An object around 64 bits that are no reference.
    fn new_raw(&mut self, kind: Kind, bits: u64) -> Result<Value, Trap> {
        let address = self.heap.allocate(Header::new(kind, 0, 0))?;
        self.heap.store(address, BODY, bits);
        Ok(Value(address))
    }

    pub(super) fn calculate(
        &mut self,
        operator: Arithmetic,
        left: Number,
        right: Number,
    ) -> Result<Value, Trap> {
        match (left, right) {
            (Number::Int(left), Number::Int(right)) => self.new_int(int_arithmetic(operator, left, right)?),
            _ => self.new_float(float_arithmetic(operator, left.to_float(), right.to_float())),
        }
    }

    pub(super) fn negate(&mut self, value: Value) -> Result<Value, Trap> {
        match self.number(value) {
            Some(Number::Int(int)) => {
                let negated = int.checked_neg().ok_or_else(overflow)?;
                self.new_int(negated)
            }
            Some(Number::Float(float)) => self.new_float(-float),
            None => Err(Trap::error(format!("cannot negate {}", self.a_type(value)))),
        }
    }

    /// The builtin `int`: cuts the fraction off.
    pub(super) fn cut_to_int(&mut self, value: Value) -> Result<Value, Trap> {
        match self.number_argument("int", value)? {
            Number::Int(_) => Ok(value),
            Number::Float(float) => match cut(float) {
                Some(int) => self.new_int(int),
                None => Err(Trap::error(format!("{} does not fit into an int", spelled(float)))),
            },
        }
    }

    /// The builtin `float`: the nearest float.
    pub(super) fn nearest_float(&mut self, value: Value) -> Result<Value, Trap> {
        match self.number_argument("float", value)? {
            Number::Float(_) => Ok(value),
            int @ Number::Int(_) => self.new_float(int.to_float()),
        }
    }

    /// The builtin `sqrt`; that of a negative number is no number.
    pub(super) fn square_root(&mut self, value: Value) -> Result<Value, Trap> {
        let number = self.number_argument("sqrt", value)?;
        self.new_float(number.to_float().sqrt())
    }

    fn number_argument(&self, builtin: &str, value: Value) -> Result<Number, Trap> {
        self.number(value)
            .ok_or_else(|| Trap::error(format!("'{builtin}' takes a number, not {}", self.a_type(value))))
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
    fn to_float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// The order of two numbers as the mathematician sees it; none where one of them is no number.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Int(left), Self::Float(right)) => order_mixed(left, right),
            (Self::Float(left), Self::Int(right)) => order_mixed(right, left).map(Ordering::reverse),
        }
    }
}

/// Compares without rounding the integer, which may have more digits than a float holds.
fn order_mixed(int: i64, float: f64) -> Option<Ordering> {
    let Some(whole) = cut(float) else {
        return 0.0.partial_cmp(&float);
    };
    Some(int.cmp(&whole).then(0.0.partial_cmp(&float.fract())?))
}

/// The float without its fraction, where that is an integer of 64 bits.
fn cut(float: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked: the whole part fits")]
    if (-ABOVE_ALL_INTS..ABOVE_ALL_INTS).contains(&float) { Some(float as i64) } else { None }
}

/// The shortest text that reads back as this float, and never as an integer.
pub(super) fn spelled(float: f64) -> String {
    if float.is_nan() { "nan".to_owned() } else { format!("{float:?}") }
}

fn int_arithmetic(operator: Arithmetic, left: i64, right: i64) -> Result<i64, Trap> {
    if right == 0 && matches!(operator, Arithmetic::Div | Arithmetic::Rem) {
        return Err(Trap::error("division by zero"));
    }
    match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Sub => left.checked_sub(right),
        Arithmetic::Mul => left.checked_mul(right),
        Arithmetic::Div => left.checked_div(right),
        Arithmetic::Rem => left.checked_rem(right),
    }
    .ok_or_else(overflow)
}

fn float_arithmetic(operator: Arithmetic, left: f64, right: f64) -> f64 {
    match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Sub => left - right,
        Arithmetic::Mul => left * right,
        Arithmetic::Div => left / right,
        Arithmetic::Rem => left % right,
    }
}

fn overflow() -> Trap {
    Trap::error("the result does not fit into 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The float as a fraction of 2^64 in 192 bits is too wide for i128, so the oracle splits it: the
    /// whole part as i128 and whether anything is left.
    fn oracle(int: i64, float: f64) -> Option<Ordering> {
        if float.is_nan() {
            return None;
        }
        if float.abs() >= 1e30 {
            return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
        }
        #[allow(clippy::cast_possible_truncation)]
        let doubled = (i128::from(int) * 2, (float.floor() as i128) * 2 + i128::from(float > float.floor()));
        Some(doubled.0.cmp(&doubled.1))
    }

    #[test]
    fn large_integers_are_compared_without_rounding() {
        for (int, float, expected) in [
            (i64::MAX, ABOVE_ALL_INTS, Ordering::Less),
            (i64::MIN, -ABOVE_ALL_INTS, Ordering::Equal),
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
            (-3, -3.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (0, f64::NEG_INFINITY, Ordering::Greater),
        ] {
            assert_eq!(order_mixed(int, float), Some(expected), "{int} {float}");
        }
        assert_eq!(order_mixed(1, f64::NAN), None);
    }

    proptest! {
        #[test]
        fn mixed_order_is_that_of_wide_integers(int: i64, float: f64, shift in 0..64u32, near in -2..3i32) {
            let int = int >> shift;
            let near = Number::Int(int).to_float() + f64::from(near) / 2.0;
            prop_assert_eq!(order_mixed(int, float), oracle(int, float));
            prop_assert_eq!(order_mixed(int, near), oracle(int, near));
        }

        #[test]
        fn floats_read_back_as_they_were_spelled(bits: u64) {
            let float = f64::from_bits(bits);
            let text = spelled(float);
            prop_assert!(text.contains(['.', 'e', 'n']), "{}", text);
            if !float.is_nan() {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
