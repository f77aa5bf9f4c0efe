//! The functions and data objects of one ELF file, by address.

use crate::observe::elf::{ElfFile, name_at};
use goblin::elf::section_header::{SHT_DYNSYM, SHT_SYMTAB};
use goblin::elf::sym::{STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT, Sym};

/// The longest symbol that is shown, in bytes as the linker spells it.
const LONGEST_NAME: usize = 4096;

/// How many symbols that begin before an address are asked whether they reach it.
const NESTING: usize = 64;

/// Symbols of one file in the order of their addresses, 24 bytes each.
#[derive(Default)]
pub struct SymbolTable {
    symbols: Vec<Entry>,
    names: Box<[u8]>,
}

struct Entry {
    start: u64,
    size: u64,
    name: u32,
    rank: Rank,
}

/// Which of several names of one address is shown: the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Local,
    Weak,
    Global,
}

impl SymbolTable {
    /// The full table (`.symtab`); for a stripped file that of its debug package, where one is
    /// installed, or what is left: what it exports.
    pub fn read(elf: &ElfFile) -> Self {
        Self::of_table(elf, SHT_SYMTAB)
            .or_else(|| Self::of_table(&elf.open_debug_file()?, SHT_SYMTAB))
            .unwrap_or_else(|| Self::exported(elf))
    }

    /// What a file exports (`.dynsym`).
    pub fn exported(elf: &ElfFile) -> Self {
        Self::of_table(elf, SHT_DYNSYM).unwrap_or_default()
    }

    fn of_table(elf: &ElfFile, table: u32) -> Option<Self> {
        let mut symbols = Vec::new();
        let names = elf.symbols(table, |symbol| symbols.extend(Entry::of(symbol)))?;
        // Of several names of one address the last is shown: `malloc` rather than `__libc_malloc`.
        let plain = |entry: &Entry| names.get(entry.name as usize).is_some_and(|first| *first != b'_');
        symbols.sort_unstable_by_key(|entry| {
            (entry.start, entry.size != 0, plain(entry), entry.rank, entry.name)
        });
        symbols.shrink_to_fit();
        (!symbols.is_empty()).then_some(Self { symbols, names })
    }

    /// The symbols that begin before and behind an address.
    pub fn around(&self, address: u64) -> Option<(&str, &str)> {
        let after = self.symbols.partition_point(|entry| entry.start <= address);
        Some((self.name(self.symbols[..after].last()?), self.name(self.symbols.get(after)?)))
    }

    fn name(&self, entry: &Entry) -> &str {
        name_at(&self.names, entry.name as usize, LONGEST_NAME)
    }

    /// The innermost symbol that covers an address (as the file counts it), as the linker spells
    /// it, and the bytes from its start to the address.
    pub fn at(&self, address: u64) -> Option<(&str, u64)> {
        let after = self.symbols.partition_point(|entry| entry.start <= address);
        let covering =
            self.symbols[..after].iter().rev().take(NESTING).find(|entry| entry.covers(address))?;
        let name = self.name(covering);
        (!name.is_empty()).then_some((name, address - covering.start))
    }
}

impl Entry {
    fn of(symbol: &Sym) -> Option<Self> {
        let named = matches!(symbol.st_type(), STT_FUNC | STT_OBJECT | STT_GNU_IFUNC | STT_NOTYPE);
        if !named || symbol.st_shndx == 0 || symbol.st_name == 0 {
            return None;
        }
        let rank = match symbol.st_bind() {
            STB_GLOBAL => Rank::Global,
            STB_WEAK => Rank::Weak,
            _ => Rank::Local,
        };
        let name = u32::try_from(symbol.st_name).ok()?;
        Some(Self { start: symbol.st_value, size: symbol.st_size, name, rank })
    }

    /// A symbol without a size (a label) covers its own address only.
    fn covers(&self, address: u64) -> bool {
        address - self.start < self.size.max(1)
    }
}
