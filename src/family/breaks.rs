//! Every broken page, explained: who wrote to it first, why, to which object, whose it is, and where
//! in the program. Columns of small numbers that point into tables of names: under 64 bytes a break.

use super::cause::Cause;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// No entry of a table.
pub const NONE: u32 = u32::MAX;

/// How breaks were witnessed, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// Rung A: a signal in the writing thread at every fault, and a ring beside it: exact byte,
    /// instruction, registers, old bytes and Python frames.
    Sigtrap,
    /// Rung B: rings of the kernel, read from outside: exact byte and instruction, no frames.
    Ring,
    /// None: pages are known, their writers are not.
    None,
}

impl Witness {
    /// Every witness, best first.
    pub const ALL: [Self; 3] = [Self::Sigtrap, Self::Ring, Self::None];

    /// The name in options and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigtrap => "sigtrap",
            Self::Ring => "ring",
            Self::None => "none",
        }
    }

    /// One line for the reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Sigtrap => {
                "a signal in the writing thread at every fault, checked against the kernel's counter (exact byte, instruction and Python line)"
            }
            Self::Ring => {
                "the kernel's ring of page faults, read from outside (exact byte and instruction; no Python lines)"
            }
            Self::None => "no witness of single writes: pages are known, their writers are not",
        }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Witness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|witness| witness.name() == text);
        found.ok_or_else(|| format!("'{text}' is no witness of breaks; choose sigtrap, ring or none"))
    }
}

/// All breaks of a recording, and the names they refer to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaks {
    /// One row for each worker and inherited page that was ever seen broken; by worker, then by page.
    pub rows: Vec<Break>,
    /// Types of objects: `str`, `shop.Product`.
    pub types: Vec<String>,
    /// Fields: `ob_refcnt`, `hash`, `.price`, `items`.
    pub fields: Vec<String>,
    /// Owners as a forest: `shop` → `.CATALOG` → `[*]` → `.tags`. A parent stands before its children.
    pub owners: Vec<Owner>,
    /// What the writing instruction belongs to.
    pub writers: Vec<Writer>,
    /// Functions of the program.
    pub functions: Vec<Function>,
    /// Calling contexts as a forest: a caller stands before those it calls.
    pub frames: Vec<Frame>,
}

/// The first write to one inherited page in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Index of the worker.
    pub worker: u32,
    /// Index of the inherited page.
    pub page: u32,
    /// Class of the write.
    pub cause: Cause,
    /// Index in [`super::recording::Recording::steps`] of the first snapshot that saw the page broken.
    pub step: u8,
    /// Byte in the page, 0 to 4095; 0 where no event was seen.
    pub offset: u16,
    /// What more is known.
    pub flags: Flags,
    /// Index in [`Breaks::types`] of the object written to, or [`NONE`].
    pub ty: u32,
    /// Index in [`Breaks::fields`], or [`NONE`].
    pub field: u32,
    /// Index in [`Breaks::owners`] of the object, or [`NONE`].
    pub owner: u32,
    /// Index in [`Breaks::writers`], or [`NONE`].
    pub writer: u32,
    /// Index in [`Breaks::frames`] of the innermost frame, or [`NONE`].
    pub frame: u32,
    /// Thread id of the writer; 0 where no event was seen.
    pub thread: u32,
    /// Nanoseconds since the fork of the first worker.
    pub nanos: u64,
    /// Address of the writing instruction; 0 where no event was seen.
    pub instruction: u64,
}

/// A set of remarks on a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// An event of the write was seen.
    pub const SEEN: u8 = 1;
    /// The zygote wrote, not the worker.
    pub const BY_ZYGOTE: u8 = 1 << 1;
    /// Native code wrote while its thread did not hold the GIL; the frame is the one that called it.
    pub const GIL_RELEASED: u8 = 1 << 2;
    /// The kernel wrote; the frame is that of the system call.
    pub const BY_KERNEL: u8 = 1 << 3;
    /// More than 64 frames: the outer ones are missing.
    pub const CUT: u8 = 1 << 4;

    /// Whether a remark holds.
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// One step of an owner's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Index of the owner it belongs to, or [`NONE`] for a module or type.
    pub parent: u32,
    /// As it is appended to the parent's path: `shop`, `.CATALOG`, `[*]`, `['name']`.
    pub label: String,
}

/// What a writing instruction belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Writer {
    /// Function, demangled; empty where no symbol covers it.
    pub symbol: String,
    /// File name of the library or program; `kernel` for the kernel.
    pub library: String,
}

/// A function of the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// Qualified name where the interpreter has it: `Catalog.search`.
    pub name: String,
    /// Source file, as the program names it.
    pub file: String,
    /// First line of the function.
    pub line: u32,
}

/// A call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Index of the caller's frame, or [`NONE`] for the outermost.
    pub parent: u32,
    /// Index in [`Breaks::functions`].
    pub function: u32,
    /// Line under way; 0 where unknown.
    pub line: u32,
}

impl Breaks {
    /// The path of an owner, like `shop.CATALOG[*].tags`; empty for [`NONE`].
    pub fn owner_path(&self, owner: u32) -> String {
        let mut labels: Vec<&str> = Vec::new();
        let mut at = owner;
        while let Some(step) = self.owners.get(at as usize) {
            labels.push(&step.label);
            at = step.parent;
        }
        labels.reverse();
        labels.concat()
    }

    /// The frames of a stack, innermost first.
    pub fn stack(&self, frame: u32) -> impl Iterator<Item = &Frame> {
        let at = |index: u32| self.frames.get(index as usize);
        std::iter::successors(at(frame), move |frame| at(frame.parent))
    }

    /// The function and line of a frame, like `shop.py:14 search`.
    pub fn place(&self, frame: &Frame) -> String {
        match self.functions.get(frame.function as usize) {
            Some(Function { name, file, .. }) => {
                let file = file.rsplit('/').next().unwrap_or(file);
                format!("{file}:{} {name}", frame.line)
            }
            None => String::new(),
        }
    }

    /// The rows of one worker.
    pub fn of_worker(&self, worker: u32) -> &[Break] {
        let start = self.rows.partition_point(|row| row.worker < worker);
        let end = self.rows.partition_point(|row| row.worker <= worker);
        &self.rows[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_takes_no_more_than_it_has_to() {
        assert!(size_of::<Break>() <= 64, "{}", size_of::<Break>());
    }

    #[test]
    fn paths_and_stacks_are_put_together_from_their_steps() {
        let owner = |parent, label: &str| Owner { parent, label: label.into() };
        let breaks = Breaks {
            owners: vec![owner(NONE, "shop"), owner(0, ".CATALOG"), owner(1, "[*]")],
            functions: vec![Function { name: "search".into(), file: "/srv/shop.py".into(), line: 9 }],
            frames: vec![
                Frame { parent: NONE, function: 0, line: 10 },
                Frame { parent: 0, function: 0, line: 14 },
            ],
            ..Breaks::default()
        };
        assert_eq!(breaks.owner_path(2), "shop.CATALOG[*]");
        assert_eq!(breaks.owner_path(NONE), "");
        assert_eq!(breaks.stack(1).map(|frame| frame.line).collect::<Vec<_>>(), [14, 10]);
        assert_eq!(breaks.place(&breaks.frames[1]), "shop.py:14 search");
        assert_eq!(breaks.stack(NONE).count(), 0);
    }
}
