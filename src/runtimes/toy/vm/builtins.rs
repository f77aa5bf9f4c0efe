//! The functions that every program has. Their names stand in [`BUILTINS`].

use super::value::Value;
use super::{Frame, Trap, Vm};
use crate::runtimes::toy::gc::object::{Kind, LIST_COUNT};
use crate::runtimes::toy::gc::plan::Reason;
use crate::runtimes::toy::lang::bytecode::BUILTINS;

impl Vm {
    /// Calls a builtin with the arguments after the slot. Their number was checked.
    pub(super) fn call_builtin(
        &mut self,
        site: Frame,
        builtin: u8,
        slot: u8,
        arguments: u8,
    ) -> Result<Value, Trap> {
        let argument = |vm: &Self, index: u8| vm.register(site, slot + 1 + index);
        match BUILTINS[usize::from(builtin)].name {
            "print" => {
                let shown: Vec<String> = (0..arguments).map(|i| self.display(argument(self, i))).collect();
                self.print(format!("{}\n", shown.join(" ")).as_bytes())?;
                Ok(Value::NIL)
            }
            "len" => self.length(argument(self, 0)),
            "push" => {
                let list = self.list_argument("push", argument(self, 0))?;
                self.append(list, argument(self, 1))?;
                Ok(Value::NIL)
            }
            "pop" => {
                let list = self.list_argument("pop", argument(self, 0))?;
                self.pop(list)
            }
            "str" => {
                let text = self.display(argument(self, 0));
                self.new_text(text.as_bytes())
            }
            "list" => {
                let count = argument(self, 0);
                let Some(count) = self.int(count) else {
                    return Err(Trap::error(format!(
                        "'list' counts with an int, not {}",
                        self.a_type(count)
                    )));
                };
                self.filled_list(count, argument(self, 1))
            }
            "type" => {
                let name = self.type_name(argument(self, 0));
                self.new_text(name.as_bytes())
            }
            "box" => self.new_box(argument(self, 0)),
            "fetch_add" => self.fetch_add(argument(self, 0), argument(self, 1)),
            "has_forked" => Ok(Value::boolean(self.has_forked)),
            "has" => {
                let map = self.map_argument("has", argument(self, 0))?;
                Ok(Value::boolean(self.map_get(map, argument(self, 1))?.is_some()))
            }
            "get" => {
                let map = self.map_argument("get", argument(self, 0))?;
                let found = self.map_get(map, argument(self, 1))?;
                Ok(found.unwrap_or(argument(self, 2)))
            }
            "remove" => {
                let map = self.map_argument("remove", argument(self, 0))?;
                Ok(Value::boolean(self.map_remove(map, argument(self, 1))?))
            }
            "keys" => {
                let map = self.map_argument("keys", argument(self, 0))?;
                self.map_keys(map)
            }
            "int" => self.cut_to_int(argument(self, 0)),
            "float" => self.nearest_float(argument(self, 0)),
            "sqrt" => self.square_root(argument(self, 0)),
            "collect" => {
                self.collect(site, Reason::Asked);
                Ok(Value::NIL)
            }
            other => Err(Trap::error(format!("the builtin '{other}' is missing"))),
        }
    }

    fn length(&mut self, value: Value) -> Result<Value, Trap> {
        let length = match self.heap.kind(value) {
            Some(Kind::List) => self.heap.list_len(value.0),
            Some(Kind::Map) => self.map_len(value.0),
            Some(Kind::Text) => self.heap.text(value.0).len() as u64,
            _ => return Err(Trap::error(format!("{} has no length", self.a_type(value)))),
        };
        self.new_int(length.cast_signed())
    }

    fn pop(&mut self, list: u64) -> Result<Value, Trap> {
        let Some(rest) = self.heap.list_len(list).checked_sub(1) else {
            return Err(Trap::error("cannot pop from an empty list"));
        };
        let item = self.heap.list_item(list, rest);
        self.heap.store(list, LIST_COUNT, rest);
        self.heap.forget_item(list, rest);
        self.heap.carry(item);
        Ok(item)
    }

    fn map_argument(&self, builtin: &str, value: Value) -> Result<u64, Trap> {
        self.heap
            .address_of(value, Kind::Map)
            .ok_or_else(|| Trap::error(format!("'{builtin}' takes a map, not {}", self.a_type(value))))
    }

    fn list_argument(&self, builtin: &str, value: Value) -> Result<u64, Trap> {
        self.heap
            .address_of(value, Kind::List)
            .ok_or_else(|| Trap::error(format!("'{builtin}' takes a list, not {}", self.a_type(value))))
    }
}
