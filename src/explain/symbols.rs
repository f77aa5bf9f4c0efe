//! From an address of a process to the name of what stands there: library, section, symbol.

use super::allocators::hidden_allocator;
use super::demangle::demangle;
use super::elf::SymbolTable;
use crate::family::Vma;
use crate::observe::elf::{DELETED, ElfFile};
use crate::observe::sections::{libraries, load_bias};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Names for the addresses of one process.
///
/// A file is read when the first address in it is asked for, once, however often it is mapped. A
/// file that is missing, stripped, truncated or no ELF gives weaker answers, never an error.
pub struct Symbolizer {
    /// Disjoint, by address.
    areas: Vec<Area>,
    files: Vec<MappedFile>,
}

/// What is known of one address; an empty string where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbol {
    /// File name of the library or program (`libc.so.6`), or the kernel's name: `[heap]`, `[vdso]`.
    pub library: String,
    /// `.text`, `.data`, `.bss`.
    pub section: String,
    /// Function or data object, demangled; `malloc…free` for code that a stripped library hides between
    /// those two.
    pub name: String,
    /// Bytes from the start of that to the address; 0 where no symbol covers it.
    pub offset: u64,
}

struct Area {
    start: u64,
    end: u64,
    owner: Owner,
}

enum Owner {
    /// A name of the kernel's; empty for plain anonymous memory.
    Kernel(String),
    /// A file, or the anonymous tail behind one.
    File {
        /// Index in [`Symbolizer::files`].
        file: usize,
        /// The area of the file's lowest address in this mapping of it.
        first: Vma,
        /// Behind the file, where `.bss` is, and then perhaps memory of somebody else.
        tail: bool,
    },
}

struct MappedFile {
    path: String,
    image: OnceLock<Option<Image>>,
}

/// How many sections that begin before an address are asked whether they reach it.
const NESTING: usize = 64;

/// What was read of a file.
struct Image {
    elf: ElfFile,
    symbols: SymbolTable,
}

impl Symbolizer {
    /// Over the areas of a process, in the order of their addresses. Reads no file yet.
    pub fn new(vmas: &[Vma]) -> Self {
        let mut files: Vec<MappedFile> = Vec::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut areas: Vec<Area> = Vec::new();
        for group in libraries(vmas) {
            let path = group[0].name.as_str();
            let file = *numbers.entry(path).or_insert(files.len());
            if file == files.len() {
                files.push(MappedFile { path: path.to_owned(), image: OnceLock::new() });
            }
            areas.extend(group.iter().map(|vma| {
                Area::of(vma, Owner::File { file, first: group[0].clone(), tail: !vma.is_file() })
            }));
        }
        areas.sort_by_key(|area| area.start);
        let others: Vec<Area> = vmas
            .iter()
            .filter(|vma| area_at(&areas, vma.start.address()).is_none())
            .map(|vma| Area::of(vma, Owner::Kernel(shown(&vma.name).to_owned())))
            .collect();
        areas.extend(others);
        areas.sort_by_key(|area| area.start);
        Self { areas, files }
    }

    /// What stands at an address.
    pub fn at(&self, address: u64) -> Symbol {
        match area_at(&self.areas, address).map(|area| &area.owner) {
            None => Symbol::default(),
            Some(Owner::Kernel(name)) => Symbol { library: name.clone(), ..Symbol::default() },
            Some(Owner::File { file, first, tail }) => self.files[*file].at(first, *tail, address),
        }
    }
}

impl Area {
    fn of(vma: &Vma, owner: Owner) -> Self {
        Self { start: vma.start.address(), end: vma.end.address(), owner }
    }
}

impl MappedFile {
    /// What stands at an address of the mapping whose lowest area is `first`.
    fn at(&self, first: &Vma, tail: bool, address: u64) -> Symbol {
        let library = shown(&self.path).to_owned();
        let image = self.image(first.inode);
        let Some((image, bias)) = image.and_then(|image| Some((image, load_bias(&image.elf, first)?))) else {
            return if tail { Symbol::default() } else { Symbol { library, ..Symbol::default() } };
        };
        let address = address.wrapping_sub(bias);
        if tail && address >= image.elf.end() {
            return Symbol::default();
        }
        let section = image.section(address).to_owned();
        let (name, offset) = image.symbol(address);
        Symbol { library, section, name, offset }
    }

    fn image(&self, inode: u64) -> Option<&Image> {
        let read = || {
            let elf = ElfFile::open_mapped(&self.path, inode)?;
            let symbols = SymbolTable::read(&elf);
            Some(Image { elf, symbols })
        };
        self.image.get_or_init(read).as_ref()
    }
}

impl Image {
    fn symbol(&self, address: u64) -> (String, u64) {
        if let Some((name, offset)) = self.symbols.at(address) {
            return (demangle(name), offset);
        }
        let hidden =
            self.symbols.around(address).and_then(|(before, behind)| hidden_allocator(before, behind));
        (hidden.unwrap_or_default(), 0)
    }

    fn section(&self, address: u64) -> &str {
        let sections = self.elf.sections();
        let after = sections.partition_point(|section| section.start <= address);
        let covering = sections[..after].iter().rev().take(NESTING).find(|section| address < section.end);
        covering.map_or("", |section| &section.name)
    }
}

fn area_at(areas: &[Area], address: u64) -> Option<&Area> {
    let after = areas.partition_point(|area| area.start <= address);
    areas[..after].last().filter(|area| address < area.end)
}

/// A path's file name, without what the kernel adds to it.
fn shown(path: &str) -> &str {
    path.strip_suffix(DELETED).unwrap_or(path).rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
#[path = "symbols_tests.rs"]
pub(super) mod tests;
