//! Bulk reads of `/proc/PID/pagemap`: one 64-bit entry a page.

use crate::error::{Error, Result};
use crate::family::PageEntry;
use crate::units::Vpn;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Entries read by one `pread`: 1 MiB of them, which describe 512 MiB of address space.
const ENTRIES_PER_READ: usize = (1 << 20) / size_of::<PageEntry>();

/// An open page map.
#[derive(Debug)]
pub struct Pagemap {
    file: File,
    path: PathBuf,
}

impl Pagemap {
    /// Opens the page map of a process below a proc root (normally `/proc`).
    pub fn open(root: &Path, pid: u32) -> Result<Self> {
        let path = root.join(pid.to_string()).join("pagemap");
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::new("cannot read the page map of another process").path(path).why(error).fix(
                    "run as the user who owns the process, and let the process be dumpable \
                     (it is not after a change of uid); or run as root",
                ))
            }
            Err(error) => Err(Error::new("cannot open a page map").path(path).why(error)),
        }
    }

    /// Appends the entries of `pages` pages from `first` on to `entries`.
    ///
    /// Pages above the end of the address space read as absent.
    pub fn read_into(&self, first: Vpn, pages: usize, entries: &mut Vec<PageEntry>) -> Result<()> {
        entries.reserve(pages);
        let mut done = 0;
        while done < pages {
            let want = (pages - done).min(ENTRIES_PER_READ);
            let got = self.read_once(first.0 + done as u64, want, entries)?;
            if got == 0 {
                entries.resize(entries.len() + pages - done, PageEntry::default());
                return Ok(());
            }
            done += got;
        }
        Ok(())
    }

    /// One `pread` straight into the spare capacity of `entries`; returns whole entries read.
    fn read_once(&self, page: u64, want: usize, entries: &mut Vec<PageEntry>) -> Result<usize> {
        let spare = &mut entries.spare_capacity_mut()[..want];
        let offset = libc::off_t::try_from(page * size_of::<PageEntry>() as u64)
            .map_err(|error| Error::new("page number out of range").path(&self.path).why(error))?;
        // SAFETY: `spare` is writable memory of exactly the length given, and PageEntry is a
        // transparent u64, for which every bit pattern is valid.
        let read = unsafe {
            libc::pread(self.file.as_raw_fd(), spare.as_mut_ptr().cast(), size_of_val(spare), offset)
        };
        let Ok(read) = usize::try_from(read) else {
            let error = io::Error::last_os_error();
            return Err(Error::new("cannot read the page map").path(&self.path).why(error));
        };
        let got = read / size_of::<PageEntry>();
        // SAFETY: the kernel has just initialised `got` entries at the end of the vector, within
        // its capacity.
        unsafe { entries.set_len(entries.len() + got) };
        Ok(got)
    }
}

impl AsFd for Pagemap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PAGE_SIZE;

    #[test]
    fn a_written_page_is_present_and_a_page_never_touched_is_not() {
        let memory = vec![1_u8; 4 * 4096];
        let first = Vpn::of_address(memory.as_ptr() as u64 + PAGE_SIZE);
        let map = Pagemap::open(Path::new("/proc"), std::process::id()).unwrap();
        let mut entries = Vec::new();
        map.read_into(first, 2, &mut entries).unwrap();
        map.read_into(Vpn(16), 1, &mut entries).unwrap();
        assert!(entries[0].private() && entries[1].private());
        assert_eq!(entries[2], PageEntry(0));
        assert_eq!(memory[0], 1);
    }

    #[test]
    fn pages_above_the_address_space_read_as_absent() {
        let map = Pagemap::open(Path::new("/proc"), std::process::id()).unwrap();
        let mut entries = Vec::new();
        map.read_into(Vpn((1 << 47) / PAGE_SIZE + 8), 3, &mut entries).unwrap();
        assert_eq!(entries, [PageEntry(0); 3]);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error_with_its_path() {
        let error = Pagemap::open(Path::new("/proc"), u32::MAX).unwrap_err().to_string();
        assert!(error.contains("/proc/4294967295/pagemap"), "{error}");
    }
}
