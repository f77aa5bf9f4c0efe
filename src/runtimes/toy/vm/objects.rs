//! Strings, lists, records and closures.

use super::boxes::FIELD as BOX_FIELD;
use super::value::Value;
use super::{Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::{
    FUNCTION_TAG, Header, Kind, LENGTH_LIMIT, LIST_ARRAY, LIST_COUNT, SHAPE_TAG,
};

/// Room that a list gets with its first item.
const FIRST_ROOM: u64 = 4;

impl Vm {
    pub(super) fn new_text(&mut self, bytes: &[u8]) -> Result<Value, Trap> {
        let text = self.heap.allocate(Header::new(Kind::Text, 0, length(bytes.len() as u64)?))?;
        self.heap.write_text(text, bytes);
        Ok(Value(text))
    }

    pub(super) fn join(&mut self, left: u64, right: u64) -> Result<Value, Trap> {
        let bytes = self.heap.text(left).len() + self.heap.text(right).len();
        let text = self.heap.allocate(Header::new(Kind::Text, 0, length(bytes as u64)?))?;
        self.heap.join_texts(text, left, right);
        Ok(Value(text))
    }

    pub(super) fn new_list(&mut self, room: u64) -> Result<Value, Trap> {
        let array = if room == 0 { 0 } else { self.new_array(room)? };
        let list = self.heap.allocate(Header::new(Kind::List, 0, 0))?;
        self.heap.store(list, LIST_COUNT, 0);
        self.heap.init_owned(list, LIST_ARRAY, array);
        Ok(Value(list))
    }

    fn new_array(&mut self, room: u64) -> Result<u64, Trap> {
        Ok(self.heap.allocate(Header::new(Kind::Array, 0, length(room)?))?)
    }

    pub(super) fn append(&mut self, list: u64, item: Value) -> Result<(), Trap> {
        let count = self.heap.list_len(list);
        let array = self.heap.load(list, LIST_ARRAY);
        let room = if array == 0 { 0 } else { u64::from(self.heap.header(array).upper()) };
        if count == room {
            let larger = self.new_array((2 * room).max(FIRST_ROOM))?;
            if array != 0 {
                self.heap.move_items(array, larger, count);
            }
            self.heap.set_owned(list, LIST_ARRAY, larger);
        }
        self.heap.init_list_item(list, count, item);
        self.heap.store(list, LIST_COUNT, count + 1);
        Ok(())
    }

    /// A list of so many times the same item.
    pub(super) fn filled_list(&mut self, count: i64, item: Value) -> Result<Value, Trap> {
        let Ok(count) = u64::try_from(count) else {
            return Err(Trap::error(format!("a list cannot have {count} items")));
        };
        let list = self.new_list(count)?;
        let array = self.heap.load(list.0, LIST_ARRAY);
        for index in 0..count {
            self.heap.init_slot(array, index, item);
        }
        self.heap.store(list.0, LIST_COUNT, count);
        Ok(list)
    }

    pub(super) fn new_record(&mut self, site: Frame, first: u8, shape: u32) -> Result<Value, Trap> {
        let fields = u8::try_from(self.program.shapes[shape as usize].0.len()).unwrap_or(u8::MAX);
        let header = Header::new(Kind::Record, u16::from(fields), SHAPE_TAG | shape);
        let record = self.heap.allocate(header)?;
        for index in 0..fields {
            self.heap.init_slot(record, u64::from(index), self.register(site, first + index));
        }
        Ok(Value(record))
    }

    pub(super) fn new_closure(&mut self, site: Frame, first: u8, function: u32) -> Result<Value, Trap> {
        let captures = self.program.functions[function as usize].captures;
        let header = Header::new(Kind::Closure, u16::from(captures), FUNCTION_TAG | function);
        let closure = self.heap.allocate(header)?;
        for index in 0..captures {
            self.heap.init_slot(closure, u64::from(index), self.register(site, first + index));
        }
        Ok(Value(closure))
    }

    /// A record's shape and the place of a field in it.
    pub(crate) fn find_field(&self, object: Value, name: u32) -> Option<(u32, u64)> {
        let record = self.heap.address_of(object, Kind::Record)?;
        let shape = self.heap.header(record).shape();
        let position = self.program.shapes[shape as usize].position(name)?;
        Some((shape, position as u64))
    }

    pub(super) fn get_field(&self, object: Value, name: u32) -> Result<Value, Trap> {
        match self.find_field(object, name) {
            Some((_, position)) => Ok(self.heap.slot(object.0, position)),
            None => self.boxed_field(object, name).ok_or_else(|| self.no_field(object, name)),
        }
    }

    pub(super) fn set_field(&mut self, object: Value, name: u32, value: Value) -> Result<(), Trap> {
        match self.find_field(object, name) {
            Some((_, position)) => {
                self.heap.set_slot(object.0, position, value);
                Ok(())
            }
            None => match object.as_shared_box().filter(|_| &*self.program.names[name as usize] == BOX_FIELD)
            {
                Some(index) => self.set_box(index, value),
                None => Err(self.no_field(object, name)),
            },
        }
    }

    fn boxed_field(&self, object: Value, name: u32) -> Option<Value> {
        self.unboxed(object).filter(|_| &*self.program.names[name as usize] == BOX_FIELD)
    }

    fn no_field(&self, object: Value, name: u32) -> Trap {
        let name = &self.program.names[name as usize];
        if self.heap.address_of(object, Kind::Record).is_some() {
            return Trap::error(format!("the record has no field '{name}'"));
        }
        Trap::error(format!("cannot take the field '{name}' of {}", self.a_type(object)))
    }

    pub(super) fn get_index(&mut self, object: Value, index: Value) -> Result<Value, Trap> {
        match self.heap.kind(object) {
            Some(Kind::List) => {
                let index = self.index(index, self.heap.list_len(object.0))?;
                Ok(self.heap.list_item(object.0, index))
            }
            Some(Kind::Text) => {
                let bytes = self.heap.text(object.0);
                let index = self.index(index, bytes.len() as u64)?;
                let byte = usize::try_from(index).ok().and_then(|index| bytes.get(index)).copied();
                self.new_int(i64::from(byte.unwrap_or_default()))
            }
            Some(Kind::Map) => match self.map_get(object.0, index)? {
                Some(value) => Ok(value),
                None => Err(Trap::error(format!("the map has no key {}", self.quoted(index)))),
            },
            _ => Err(Trap::error(format!("cannot index {}", self.a_type(object)))),
        }
    }

    pub(super) fn set_index(&mut self, object: Value, index: Value, value: Value) -> Result<(), Trap> {
        if let Some(map) = self.heap.address_of(object, Kind::Map) {
            return self.map_set(map, index, value);
        }
        let Some(list) = self.heap.address_of(object, Kind::List) else {
            return Err(Trap::error(format!("cannot assign to an item of {}", self.a_type(object))));
        };
        let index = self.index(index, self.heap.list_len(list))?;
        self.heap.set_list_item(list, index, value);
        Ok(())
    }

    fn index(&self, index: Value, length: u64) -> Result<u64, Trap> {
        let Some(wanted) = self.int(index) else {
            return Err(Trap::error(format!("an index is an int, not {}", self.a_type(index))));
        };
        match u64::try_from(wanted) {
            Ok(inside) if inside < length => Ok(inside),
            _ => Err(Trap::error(format!("the index {wanted} is outside of 0..{length}"))),
        }
    }
}

/// A length as the header holds it.
fn length(count: u64) -> Result<u32, Trap> {
    match u32::try_from(count) {
        Ok(length) if count < LENGTH_LIMIT => Ok(length),
        _ => Err(Trap::error(format!("a string or list cannot be longer than {}", LENGTH_LIMIT - 1))),
    }
}
