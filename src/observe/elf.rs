//! The headers of an ELF file: where its bytes are loaded, and what its sections are called.
//!
//! Reads only the tables it needs (a library with debug information has hundreds of megabytes that
//! it does not), and believes none of their numbers: a file may be truncated or hostile, and every
//! question about it may stay unanswered.

use crate::units::PAGE_SIZE;
use goblin::container::{Container, Ctx};
use goblin::elf::header::{ELFCLASS64, ELFDATA2LSB, Header};
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use goblin::elf::section_header::{SHF_TLS, SHT_NOBITS, SHT_NOTE, SectionHeader};
use goblin::elf::sym::Sym;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

/// The longest table that is read, in bytes: symbols and names of a large browser fit.
const LONGEST_TABLE: u64 = 128 << 20;

/// An open ELF file of 64 bits, little-endian.
pub struct ElfFile {
    file: File,
    length: u64,
    loads: Vec<ProgramHeader>,
    headers: Vec<SectionHeader>,
    sections: Vec<Section>,
}

/// A section that has a place in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `.text`, `.data`, `.bss`.
    pub name: String,
    /// First address, as the file counts them.
    pub start: u64,
    /// One past the last address, as the file counts them.
    pub end: u64,
    /// Whether the program may write it.
    pub writable: bool,
}

impl ElfFile {
    /// Opens the file that an area of a process maps.
    ///
    /// `None` where it cannot be read or is not ELF; and where the kernel says the mapped file was
    /// deleted and the path now leads to another one, whose names would be wrong.
    pub fn open_mapped(path: &str, inode: u64) -> Option<Self> {
        // A named pipe may have taken the path since: opening that would wait.
        let open = |path| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok();
        let file = open(path).or_else(|| open(path.strip_suffix(DELETED)?))?;
        let metadata = file.metadata().ok()?;
        let replaced = path.ends_with(DELETED) && metadata.ino() != inode;
        (metadata.is_file() && !replaced).then(|| Self::parse(file, metadata.len()))?
    }

    fn parse(file: File, length: u64) -> Option<Self> {
        let mut elf = Self { file, length, loads: Vec::new(), headers: Vec::new(), sections: Vec::new() };
        let header = goblin::elf::Elf::parse_header(&elf.read(0, 64)?).ok()?;
        if header.e_ident[4] != ELFCLASS64 || header.e_ident[5] != ELFDATA2LSB {
            return None;
        }
        elf.loads = elf.program_headers(&header)?;
        elf.headers = elf.section_headers(&header).unwrap_or_default();
        elf.sections = elf.named_sections(&header).unwrap_or_default();
        elf.sections.sort_by_key(|section| section.start);
        Some(elf)
    }

    /// The sections that are loaded, by address. Empty where the file has no section headers.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The address, as the file counts them, at which a byte of the file is loaded.
    pub fn address_of_offset(&self, offset: u64) -> Option<u64> {
        let load = self.loads.iter().find(|load| {
            let first = load.p_offset - load.p_offset % PAGE_SIZE;
            first <= offset && offset < load.p_offset.saturating_add(load.p_filesz)
        })?;
        Some(load.p_vaddr.wrapping_add(offset.wrapping_sub(load.p_offset)))
    }

    /// One past the last address that the file's segments take, as the file counts them.
    pub fn end(&self) -> u64 {
        self.loads.iter().map(|load| load.p_vaddr.saturating_add(load.p_memsz)).max().unwrap_or(0)
    }

    /// Calls `take` for every symbol of the first table of a type (`SHT_SYMTAB`, `SHT_DYNSYM`), and
    /// returns the table's names. `None` where there is no such table, or it does not lie in the file.
    pub fn symbols(&self, table: u32, mut take: impl FnMut(&Sym)) -> Option<Box<[u8]>> {
        let header = self.headers.iter().find(|header| header.sh_type == table)?;
        let inside = header.sh_offset.checked_add(header.sh_size).is_some_and(|end| end <= self.length);
        if !inside || header.sh_size > LONGEST_TABLE {
            return None;
        }
        let names = self.headers.get(usize::try_from(header.sh_link).ok()?)?;
        let names = self.read(names.sh_offset, names.sh_size)?;
        let size = Sym::size(Container::Big);
        for start in (0..header.sh_size).step_by(SYMBOLS_AT_ONCE * size) {
            let length = (header.sh_size - start).min((SYMBOLS_AT_ONCE * size) as u64);
            let bytes = self.read(header.sh_offset.checked_add(start)?, length)?;
            Sym::parse(&bytes, 0, bytes.len() / size, layout()).ok()?.iter().for_each(&mut take);
        }
        Some(names)
    }

