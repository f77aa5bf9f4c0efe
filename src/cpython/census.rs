//! The objects of a zygote, as a forked child of it listed them before the workers were forked.
//!
//! The list lies in memory that the family wrote (`src/agent/wire.rs` has its layout), and may say
//! anything: it is read in place, an entry at a time, and every index is checked where it is used.

use crate::agent::wire::{
    CENSUS_MAGIC, CensusHeader, CensusName, CensusNode, CensusObject, CensusType, MOST_NAMES, MOST_NODES,
    MOST_OBJECTS, MOST_TEXT, MOST_TYPES, NODES_AT, OBJECTS_AT, TEXT_AT, TYPES_AT,
};
use crate::error::{Error, Result};
use crate::kernel::agent::CensusMemory;
use std::collections::HashSet;

/// Names and labels are cut behind so many bytes.
const MOST_NAME_BYTES: u32 = 1024;
/// Entries in front of an address that may reach over it, when those behind them do not.
const LOOK_BACK: u64 = 8;
/// `Py_TPFLAGS_TYPE_SUBCLASS`: instances of such a type are types.
const INSTANCES_ARE_TYPES: u64 = 1 << 31;

/// A finished census.
#[derive(Debug)]
pub struct Census {
    memory: CensusMemory,
    counts: Counts,
    nodes: u64,
    text: u64,
    types: HashSet<u64>,
}

/// How much a census found, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Objects, and buffers that objects own.
    pub objects: u64,
    /// Types of the objects.
    pub types: u64,
    /// Objects and buffers that no module leads to.
    pub unreachable: u64,
    /// Objects and buffers for which there was no room.
    pub dropped: u64,
    /// Nanoseconds it took.
    pub nanos: u64,
}

/// What a stretch of memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An object, and what stands in front of it: collector's header, dict pointer, weak references.
    Object,
    /// `ob_item` of a list, or a block of a deque.
    Items,
    /// `ma_keys` of a dict.
    Keys,
    /// `ma_values` of a dict, or the attribute values of an instance where they stand on their own.
    Values,
    /// `table` of a set.
    Table,
    /// The bytes of a bytearray, an `array.array` or a `numpy.ndarray`.
    Bytes,
}

/// A stretch of memory in the census.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub kind: Kind,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Address of the object, behind its headers; [`Self::start`] for a buffer.
    pub object: u64,
    /// Index of the type of the object, or of the object that owns the buffer: [`Census::type_name`].
    pub ty: u32,
    /// Index of the last step of the owner's path: [`Census::node`].
    pub node: u32,
}

impl Census {
    /// Takes over a census; refuses one that was not finished, or that cannot be one.
    pub fn read(memory: CensusMemory) -> Result<Self> {
        let refused = || Error::new("cannot use the census of the zygote's objects");
        let Some(header) = memory.copy::<CensusHeader>(0) else {
            return Err(refused().why("it has no header"));
        };
        if header.magic != CENSUS_MAGIC {
            return Err(refused()
                .why(format!("its layout is {:#x}, not {CENSUS_MAGIC:#x}", header.magic))
                .fix("let one version of forkprint watch the family"));
        }
        if header.done == 0 {
            return Err(refused()
                .why("the process that took it ended before it was done")
                .fix("see the kernel's log for a crash or for the out-of-memory killer"));
        }
        let parts = [
            ("types", header.types, MOST_TYPES),
            ("names", header.names, MOST_NAMES),
            ("nodes", header.nodes, MOST_NODES),
            ("bytes of text", header.text, MOST_TEXT),
            ("objects", header.objects, MOST_OBJECTS),
        ];
        if let Some((part, count, most)) = parts.into_iter().find(|(_, count, most)| *count > *most as u64) {
            return Err(refused().why(format!("it claims {count} {part}; there is room for {most}")));
        }
        let counts = Counts {
            objects: header.objects,
            types: header.types,
            unreachable: header.unreachable,
            dropped: header.dropped,
            nanos: header.nanos,
        };
        let mut census =
            Self { memory, counts, nodes: header.nodes, text: header.text, types: HashSet::new() };
        census.types = (0..header.types)
            .filter_map(|index| Some(census.ty(u32::try_from(index).ok()?)?.address))
            .collect();
        Ok(census)
    }

