//! Where the fields of `CPython`'s structs stand, one table a version.
//!
//! The tables of 3.9 to 3.13 are written by `generate.c` from the headers of each version (x86-64,
//! default builds). Versions from 3.13 on publish their offsets in the process ([`debug`]).

pub mod debug;
pub mod frames;
pub mod structs;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_9;

use super::memory::Memory;
use crate::error::{Error, Result};
use frames::FrameLayout;
use structs::Structs;

/// The version that first publishes its offsets.
const PUBLISHED_SINCE: (u8, u8) = (3, 13);

/// The versions whose headers were read, for messages.
const KNOWN: &str = "CPython 3.9 to 3.13";

/// Everything that readers need to know of one version. Offsets and sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// `(major, minor)`
    pub version: (u8, u8),
    /// Frames of a thread.
    pub frames: FrameLayout,
    /// Fields by name.
    pub structs: Structs,
    /// Type objects.
    pub types: TypeOffsets,
    /// Code objects.
    pub code: CodeOffsets,
    /// Strings.
    pub strings: StringOffsets,
    /// `ob_size` of bytes, and where their data begins.
    pub bytes: (u64, u64),
    /// Dicts.
    pub dicts: DictOffsets,
}

/// In `PyTypeObject` and `PyHeapTypeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the fields without their tp_ and ht_")]
pub struct TypeOffsets {
    pub name: u64,
    pub basicsize: u64,
    pub itemsize: u64,
    pub flags: u64,
    pub base: u64,
    pub dict: u64,
    pub dictoffset: u64,
    pub weaklistoffset: u64,
    pub qualname: u64,
    pub cached_keys: u64,
}

/// In `PyCodeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeOffsets {
    /// `co_filename`
    pub file: u64,
    /// `co_qualname`; before 3.11 there was only `co_name`.
    pub name: u64,
    /// `co_firstlineno`
    pub first_line: u64,
    /// `co_linetable`, in 3.9 `co_lnotab`.
    pub lines: u64,
    /// `co_code_adaptive`; before 3.11 the pointer `co_code`.
    pub code: u64,
    /// `ob_size`, the number of code units in `co_code_adaptive`; 3.11+.
    pub units: Option<u64>,
}

/// In the structs of `str`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringOffsets {
    /// `length`, in characters.
    pub length: u64,
    /// `state`, 32 bits: `interned` 2, `kind` 3, `compact` 1, `ascii` 1.
    pub state: u64,
    /// Where the text of a compact ASCII string begins.
    pub ascii_text: u64,
    /// Where the text of another compact string begins.
    pub compact_text: u64,
    /// The pointer to the text of a string that is not compact.
    pub text_pointer: u64,
}

/// In `PyDictObject` and `PyDictKeysObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the fields without their ma_ and dk_")]
pub struct DictOffsets {
    pub keys: u64,
    pub values: u64,
    pub usable: u64,
    pub nentries: u64,
    /// `dk_size`, a word, up to 3.10; the byte `dk_log2_index_bytes` from 3.11 on.
    pub index: u64,
    /// `dk_kind`, a byte; 3.11+.
    pub kind: Option<u64>,
    /// `sizeof(PyDictKeysObject)`: where the hash table begins.
    pub table: u64,
}

impl Offsets {
    /// The offsets of a process: those that it publishes at its `_PyRuntime`, from 3.13 on, else those
    /// of its version's headers.
    pub fn of_process(version: (u8, u8), memory: &dyn Memory, runtime: Option<u64>) -> Result<Self> {
        match runtime {
            Some(runtime) if version >= PUBLISHED_SINCE => {
                Self::read(memory, runtime).or_else(|error| Self::of_version(version).map_err(|_| error))
            }
            _ => Self::of_version(version),
        }
    }

