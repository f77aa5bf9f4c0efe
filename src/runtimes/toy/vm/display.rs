//! Values as people read them.

use super::Vm;
use super::numbers::spelled;
use super::value::Value;
use crate::runtimes::toy::gc::object::Kind;
use crate::runtimes::toy::lang::bytecode::BUILTINS;
use std::fmt::Write as _;

/// Lists in lists are shown this deep; lists may contain themselves.
const SHOWN_DEPTH: u32 = 16;
/// Text of one value, at most, in bytes: a list of a few lists may stand for billions of items.
const SHOWN_BYTES: usize = 1 << 20;

impl Vm {
    /// The value's text: strings as they are, and quoted inside of lists and records.
    pub(super) fn display(&self, value: Value) -> String {
        let mut text = String::new();
        match self.heap.address_of(value, Kind::Text) {
            Some(address) => text.push_str(&String::from_utf8_lossy(self.heap.text(address))),
            None => self.write(&mut text, value, 0),
        }
        text
    }

    /// The value as a program would write it: strings in quotes.
    pub(super) fn quoted(&self, value: Value) -> String {
        let mut text = String::new();
        self.write(&mut text, value, 0);
        text
    }

    fn write(&self, text: &mut String, value: Value, depth: u32) {
        if depth > SHOWN_DEPTH || text.len() > SHOWN_BYTES {
            text.push('…');
            return;
        }
        if let Some(int) = self.int(value) {
            let _ = write!(text, "{int}");
            return;
        }
        if let Some(float) = self.float(value) {
            text.push_str(&spelled(float));
            return;
        }
        let Some(address) = value.as_address() else {
            if let Some(held) = self.unboxed(value) {
                text.push_str("box(");
                self.write(text, held, depth + 1);
                text.push(')');
                return;
            }
            match value.as_builtin() {
                Some(builtin) => {
                    let _ = write!(text, "<builtin {}>", BUILTINS[usize::from(builtin)].name);
                }
                None => text.push_str(match value {
                    Value::TRUE => "true",
                    Value::FALSE => "false",
                    _ => "nil",
                }),
            }
            return;
        };
        match self.heap.header(address).kind() {
            Kind::Text => {
                let _ = write!(text, "{:?}", String::from_utf8_lossy(self.heap.text(address)));
            }
            Kind::List => self.write_list(text, address, depth),
            Kind::Map => self.write_map(text, address, depth),
            Kind::Record => self.write_record(text, address, depth),
            Kind::Closure => {
                let function = self.heap.header(address).function();
                let _ = write!(text, "<fn {}>", self.program.functions[function as usize].name);
            }
            Kind::Array | Kind::Cell | Kind::Int | Kind::Float => text.push('?'),
        }
    }

    fn write_list(&self, text: &mut String, list: u64, depth: u32) {
        text.push('[');
        for index in 0..self.heap.list_len(list) {
            if index > 0 {
                text.push_str(", ");
            }
            self.write(text, self.heap.list_item(list, index), depth + 1);
            if text.len() > SHOWN_BYTES {
                break;
            }
        }
        text.push(']');
    }

    fn write_map(&self, text: &mut String, map: u64, depth: u32) {
        text.push('[');
        for (index, (key, value)) in self.map_entries(map).enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            self.write(text, key, depth + 1);
            text.push_str(": ");
            self.write(text, value, depth + 1);
            if text.len() > SHOWN_BYTES {
                break;
            }
        }
        text.push_str(if self.map_len(map) == 0 { ":]" } else { "]" });
    }

    fn write_record(&self, text: &mut String, record: u64, depth: u32) {
        let shape = self.heap.header(record).shape();
        text.push('{');
        for (index, name) in self.program.shapes[shape as usize].0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            let _ = write!(text, "{separator}{}: ", self.program.names[*name as usize]);
            self.write(text, self.heap.slot(record, index as u64), depth + 1);
        }
        text.push('}');
    }

    /// The name that `type` gives.
    pub(super) fn type_name(&self, value: Value) -> &'static str {
        if value.as_small_int().is_some() {
            return "int";
        }
        if value.as_small_float().is_some() {
            return "float";
        }
        match self.heap.kind(value) {
            Some(Kind::Int) => "int",
            Some(Kind::Float) => "float",
            Some(Kind::Map) => "map",
            Some(Kind::Text) => "string",
            Some(Kind::List) => "list",
            Some(Kind::Record) => "record",
            Some(Kind::Closure) => "function",
            Some(Kind::Array | Kind::Cell) => "object",
            None if value.as_builtin().is_some() => "function",
            None if value.as_shared_box().is_some() => "box",
            None if value == Value::TRUE || value == Value::FALSE => "bool",
            None => "nil",
        }
    }

    /// The type with its article, for messages.
    pub(super) fn a_type(&self, value: Value) -> String {
        match self.type_name(value) {
            "nil" => "nil".to_owned(),
            name @ ("int" | "object") => format!("an {name}"),
            name => format!("a {name}"),
        }
    }
}
