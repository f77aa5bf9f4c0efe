//! Columns of a batch as plain slices, and dictionary keys straight to cells.

use super::tables::{CONTENTS, STATES, WRITERS};
use crate::family::PageState;
use crate::family::breaks::NONE;
use crate::family::recording::{Content, NO_STEP, PageCell};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch};

/// The columns of one batch, by name. Errors say what is wrong with the table.
pub(super) struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, String> {
        self.0.column_by_name(name).ok_or_else(|| format!("it has no column {name}"))
    }

    fn numbers<T: arrow_array::types::ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a PrimitiveArray<T>, String> {
        self.column(name)?.as_primitive_opt().ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of addresses.
    pub fn u64s(&self, name: &str) -> Result<&'a [u64], String> {
        Ok(self.numbers::<UInt64Type>(name)?.values())
    }

    /// A column of counts.
    pub fn u32s(&self, name: &str) -> Result<&'a [u32], String> {
        Ok(self.numbers::<UInt32Type>(name)?.values())
    }

    /// A column of small numbers.
    pub fn u16s(&self, name: &str) -> Result<&'a [u16], String> {
        Ok(self.numbers::<UInt16Type>(name)?.values())
    }

    /// A column of very small numbers.
    pub fn u8s(&self, name: &str) -> Result<&'a [u8], String> {
        Ok(self.numbers::<UInt8Type>(name)?.values())
    }

    /// A column of indices in a table of `len` entries; null is [`NONE`].
    pub fn indices(&self, name: &str, len: usize) -> Result<Vec<u32>, String> {
        let indices: Vec<u32> =
            self.numbers::<UInt32Type>(name)?.iter().map(|index| index.unwrap_or(NONE)).collect();
        match indices.iter().find(|&&index| index != NONE && index as usize >= len) {
            Some(index) => Err(format!("column {name} refers to entry {index} of {len}")),
            None => Ok(indices),
        }
    }

    /// A column of texts.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, String> {
        let array = self
            .column(name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| format!("column {name} holds no strings"))?;
        Ok(array.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
    }

    /// A column of names, as indices in `known`.
    pub fn names(&self, name: &str, known: &[String]) -> Result<Vec<u32>, String> {
        let array: &DictionaryArray<UInt32Type> = self
            .column(name)?
            .as_dictionary_opt()
            .ok_or_else(|| format!("column {name} is not a dictionary"))?;
        let values =
            array.values().as_string_opt::<i32>().ok_or_else(|| format!("column {name} holds no strings"))?;
        let index_of = |value: Option<&str>| {
            let found = known.iter().position(|known| Some(known.as_str()) == value);
            found
                .and_then(|index| u32::try_from(index).ok())
                .ok_or_else(|| format!("column {name} names an unknown {}", value.unwrap_or("null")))
        };
        let indices = values.iter().map(index_of).collect::<Result<Vec<_>, _>>()?;
        array
            .keys()
            .values()
            .iter()
            .map(|&key| {
                indices
                    .get(key as usize)
                    .copied()
                    .ok_or_else(|| format!("column {name} has a key out of range"))
            })
            .collect()
    }

    /// Appends the cells of this batch of the `pages` table.
    pub fn append_cells(&self, cells: &mut Vec<PageCell>) -> Result<(), String> {
        let start = cells.len();
        cells.resize(start + self.0.num_rows(), PageCell::default());
        let cells = &mut cells[start..];
        self.fill_states(cells)?;
        let steps = self.numbers::<UInt8Type>("step_index")?;
        for (row, (cell, &step)) in cells.iter_mut().zip(steps.values()).enumerate() {
            cell.step = if steps.is_valid(row) { step } else { NO_STEP };
        }
        let changed = self.numbers::<UInt16Type>("bytes_changed")?;
        for (cell, &bytes) in cells.iter_mut().zip(changed.values()) {
            cell.bytes_changed = bytes;
        }
        Ok(())
    }

    /// The rows of this batch of the `transitions` table, where `step` is the last step of a state.
    pub fn transitions(&self) -> Result<Vec<PageCell>, String> {
        let mut rows = vec![PageCell::default(); self.0.num_rows()];
        self.fill_states(&mut rows)?;
        for (row, &until) in rows.iter_mut().zip(self.numbers::<UInt8Type>("until_index")?.values()) {
            row.step = until;
        }
        Ok(rows)
    }

    fn fill_states(&self, cells: &mut [PageCell]) -> Result<(), String> {
        self.each_key("state", &STATES, cells, |cell, key| {
            cell.state = [PageState::Shared, PageState::BrokenByWorker, PageState::Gone][usize::from(key)];
        })?;
        self.each_key("broken_by", &WRITERS, cells, |cell, key| {
            cell.state = [PageState::BrokenByWorker, PageState::BrokenByZygote, PageState::BrokenByBoth]
                [usize::from(key)];
        })?;
        self.each_key("content", &CONTENTS, cells, |cell, key| {
            cell.content = [Content::Equal, Content::Differs][usize::from(key)];
        })
    }

    /// Calls `set` with the index in `known` of each value that is not null.
    fn each_key(
        &self,
        name: &str,
        known: &[&str],
        cells: &mut [PageCell],
        set: impl Fn(&mut PageCell, u8),
    ) -> Result<(), String> {
        let array: &DictionaryArray<UInt8Type> = self
            .column(name)?
            .as_dictionary_opt()
            .ok_or_else(|| format!("column {name} is not a dictionary"))?;
        let values =
            array.values().as_string_opt::<i32>().ok_or_else(|| format!("column {name} holds no strings"))?;
        let mut index_of = [u8::MAX; 256];
        for (slot, value) in index_of.iter_mut().zip(values) {
            // A dictionary may hold a filler that only null rows refer to.
            *slot = (0_u8..)
                .zip(known)
                .find(|(_, known)| Some(**known) == value)
                .map_or(u8::MAX, |(index, _)| index);
        }
        let keys = array.keys();
        for (row, (cell, &key)) in cells.iter_mut().zip(keys.values()).enumerate() {
            if keys.is_valid(row) {
                match index_of[usize::from(key)] {
                    u8::MAX => return Err(format!("column {name} holds an unknown name")),
                    index => set(cell, index),
                }
            }
        }
        Ok(())
    }
}