    /// The offsets of a version, from its headers.
    ///
    /// Later versions than 3.13 are refused: read theirs from the process, with [`Offsets::read`].
    pub fn of_version(version: (u8, u8)) -> Result<Self> {
        let structs = match version {
            (3, 9) => &v3_9::STRUCTS,
            (3, 10) => &v3_10::STRUCTS,
            (3, 11) => &v3_11::STRUCTS,
            (3, 12) => &v3_12::STRUCTS,
            (3, 13) => &v3_13::STRUCTS,
            _ => return Err(unknown_version(version, "its memory layout is not known")),
        };
        frames::of_version(version.0, version.1)
            .and_then(|frames| Self::of_structs(version, frames, structs))
            .ok_or_else(|| unknown_version(version, "its table lacks a field"))
    }

    fn of_structs(version: (u8, u8), frames: FrameLayout, structs: &Structs) -> Option<Self> {
        let Structs { type_object, heap_type, code, dict, keys, ascii, compact, unicode, bytes, .. } =
            &structs;
        Some(Self {
            version,
            frames,
            structs: *structs,
            types: TypeOffsets {
                name: type_object.offset("tp_name")?,
                basicsize: type_object.offset("tp_basicsize")?,
                itemsize: type_object.offset("tp_itemsize")?,
                flags: type_object.offset("tp_flags")?,
                base: type_object.offset("tp_base")?,
                dict: type_object.offset("tp_dict")?,
                dictoffset: type_object.offset("tp_dictoffset")?,
                weaklistoffset: type_object.offset("tp_weaklistoffset")?,
                qualname: heap_type.offset("ht_qualname")?,
                cached_keys: heap_type.offset("ht_cached_keys")?,
            },
            code: CodeOffsets {
                file: code.offset("co_filename")?,
                name: code.offset("co_qualname").or_else(|| code.offset("co_name"))?,
                first_line: code.offset("co_firstlineno")?,
                lines: code.offset("co_linetable").or_else(|| code.offset("co_lnotab"))?,
                code: code.offset("co_code_adaptive").or_else(|| code.offset("co_code"))?,
                units: code.offset("ob_size"),
            },
            strings: StringOffsets {
                length: ascii.offset("length")?,
                state: ascii.offset("state")?,
                ascii_text: u64::from(ascii.size),
                compact_text: u64::from(compact.size),
                text_pointer: unicode.offset("data")?,
            },
            bytes: (bytes.offset("ob_size")?, bytes.offset("ob_sval")?),
            dicts: DictOffsets {
                keys: dict.offset("ma_keys")?,
                values: dict.offset("ma_values")?,
                usable: keys.offset("dk_usable")?,
                nentries: keys.offset("dk_nentries")?,
                index: keys.offset("dk_log2_index_bytes").or_else(|| keys.offset("dk_size"))?,
                kind: keys.offset("dk_kind"),
                table: u64::from(keys.size),
            },
        })
    }

    /// Whether the version is at least 3.`minor`.
    pub const fn at_least(&self, minor: u8) -> bool {
        self.version.0 > 3 || self.version.1 >= minor
    }
}

fn unknown_version((major, minor): (u8, u8), why: &str) -> Error {
    Error::new(format!("cannot look into the objects of CPython {major}.{minor}")).why(why).fix(format!(
        "use {KNOWN}, or a later version that publishes its offsets (_Py_DebugOffsets) as 3.14 does"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_complete() {
        for minor in 9..=13 {
            let offsets = Offsets::of_version((3, minor)).unwrap();
            assert_eq!(offsets.version, (3, minor));
            assert_eq!(offsets.structs.type_object.offset("tp_name"), Some(24));
        }
    }

    #[test]
    fn unknown_versions_are_refused_by_name() {
        for version in [(3, 8), (3, 14), (4, 0)] {
            let error = Offsets::of_version(version).unwrap_err().to_string();
            assert!(error.contains(&format!("CPython {}.{}", version.0, version.1)), "{error}");
            assert!(frames::of_version(version.0, version.1).is_none());
        }
    }
}