    /// The file that a distribution's debug package installs for this one, found by build id.
    pub fn open_debug_file(&self) -> Option<Self> {
        let build = self.build_id()?;
        let digits = build.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let id: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        let (folder, name) = id.split_at_checked(2)?;
        let path = format!("{DEBUG_FILES}/{folder}/{name}.debug");
        Self::open_mapped(&path, 0).filter(|debug| debug.build_id() == self.build_id())
    }

    /// What the linker computed to tell this file from all others (`NT_GNU_BUILD_ID`).
    fn build_id(&self) -> Option<Box<[u8]>> {
        let notes = self.headers.iter().filter(|header| header.sh_type == SHT_NOTE);
        notes.filter(|note| note.sh_size <= LONGEST_NOTE).find_map(|note| {
            let bytes = self.read(note.sh_offset, note.sh_size)?;
            let (length, id) = bytes.strip_prefix(b"\x04\0\0\0")?.split_first_chunk::<4>()?;
            let id = id.strip_prefix(b"\x03\0\0\0GNU\0")?;
            id.get(..u32::from_le_bytes(*length) as usize).map(Into::into)
        })
    }

    fn program_headers(&self, header: &Header) -> Option<Vec<ProgramHeader>> {
        let count = usize::from(header.e_phnum);
        let bytes = self.read(header.e_phoff, (count * ProgramHeader::size(layout())) as u64)?;
        let mut headers = ProgramHeader::parse(&bytes, 0, count, layout()).ok()?;
        headers.retain(|header| header.p_type == PT_LOAD);
        Some(headers)
    }

    fn section_headers(&self, header: &Header) -> Option<Vec<SectionHeader>> {
        let size = SectionHeader::size(layout()) as u64;
        let count = match u64::from(header.e_shnum) {
            // More sections than the header can count: the first one's size is their number.
            0 => {
                let first = self.read(header.e_shoff, size)?;
                SectionHeader::parse_from(&first, 0, 1, layout()).ok()?.first()?.sh_size
            }
            count => count,
        };
        let bytes = self.read(header.e_shoff, count.checked_mul(size)?)?;
        SectionHeader::parse_from(&bytes, 0, usize::try_from(count).ok()?, layout()).ok()
    }

    fn named_sections(&self, header: &Header) -> Option<Vec<Section>> {
        let names = self.headers.get(usize::from(header.e_shstrndx))?;
        let names = self.read(names.sh_offset, names.sh_size)?;
        let in_memory = self.headers.iter().filter(|header| header.is_alloc() && !template(header));
        Some(
            in_memory
                .map(|header| Section {
                    name: name_at(&names, header.sh_name, LONGEST_SECTION_NAME).to_owned(),
                    start: header.sh_addr,
                    end: header.sh_addr.saturating_add(header.sh_size),
                    writable: header.is_writable(),
                })
                .collect(),
        )
    }

    /// Bytes of the file; `None` unless all of them are there.
    fn read(&self, offset: u64, length: u64) -> Option<Box<[u8]>> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        if !inside || length > LONGEST_TABLE {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?].into_boxed_slice();
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

/// What the kernel appends to the path of a mapped file that has been removed.
pub const DELETED: &str = " (deleted)";

/// The longest name of a section.
const LONGEST_SECTION_NAME: usize = 64;

/// Where debug packages put the symbols of stripped files, by build id.
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// The longest note that is read for a build id, in bytes.
const LONGEST_NOTE: u64 = 1024;

/// Symbols that are unpacked at once.
const SYMBOLS_AT_ONCE: usize = 4096;

/// How a file of 64 bits in this machine's byte order is laid out.
fn layout() -> Ctx {
    Ctx::from(Container::Big)
}

/// The name that starts at an offset of a table of names; empty where none of at most `longest`
/// bytes stands there.
pub fn name_at(names: &[u8], offset: usize, longest: usize) -> &str {
    let rest = names.get(offset..).unwrap_or_default();
    let end = rest.iter().take(longest.saturating_add(1)).position(|byte| *byte == 0);
    end.and_then(|end| std::str::from_utf8(&rest[..end]).ok()).unwrap_or_default()
}

/// `.tbss` has an address, yet takes no memory there: each thread has its own.
fn template(header: &SectionHeader) -> bool {
    header.sh_type == SHT_NOBITS && header.sh_flags & u64::from(SHF_TLS) != 0
}
