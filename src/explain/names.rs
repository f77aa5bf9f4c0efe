//! Tables of names, each name once: what the rows of [`Breaks`] point into.

use crate::family::breaks::{Break, Breaks, Frame, Function, NONE, Owner, Writer};
use std::collections::HashMap;
use std::hash::Hash;

/// Breaks under construction.
#[derive(Debug, Default)]
pub struct Names {
    types: Table<String>,
    fields: Table<String>,
    owners: Table<Owner>,
    writers: Table<Writer>,
    functions: Table<Function>,
    frames: Table<Frame>,
}

impl Names {
    /// The number of a type's name.
    pub fn ty(&mut self, name: Option<&str>) -> u32 {
        name.map_or(NONE, |name| self.types.number_of(name))
    }

    /// The number of a field's name.
    pub fn field(&mut self, name: Option<&str>) -> u32 {
        name.map_or(NONE, |name| self.fields.number_of(name))
    }

    /// The number of an owner whose parent has a number already.
    pub fn owner(&mut self, owner: Owner) -> u32 {
        self.owners.number(owner)
    }

    /// The number of a writer.
    pub fn writer(&mut self, writer: Writer) -> u32 {
        self.writers.number(writer)
    }

    /// The number of a function.
    pub fn function(&mut self, function: Function) -> u32 {
        self.functions.number(function)
    }

    /// The number of a frame whose caller has a number already.
    pub fn frame(&mut self, frame: Frame) -> u32 {
        self.frames.number(frame)
    }

    /// The finished tables, with rows that point into them.
    pub fn finish(self, rows: Vec<Break>) -> Breaks {
        Breaks {
            rows,
            types: self.types.names,
            fields: self.fields.names,
            owners: self.owners.names,
            writers: self.writers.names,
            functions: self.functions.names,
            frames: self.frames.names,
        }
    }
}

#[derive(Debug)]
struct Table<T> {
    names: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { names: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn number(&mut self, name: T) -> u32 {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        self.add(name)
    }

    fn add(&mut self, name: T) -> u32 {
        let number = u32::try_from(self.names.len()).unwrap_or(NONE);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

impl Table<String> {
    fn number_of(&mut self, name: &str) -> u32 {
        match self.numbers.get(name) {
            Some(&number) => number,
            None => self.add(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_one_number() {
        let mut names = Names::default();
        assert_eq!((names.ty(Some("str")), names.ty(Some("list")), names.ty(Some("str"))), (0, 1, 0));
        assert_eq!(names.field(None), NONE);
        let frame = Frame { parent: NONE, function: 3, line: 9 };
        assert_eq!((names.frame(frame), names.frame(frame)), (0, 0));
        let breaks = names.finish(Vec::new());
        assert_eq!(breaks.types, ["str", "list"]);
        assert_eq!(breaks.frames, [frame]);
    }
}
