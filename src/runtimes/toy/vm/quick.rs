//! What the interpreter does itself of instructions that [`operations`](super::operations) does in
//! full: numbers that stand in the word, and items that are there.

use super::Vm;
use super::value::Value;
use crate::runtimes::toy::gc::object::{Kind, LIST_COUNT};
use crate::runtimes::toy::lang::bytecode::{Arithmetic, Comparison};

/// The tagged zero and minus one, which division treats on its own.
const ZERO: u64 = 1;
const MINUS_ONE: u64 = u64::MAX;

/// The result, if both operands are integers, and they and the result stand in the word.
#[inline]
pub(super) fn int_arithmetic(operator: Arithmetic, left: Value, right: Value) -> Option<Value> {
    if left.0 & right.0 & 1 == 0 {
        return None;
    }
    // An integer's word is twice the integer and one.
    let (doubled, word) = ((left.0 - 1).cast_signed(), right.0.cast_signed());
    let result = match operator {
        Arithmetic::Add => doubled.checked_add(word)?,
        Arithmetic::Sub => left.0.cast_signed().checked_sub(word - 1)?,
        Arithmetic::Mul => (doubled >> 1).checked_mul(word - 1)? + 1,
        Arithmetic::Div | Arithmetic::Rem if right.0 == ZERO || right.0 == MINUS_ONE => return None,
        Arithmetic::Div => (((doubled >> 1) / (word >> 1)) << 1) | 1,
        Arithmetic::Rem => (((doubled >> 1) % (word >> 1)) << 1) | 1,
    };
    Some(Value(result.cast_unsigned()))
}

/// The same for floats.
pub(super) fn float_arithmetic(operator: Arithmetic, left: Value, right: Value) -> Option<Value> {
    let (left, right) = (left.as_small_float()?, right.as_small_float()?);
    Value::small_float(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Sub => left - right,
        Arithmetic::Mul => left * right,
        Arithmetic::Div => left / right,
        Arithmetic::Rem => left % right,
    })
}

/// The result, if both operands are integers in the word.
#[inline]
pub(super) fn compare_ints(operator: Comparison, left: Value, right: Value) -> Option<bool> {
    // Tagging keeps the order of integers.
    (left.0 & right.0 & 1 == 1).then(|| holds(operator, left.0.cast_signed(), right.0.cast_signed()))
}

/// The result, if both operands are floats in the word, or something equal to nothing but itself.
pub(super) fn compare_others(operator: Comparison, left: Value, right: Value) -> Option<bool> {
    if let (Some(left), Some(right)) = (left.as_small_float(), right.as_small_float()) {
        return Some(holds(operator, left, right));
    }
    match operator {
        Comparison::Eq if left.is_special() || right.is_special() => Some(left == right),
        Comparison::Ne if left.is_special() || right.is_special() => Some(left != right),
        _ => None,
    }
}

#[inline]
fn holds<T: PartialOrd + Copy>(operator: Comparison, left: T, right: T) -> bool {
    match operator {
        Comparison::Eq => left == right,
        Comparison::Ne => left != right,
        Comparison::Lt => left < right,
        Comparison::Le => left <= right,
        Comparison::Gt => left > right,
        Comparison::Ge => left >= right,
    }
}

impl Vm {
    /// The item of a list, if there is one.
    #[inline]
    pub(super) fn quick_item(&self, object: Value, index: Value) -> Option<Value> {
        let index = self.inside(object, index)?;
        Some(self.heap.list_item(object.0, index))
    }

    /// Replaces the item of a list, if there is one. Whether it was done.
    #[inline]
    pub(super) fn quick_set_item(&mut self, object: Value, index: Value, value: Value) -> bool {
        let inside = self.inside(object, index);
        if let Some(index) = inside {
            self.heap.set_list_item(object.0, index, value);
        }
        inside.is_some()
    }

    #[inline]
    fn inside(&self, object: Value, index: Value) -> Option<u64> {
        let list = self.heap.address_of(object, Kind::List)?;
        // A negative index is a huge one.
        let index = index.as_small_int()?.cast_unsigned();
        (index < self.heap.load(list, LIST_COUNT)).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small(value: i64) -> Value {
        Value::small_int(value).unwrap()
    }

    proptest! {
        /// The oracle computes in 128 bits.
        #[test]
        fn integers_are_those_of_the_mathematician(left: i64, right: i64, shifts in (1..63u32, 1..63u32)) {
            let (left, right) = (left >> shifts.0, right >> shifts.1);
            let wide = (i128::from(left), i128::from(right));
            let fits = |result: i128| i64::try_from(result).ok().and_then(Value::small_int);
            let (l, r) = (small(left), small(right));
            prop_assert_eq!(int_arithmetic(Arithmetic::Add, l, r), fits(wide.0 + wide.1));
            prop_assert_eq!(int_arithmetic(Arithmetic::Sub, l, r), fits(wide.0 - wide.1));
            prop_assert_eq!(int_arithmetic(Arithmetic::Mul, l, r), fits(wide.0 * wide.1));
            if right != 0 && right != -1 {
                prop_assert_eq!(int_arithmetic(Arithmetic::Div, l, r), fits(wide.0 / wide.1));
                prop_assert_eq!(int_arithmetic(Arithmetic::Rem, l, r), fits(wide.0 % wide.1));
            }
            prop_assert_eq!(compare_ints(Comparison::Lt, l, r), Some(left < right));
            prop_assert_eq!(compare_ints(Comparison::Ge, l, r), Some(left >= right));
        }
    }

    #[test]
    fn what_is_no_number_in_a_word_is_left_to_others() {
        let address = Value(0x7000_0000_0010);
        for other in [address, Value::NIL, Value::small_float(1.5).unwrap()] {
            assert_eq!(int_arithmetic(Arithmetic::Add, small(1), other), None);
            assert_eq!(compare_ints(Comparison::Lt, small(1), other), None);
        }
        assert_eq!(
            compare_others(Comparison::Eq, address, address),
            None,
            "it may be a float that is no number"
        );
        assert_eq!(compare_others(Comparison::Eq, address, Value::NIL), Some(false));
        assert_eq!(int_arithmetic(Arithmetic::Div, small(1), small(0)), None);
    }
}
