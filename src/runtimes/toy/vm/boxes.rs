//! Boxes: single words in shared memory, which the zygote and all its workers see at once.
//!
//! A box holds no address, for an object of one process means nothing in another. The first word
//! counts the boxes made; they are never given back. A box itself is a value and no object: reading
//! and writing it touches the shared word and nothing else.

use super::value::Value;
use super::{Trap, Vm};
use crate::error::Result;
use crate::runtimes::toy::memory::shared::SharedWords;

/// Bytes for all boxes and their count.
const BOX_BYTES: u64 = 512 << 10;
/// The word that counts the boxes.
const COUNT_WORD: usize = 0;
/// The only field of a box.
pub(super) const FIELD: &str = "value";

/// Shared memory for boxes.
pub(super) fn map() -> Result<SharedWords> {
    SharedWords::map(BOX_BYTES, "shared boxes")
}

impl Vm {
    /// A new box, unlike that of any other process of the family.
    pub(super) fn new_box(&mut self, value: Value) -> Result<Value, Trap> {
        self.check_boxed(value)?;
        let mut count = self.boxes.get(COUNT_WORD);
        loop {
            let index = count + 1;
            if index >= self.boxes.len() as u64 {
                return Err(Trap::error(format!("there are {count} boxes already, and no room for more")));
            }
            match self.boxes.replace(COUNT_WORD, count, index) {
                Ok(()) => {
                    let made = Value::shared_box(index);
                    self.boxes.set(word(index), value.0);
                    return Ok(made);
                }
                Err(now) => count = now,
            }
        }
    }

    /// What a box holds; nothing if the value is no box.
    pub(super) fn unboxed(&self, value: Value) -> Option<Value> {
        value.as_shared_box().map(|index| Value(self.boxes.get(word(index))))
    }

    /// Puts a value into the box of this index.
    pub(super) fn set_box(&mut self, index: u64, value: Value) -> Result<(), Trap> {
        self.check_boxed(value)?;
        self.boxes.set(word(index), value.0);
        Ok(())
    }

    /// Adds an integer to the one in a box, in one step that no other process can divide. Gives what the
    /// box held before.
    pub(super) fn fetch_add(&mut self, boxed: Value, addend: Value) -> Result<Value, Trap> {
        let Some(index) = boxed.as_shared_box() else {
            return Err(Trap::error(format!("'fetch_add' takes a box, not {}", self.a_type(boxed))));
        };
        loop {
            let seen = Value(self.boxes.get(word(index)));
            let (Some(old), Some(more)) = (seen.as_small_int(), addend.as_small_int()) else {
                let wrong = if seen.as_small_int().is_some() { addend } else { seen };
                let message = format!("'fetch_add' adds an int to an int, not {}", self.a_type(wrong));
                return Err(Trap::error(message));
            };
            let sum = old.checked_add(more).and_then(Value::small_int);
            let sum = sum.ok_or_else(|| Trap::error("a box holds ints between -(2^62) and 2^62 - 1"))?;
            if self.boxes.replace(word(index), seen.0, sum.0).is_ok() {
                return Ok(seen);
            }
        }
    }

    fn check_boxed(&self, value: Value) -> Result<(), Trap> {
        let fits = value.as_small_int().is_some()
            || value.as_small_float().is_some()
            || [Value::NIL, Value::TRUE, Value::FALSE].contains(&value);
        if fits {
            return Ok(());
        }
        Err(Trap::error(match self.type_name(value) {
            "int" => "a box holds ints between -(2^62) and 2^62 - 1".to_owned(),
            "float" => "a box holds no float as large or as small as this one".to_owned(),
            _ => format!("a box holds an int, a float, a bool or nil, not {}", self.a_type(value)),
        }))
    }
}

fn word(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