    /// How much it found, and what it took.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many objects and buffers it lists.
    pub fn objects(&self) -> u64 {
        self.counts.objects
    }

    /// The innermost object or buffer that an address lies in.
    pub fn at(&self, address: u64) -> Option<Entry> {
        let behind = self.first_behind(address)?;
        (behind.saturating_sub(LOOK_BACK)..behind).rev().find_map(|index| {
            let object = self.object(index)?;
            (address.checked_sub(object.start())? < u64::from(object.size())).then(|| self.entry(&object))?
        })
    }

    /// The name of a type: `module.QualName`, or `str`. Empty for an index that no type has.
    pub fn type_name(&self, ty: u32) -> String {
        self.ty(ty).map_or_else(String::new, |ty| self.name(ty.name))
    }

    /// The address of a type.
    pub fn type_address(&self, ty: u32) -> Option<u64> {
        Some(self.ty(ty)?.address)
    }

    /// Whether there is a type at an address.
    pub fn is_type(&self, address: u64) -> bool {
        self.types.contains(&address)
            || self.at(address).is_some_and(|entry| {
                let flags = self.ty(entry.ty).map_or(0, |ty| ty.flags);
                entry.kind == Kind::Object && entry.object == address && flags & INSTANCES_ARE_TYPES != 0
            })
    }

    /// One step of an owner's path: the step above it, none for the first, and its label: `shop`,
    /// `.CATALOG`, `[*]`. Steps above have lower indices.
    pub fn node(&self, index: u32) -> Option<(Option<u32>, String)> {
        let node: CensusNode = self.part(NODES_AT, self.nodes, u64::from(index))?;
        let label = CensusName { at: node.at, len: u32::from(node.len), offset: 0 };
        Some((Some(node.parent).filter(|parent| *parent < index), self.name(label)))
    }

    /// The index of the first object that begins behind an address; the list ascends.
    fn first_behind(&self, address: u64) -> Option<u64> {
        let (mut low, mut high) = (0, self.counts.objects);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.object(middle)?.start() <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    fn entry(&self, object: &CensusObject) -> Option<Entry> {
        let kind = match object.kind() {
            CensusObject::OBJECT => Kind::Object,
            CensusObject::ITEMS => Kind::Items,
            CensusObject::KEYS => Kind::Keys,
            CensusObject::VALUES => Kind::Values,
            CensusObject::TABLE => Kind::Table,
            CensusObject::BYTES => Kind::Bytes,
            _ => return None,
        };
        let prefix = if kind == Kind::Object { self.ty(object.ty())?.prefix } else { 0 };
        Some(Entry {
            kind,
            start: object.start(),
            size: u64::from(object.size()),
            object: object.start().checked_add(u64::from(prefix))?,
            ty: object.ty(),
            node: object.node(),
        })
    }

    fn object(&self, index: u64) -> Option<CensusObject> {
        self.part(OBJECTS_AT, self.counts.objects, index)
    }

    fn ty(&self, index: u32) -> Option<CensusType> {
        self.part(TYPES_AT, self.counts.types, u64::from(index))
    }

    fn part<T: crate::kernel::agent::Plain>(&self, begin: usize, count: u64, index: u64) -> Option<T> {
        let place = usize::try_from(index).ok().filter(|_| index < count)?;
        self.memory.copy(begin + place * size_of::<T>())
    }

    /// Text as it may be printed: control characters are escaped.
    fn name(&self, name: CensusName) -> String {
        let len = name.len.min(MOST_NAME_BYTES);
        let within = u64::from(name.at) + u64::from(len) <= self.text;
        let bytes = within.then(|| self.memory.bytes(TEXT_AT + name.at as usize, len as usize)).flatten();
        let text = bytes.unwrap_or_default();
        let mut name = String::with_capacity(text.len());
        for character in String::from_utf8_lossy(&text).chars() {
            if character.is_control() {
                name.extend(character.escape_default());
            } else {
                name.push(character);
            }
        }
        name
    }
}
