//! `_Py_DebugOffsets`: the offsets that a process publishes about itself, from 3.13 on.
//!
//! It is the first field of the exported symbol `_PyRuntime` (`Include/internal/pycore_runtime.h` of 3.13,
//! `pycore_debug_offsets.h` of 3.14): a cookie, the version, and then groups of 64-bit offsets, each of
//! which begins with the size of a struct. Every version appends to the groups, so where they begin is
//! a table.

use super::structs::{Member, Struct, Structs, member};
use super::{Offsets, frames, unknown_version, v3_13};
use crate::cpython::memory::Memory;
use crate::error::{Error, Result};

/// Bytes of `_PyRuntime` to read.
pub const BYTES: usize = 90 * 8;

const COOKIE: &[u8; 8] = b"xdebugpy";

/// The first word of each group that is read.
struct Groups {
    thread_state: usize,
    frame: usize,
    code: usize,
    object: usize,
    type_object: usize,
    tuple: usize,
    list: usize,
    dict: usize,
    long: usize,
    bytes: usize,
    unicode: usize,
}

const GROUPS_3_13: Groups = Groups {
    thread_state: 19,
    frame: 28,
    code: 34,
    object: 44,
    type_object: 46,
    tuple: 50,
    list: 53,
    dict: 56,
    long: 61,
    bytes: 64,
    unicode: 67,
};

const GROUPS_3_14: Groups = Groups {
    thread_state: 22,
    frame: 31,
    code: 39,
    object: 50,
    type_object: 52,
    tuple: 56,
    list: 59,
    dict: 66,
    long: 71,
    bytes: 74,
    unicode: 77,
};

/// `PyTupleObject` of 3.14, which caches its hash.
const TUPLE_3_14: &[Member] = &[member("ob_size", 16, 8), member("ob_hash", 24, 8), member("ob_item", 32, 8)];

/// `PyDictObject` of 3.14, whose versions are gone.
const DICT_3_14: &[Member] = &[
    member("ma_used", 16, 8),
    member("_ma_watcher_tag", 24, 8),
    member("ma_keys", 32, 8),
    member("ma_values", 40, 8),
];

impl Offsets {
    /// Reads what the process publishes, given the address of its `_PyRuntime`.
    pub fn read(memory: &dyn Memory, runtime: u64) -> Result<Self> {
        let bytes = memory.bytes(runtime, BYTES).ok_or_else(|| {
            Error::new("cannot read the offsets that CPython publishes")
                .why(format!("no memory at {runtime:#x}"))
        })?;
        Self::parse_debug(&bytes)
    }

    /// Parses the first bytes of `_PyRuntime` (at least [`BYTES`] of them).
    ///
    /// Field names of structs whose size is not that of 3.13 are dropped, as are those of structs that
    /// are not published: names are given only where they are known.
    pub fn parse_debug(bytes: &[u8]) -> Result<Self> {
        let words = Words(bytes);
        if bytes.get(..8) != Some(COOKIE) {
            return Err(Error::new("cannot read the offsets that CPython publishes")
                .why("_PyRuntime does not begin with the cookie xdebugpy")
                .fix("use CPython 3.13 or later"));
        }
        let version = words.version();
        if words.get(2) != Some(0) {
            return Err(unknown_version(
                version,
                "it is a free-threaded build, without pymalloc and the GIL",
            ));
        }
        let groups = match version {
            (3, 13) => GROUPS_3_13,
            (3, 14) => GROUPS_3_14,
            _ => return Err(unknown_version(version, "the form of its _Py_DebugOffsets is not known")),
        };
        words
            .object_header_is_plain(&groups)
            .then(|| words.offsets(version, &groups))
            .flatten()
            .ok_or_else(|| unknown_version(version, "its _Py_DebugOffsets contradict themselves"))
    }
}

struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn get(&self, index: usize) -> Option<u64> {
        let bytes = self.0.get(index * 8..index * 8 + 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// From `PY_VERSION_HEX`.
    fn version(&self) -> (u8, u8) {
        let [_, _, minor, major] = u32::try_from(self.get(1).unwrap_or(0)).unwrap_or(0).to_le_bytes();
        (major, minor)
    }

    /// `ob_refcnt` and `ob_type`, a word each: true of every build with the GIL, hardly of other words.
    fn object_header_is_plain(&self, groups: &Groups) -> bool {
        self.get(groups.object) == Some(16) && self.get(groups.object + 1) == Some(8)
    }

    fn offsets(&self, version: (u8, u8), groups: &Groups) -> Option<Offsets> {
        let mut found = Offsets::of_structs(version, frames::V3_13, &v3_13::STRUCTS)?;
        found.structs = self.structs(version, groups)?;
        let short = |index| self.get(index).and_then(|word| u16::try_from(word).ok());
        found.frames.first_frame = short(groups.thread_state + 4)?;
        found.frames.previous = short(groups.frame + 1)?;
        found.frames.code = short(groups.frame + 2)?;
        found.frames.instruction = short(groups.frame + 3)?;
        found.frames.owner = short(groups.frame + 5)?;
        found.frames.code_tag = if version >= (3, 14) { frames::V3_14_TAG } else { 0 };
        found.code.file = self.get(groups.code + 1)?;
        found.code.name = self.get(groups.code + 3)?;
        found.code.lines = self.get(groups.code + 4)?;
        found.code.first_line = self.get(groups.code + 5)?;
        found.code.code = self.get(groups.code + 9)?;
        found.types.name = self.get(groups.type_object + 1)?;
        found.types.flags = self.get(groups.type_object + 3)?;
        found.dicts.keys = self.get(groups.dict + 1)?;
        found.dicts.values = self.get(groups.dict + 2)?;
        found.bytes = (self.get(groups.bytes + 1)?, self.get(groups.bytes + 2)?);
        found.strings.state = self.get(groups.unicode + 1)?;
        found.strings.length = self.get(groups.unicode + 2)?;
        found.strings.ascii_text = self.get(groups.unicode + 3)?;
        Some(found)
    }

    /// The structs of 3.13, less what another version may have changed.
    fn structs(&self, version: (u8, u8), groups: &Groups) -> Option<Structs> {
        let mut structs = v3_13::STRUCTS;
        if version == (3, 13) {
            return Some(structs);
        }
        // Type objects are needed to read anything: without theirs there is no table.
        if self.get(groups.type_object)? != u64::from(structs.type_object.size) {
            return None;
        }
        if self.get(groups.tuple + 1)? == 32 {
            structs.tuple.members = TUPLE_3_14;
        } else {
            self.keep_if_same_size(groups.tuple, &mut structs.tuple)?;
        }
        self.keep_if_same_size(groups.code, &mut structs.code)?;
        self.keep_if_same_size(groups.list, &mut structs.list)?;
        self.keep_if_same_size(groups.dict, &mut structs.dict)?;
        self.keep_if_same_size(groups.long, &mut structs.long)?;
        self.keep_if_same_size(groups.bytes, &mut structs.bytes)?;
        if !structs.dict.members.is_empty() {
            structs.dict.members = DICT_3_14;
        }
        structs.heap_type.members = before(structs.heap_type.members, "_spec_cache");
        structs.function.members = &[];
        Some(structs)
    }

    fn keep_if_same_size(&self, group: usize, known: &mut Struct) -> Option<()> {
        let size = u16::try_from(self.get(group)?).ok()?;
        if size != known.size {
            *known = Struct { size, members: &[] };
        }
        Some(())
    }
}

fn before(members: &'static [Member], name: &str) -> &'static [Member] {
    members.split(|member| member.name == name).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Include/internal/pycore_debug_offsets.h` of 3.14, group by group. Offsets that are not read are
    /// numbered from 9000 on, so that none of them passes for another.
    fn published_by_3_14() -> Vec<u8> {
        let mut unread = 9000..;
        let mut skip = |count: usize| unread.by_ref().take(count).collect::<Vec<u64>>();
        let groups: Vec<Vec<u64>> = vec![
            vec![0x030e_00f0, 0],
            skip(3),
            skip(16),
            [skip(4), vec![72], skip(4)].concat(),
            [vec![88, 8, 0, 56, 80, 74, 64], skip(1)].concat(),
            [vec![208, 112, 120, 128, 136, 68], skip(3), vec![200], skip(1)].concat(),
            vec![16, 8],
            vec![416, 24, 88, 168],
            vec![40, 32, 16],
            vec![40, 24, 16],
            skip(4),
            vec![48, 32, 40],
            vec![24, 16],
            vec![32, 16, 24],
            vec![40, 16, 32],
            vec![64, 32, 16, 40],
            skip(20),
        ];
        COOKIE.iter().copied().chain(groups.concat().into_iter().flat_map(u64::to_le_bytes)).collect()
    }

    #[test]
    fn offsets_of_3_14_are_taken_from_the_process() {
        let offsets = Offsets::parse_debug(&published_by_3_14()).unwrap();
        let frames = frames::FrameLayout { owner: 74, code_tag: 3, ..frames::V3_13 };
        assert_eq!((offsets.version, offsets.frames), ((3, 14), frames));
        let code = offsets.code;
        assert_eq!((code.file, code.name, code.lines, code.first_line, code.code), (112, 128, 136, 68, 200));
        assert_eq!((offsets.bytes, offsets.strings.ascii_text, offsets.types.flags), ((16, 32), 40, 168));
        assert_eq!(offsets.structs.tuple.offset("ob_hash"), Some(24));
    }

    #[test]
    fn names_are_given_only_where_the_struct_is_known() {
        let structs = |group: usize, size: u8| {
            let mut bytes = published_by_3_14();
            bytes[group * 8] = size;
            Offsets::parse_debug(&bytes).map(|offsets| offsets.structs)
        };
        let known = structs(GROUPS_3_14.list, 40).unwrap();
        assert_eq!(known.list.offset("allocated"), Some(32));
        assert_eq!(known.dict.offset("_ma_watcher_tag"), Some(24));
        assert_eq!(known.heap_type.offset("_spec_cache"), None, "a field was put before it");
        assert_eq!(known.function.offset("func_version"), None, "its size is not published");
        assert_eq!(structs(GROUPS_3_14.list, 48).unwrap().list.offset("allocated"), None);
        assert_eq!(structs(GROUPS_3_14.code, 216).unwrap().code.offset("co_flags"), None);
        assert!(structs(GROUPS_3_14.type_object, 8).is_err(), "nothing is read without types");
    }
}
