//! Words that a whole family of processes reads and writes: no page of them is ever copied.
#![allow(unsafe_code, reason = "reads and writes mapped memory")]

use super::mapping::{Access, Mapping, Sharing};
use crate::error::Result;
use crate::runtimes::Region;
use std::sync::atomic::{AtomicU64, Ordering};

/// A shared mapping of atomic words.
pub(crate) struct SharedWords {
    mapping: Mapping,
    len: usize,
}

impl SharedWords {
    /// Maps room for so many bytes, rounded up to whole pages. `what` names it in the error.
    pub(crate) fn map(bytes: u64, what: &str) -> Result<Self> {
        let mapping = Mapping::new(bytes, Access::Write, Sharing::Shared, what)?;
        let len = mapping.size() / 8;
        Ok(Self { mapping, len })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len, "word {index} of {}", self.len);
        // SAFETY: the word is inside the mapping, aligned to 8 bytes, and lives as long as self. Every
        // access of every process is an atomic one, through this function.
        unsafe { AtomicU64::from_ptr(self.mapping.pointer().cast::<u64>().add(index).as_ptr()) }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::SeqCst);
    }

    /// Replaces the word if it still is what the caller saw; else tells what it is now.
    pub(crate) fn replace(&self, index: usize, seen: u64, value: u64) -> Result<(), u64> {
        self.word(index).compare_exchange(seen, value, Ordering::SeqCst, Ordering::SeqCst).map(drop)
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The whole of it as a named region.
    pub(crate) fn region(&self, name: &str) -> Region {
        Region { start: self.mapping.start(), end: self.mapping.end(), name: name.to_owned() }
    }
}
