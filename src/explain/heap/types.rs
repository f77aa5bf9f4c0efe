//! The types of objects, each read once.

use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;
use crate::cpython::types::TypeInfo;
use std::collections::HashMap;
use std::sync::Arc;

/// A type, and its name to be handed out.
#[derive(Debug)]
pub(super) struct Type {
    pub info: TypeInfo,
    pub name: Arc<str>,
}

/// By address; `None` where there is no type.
#[derive(Default)]
pub(super) struct Types {
    seen: HashMap<u64, Option<Arc<Type>>>,
}

impl Types {
    /// The type at an address.
    pub fn get(&mut self, memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<Arc<Type>> {
        let read = || {
            let info = TypeInfo::read(memory, offsets, address)?;
            let name = Arc::from(info.name.as_str());
            Some(Arc::new(Type { info, name }))
        };
        self.seen.entry(address).or_insert_with(read).clone()
    }
}
