//! Maps: entries in the order of their insertion, and an index of open addressing into them.
//!
//! The layout is that of `CPython`'s dict since 3.6. The array of entries holds keys and values by
//! turns. The index has twice as many 32-bit slots as the array has room for entries: zero, or the
//! number of an entry plus one. A removed entry keeps its place, and its slot, with nil for a key;
//! nothing equals that, so probing goes on past it. Hashes come from the contents of keys alone, so a
//! map is the same under every policy.

use super::value::Value;
use super::{Trap, Vm};
use crate::runtimes::toy::gc::object::{
    BODY, Header, Kind, LIST_COUNT, MAP_COUNT, MAP_ENTRIES, MAP_INDEX, MAP_USED,
};

/// Room that a map gets with its first entry.
const FIRST_ROOM: u64 = 4;
/// Most entries of a map: its index stays shorter than the longest string.
const ROOM_LIMIT: u64 = 1 << 26;

/// The two objects of a map, and how large they are.
#[derive(Clone, Copy)]
struct Table {
    entries: u64,
    index: u64,
    /// Entries that there is room for.
    room: u64,
}

/// What looking for a key came to.
enum Probe {
    Entry(u64),
    /// The key is not there; this slot would lead to it.
    FreeSlot(u64),
}

impl Table {
    fn slots(self) -> u64 {
        2 * self.room
    }
}

impl Vm {
    /// An empty map with room for so many entries.
    pub(super) fn new_map(&mut self, room: u64) -> Result<Value, Trap> {
        let room = if room == 0 { 0 } else { room.next_power_of_two().max(FIRST_ROOM) };
        let table = if room == 0 { Table { entries: 0, index: 0, room } } else { self.new_table(room)? };
        let map = self.heap.allocate(Header::new(Kind::Map, 0, 0))?;
        self.heap.store(map, MAP_COUNT, 0);
        self.heap.store(map, MAP_USED, 0);
        self.heap.init_owned(map, MAP_ENTRIES, table.entries);
        self.heap.init_owned(map, MAP_INDEX, table.index);
        Ok(Value(map))
    }

    fn new_table(&mut self, room: u64) -> Result<Table, Trap> {
        let (Ok(items), Ok(bytes), true) =
            (u32::try_from(2 * room), u32::try_from(8 * room), room <= ROOM_LIMIT)
        else {
            return Err(Trap::error(format!("a map cannot have more than {ROOM_LIMIT} entries")));
        };
        let entries = self.heap.allocate(Header::new(Kind::Array, 0, items))?;
        let index = self.heap.allocate(Header::new(Kind::Text, 0, bytes))?;
        let table = Table { entries, index, room };
        self.clear_index(table);
        Ok(table)
    }

    fn table(&self, map: u64) -> Table {
        let (entries, index) = (self.heap.load(map, MAP_ENTRIES), self.heap.load(map, MAP_INDEX));
        let room = if entries == 0 { 0 } else { u64::from(self.heap.header(entries).upper()) / 2 };
        Table { entries, index, room }
    }

    /// The value of the key, if the map has it.
    pub(super) fn map_get(&self, map: u64, key: Value) -> Result<Option<Value>, Trap> {
        let table = self.table(map);
        let hash = self.hash(key)?;
        Ok(match self.probe(table, key, hash) {
            Probe::Entry(entry) => Some(self.heap.slot(table.entries, 2 * entry + 1)),
            Probe::FreeSlot(_) => None,
        })
    }

    /// Gives the key a value. A new key comes after all others.
    pub(super) fn map_set(&mut self, map: u64, key: Value, value: Value) -> Result<(), Trap> {
        let hash = self.hash(key)?;
        let mut table = self.table(map);
        if let Probe::Entry(entry) = self.probe(table, key, hash) {
            self.heap.set_slot(table.entries, 2 * entry + 1, value);
            return Ok(());
        }
        if self.heap.load(map, MAP_USED) == table.room {
            table = self.make_room(map, table)?;
        }
        if let Probe::FreeSlot(slot) = self.probe(table, key, hash) {
            let entry = self.heap.load(map, MAP_USED);
            self.heap.init_slot(table.entries, 2 * entry, key);
            self.heap.init_slot(table.entries, 2 * entry + 1, value);
            self.heap.store(map, MAP_USED, entry + 1);
            self.heap.store(map, MAP_COUNT, self.heap.load(map, MAP_COUNT) + 1);
            self.set_index_slot(table, slot, entry);
        }
        Ok(())
    }

    /// Removes the key; answers whether it was there.
    pub(super) fn map_remove(&mut self, map: u64, key: Value) -> Result<bool, Trap> {
        let table = self.table(map);
        let hash = self.hash(key)?;
        let Probe::Entry(entry) = self.probe(table, key, hash) else { return Ok(false) };
        self.heap.set_slot(table.entries, 2 * entry, Value::NIL);
        self.heap.set_slot(table.entries, 2 * entry + 1, Value::NIL);
        self.heap.store(map, MAP_COUNT, self.heap.load(map, MAP_COUNT) - 1);
        Ok(true)
    }

