//! A virtual memory area: one line of `/proc/PID/maps`.

use crate::units::{PAGE_SIZE, Vpn};
use serde::{Deserialize, Serialize};

/// The permission column of a maps line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel prints four flags")]
pub struct VmaFlags {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `x`
    pub execute: bool,
    /// `p` (copy-on-write) rather than `s`.
    pub private: bool,
}

/// A contiguous range of one process's address space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vma {
    /// First page.
    pub start: Vpn,
    /// One past the last page.
    pub end: Vpn,
    /// Permissions and sharing.
    pub flags: VmaFlags,
    /// Offset of the first byte in the file, in bytes.
    pub offset: u64,
    /// Inode of the file; zero for anonymous memory.
    pub inode: u64,
    /// Path, or a kernel name such as `[heap]`; empty for plain anonymous memory.
    pub name: String,
}

impl Vma {
    /// Size in base pages.
    pub const fn pages(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Size in bytes.
    pub const fn bytes(&self) -> u64 {
        self.pages() * PAGE_SIZE
    }

    /// Whether a page lies in it.
    pub fn contains(&self, page: Vpn) -> bool {
        self.start <= page && page < self.end
    }

    /// Whether fork shares its pages copy-on-write: private, and not memory the kernel provides.
    ///
    /// `MAP_SHARED` memory is never copied; vvar and vsyscall are not pages of the process.
    pub fn copy_on_write(&self) -> bool {
        self.flags.private
            && !matches!(self.name.as_str(), "[vvar]" | "[vvar_vclock]" | "[vdso]" | "[vsyscall]")
    }

    /// Whether a file stands behind it.
    pub const fn is_file(&self) -> bool {
        self.inode != 0
    }
}