    /// The keys as a list, in the order of their insertion.
    pub(super) fn map_keys(&mut self, map: u64) -> Result<Value, Trap> {
        let count = self.map_len(map);
        let list = self.new_list(count)?;
        let mut entry = 0;
        for index in 0..count {
            while self.key_at(map, entry) == Value::NIL {
                entry += 1;
            }
            self.heap.init_list_item(list.0, index, self.key_at(map, entry));
            entry += 1;
        }
        self.heap.store(list.0, LIST_COUNT, count);
        Ok(list)
    }

    pub(super) fn map_len(&self, map: u64) -> u64 {
        self.heap.load(map, MAP_COUNT)
    }

    /// Keys and values in the order of their insertion.
    pub(super) fn map_entries(&self, map: u64) -> impl Iterator<Item = (Value, Value)> + '_ {
        let entries = self.heap.load(map, MAP_ENTRIES);
        (0..self.heap.load(map, MAP_USED))
            .map(move |entry| (self.key_at(map, entry), self.heap.slot(entries, 2 * entry + 1)))
            .filter(|(key, _)| *key != Value::NIL)
    }

    fn key_at(&self, map: u64, entry: u64) -> Value {
        self.heap.slot(self.heap.load(map, MAP_ENTRIES), 2 * entry)
    }

    /// Makes room for one more entry at least. Takes all its memory before it changes anything.
    fn make_room(&mut self, map: u64, table: Table) -> Result<Table, Trap> {
        let count = self.map_len(map);
        let table = if 2 * count > table.room || table.room == 0 {
            let larger = self.new_table((2 * table.room).max(FIRST_ROOM))?;
            self.close_gaps(map, table);
            if table.room > 0 {
                self.heap.move_items(table.entries, larger.entries, 2 * count);
            }
            self.heap.set_owned(map, MAP_ENTRIES, larger.entries);
            self.heap.set_owned(map, MAP_INDEX, larger.index);
            larger
        } else {
            self.close_gaps(map, table);
            self.clear_index(table);
            table
        };
        for entry in 0..count {
            let key = self.heap.slot(table.entries, 2 * entry);
            let hash = self.hash(key)?;
            if let Probe::FreeSlot(slot) = self.probe(table, key, hash) {
                self.set_index_slot(table, slot, entry);
            }
        }
        Ok(table)
    }

    /// Moves entries down over removed ones. The index is wrong after that.
    fn close_gaps(&mut self, map: u64, table: Table) {
        let mut to = 0;
        for from in 0..self.heap.load(map, MAP_USED) {
            if self.heap.slot(table.entries, 2 * from) == Value::NIL {
                continue;
            }
            if from != to {
                for half in 0..2 {
                    let moved = self.heap.slot(table.entries, 2 * from + half);
                    self.heap.set_slot(table.entries, 2 * to + half, moved);
                    self.heap.set_slot(table.entries, 2 * from + half, Value::NIL);
                }
            }
            to += 1;
        }
        self.heap.store(map, MAP_USED, to);
    }

    /// Looks for the key, slot by slot. At least half of all slots are free, so this ends.
    fn probe(&self, table: Table, key: Value, hash: u64) -> Probe {
        let mut slot = hash;
        loop {
            slot = if table.room == 0 { return Probe::FreeSlot(0) } else { slot % table.slots() };
            let Some(entry) = self.index_slot(table, slot) else { return Probe::FreeSlot(slot) };
            if self.equal(self.heap.slot(table.entries, 2 * entry), key) {
                return Probe::Entry(entry);
            }
            slot += 1;
        }
    }

    /// The entry that a slot leads to.
    fn index_slot(&self, table: Table, slot: u64) -> Option<u64> {
        let word = self.heap.load(table.index, BODY + slot / 2 * 8);
        let half = if slot.is_multiple_of(2) { word & 0xffff_ffff } else { word >> 32 };
        half.checked_sub(1)
    }

    fn set_index_slot(&mut self, table: Table, slot: u64, entry: u64) {
        let offset = BODY + slot / 2 * 8;
        let shift = 32 * (slot % 2);
        let word = self.heap.load(table.index, offset) & !(0xffff_ffff << shift);
        self.heap.store(table.index, offset, word | (entry + 1) << shift);
    }

    fn clear_index(&mut self, table: Table) {
        for word in 0..table.slots() / 2 {
            self.heap.store(table.index, BODY + 8 * word, 0);
        }
    }

    fn hash(&self, key: Value) -> Result<u64, Trap> {
        if let Some(int) = self.int(key) {
            return Ok(mixed(int.cast_unsigned()));
        }
        if let Some(text) = self.heap.address_of(key, Kind::Text) {
            return Ok(mixed(
                self.heap
                    .text(text)
                    .iter()
                    .fold(FNV_START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)),
            ));
        }
        match key {
            Value::FALSE | Value::TRUE => Ok(mixed(key.0)),
            _ => Err(Trap::error(format!("a key is an int, a string or a bool, not {}", self.a_type(key)))),
        }
    }
}

/// FNV-1a, 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Spreads a hash over all its bits: the finisher of `SplitMix64`.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}
