//! Whose the areas of a process are, as far as the kernel says it.

use crate::cpython::version;
use crate::family::Vma;
use crate::observe::elf::DELETED;
use crate::observe::sections::libraries;
use std::sync::Arc;

/// The areas of a process, by address.
pub(super) struct Areas<'a> {
    vmas: &'a [Vma],
    /// Of each area.
    homes: Vec<Home>,
    libraries: Vec<Library>,
}

/// What an area is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// A private file, by its number.
    File(usize),
    /// Plain memory right behind a file: its `.bss`, and then perhaps memory of somebody else.
    Tail(usize),
    /// The stack of the first thread.
    Stack,
    /// What malloc gets from `brk`.
    Heap,
    /// Plain private memory.
    Anonymous,
    /// Memory that a fork shares, or that the kernel provides.
    Other,
}

/// A file that is loaded.
pub(super) struct Library {
    /// Its file name.
    pub name: Arc<str>,
    /// Whether it contains the interpreter.
    pub interpreter: bool,
}

impl<'a> Areas<'a> {
    /// `interpreter` is an address in the data of the interpreter, where one is known.
    pub fn new(vmas: &'a [Vma], interpreter: Option<u64>) -> Self {
        let mut areas = Self { vmas, homes: vmas.iter().map(home).collect(), libraries: Vec::new() };
        for group in libraries(vmas) {
            let first = vmas.partition_point(|vma| vma.start < group[0].start);
            let number = areas.libraries.len();
            for (home, vma) in areas.homes.iter_mut().skip(first).zip(group) {
                *home = if vma.is_file() { Home::File(number) } else { Home::Tail(number) };
            }
            areas.libraries.push(Library::of(group, interpreter));
        }
        areas
    }

    /// The area of an address.
    pub fn at(&self, address: u64) -> Option<(&'a Vma, Home)> {
        let index = self.vmas.partition_point(|vma| vma.start.address() <= address).checked_sub(1)?;
        let vma = self.vmas.get(index).filter(|vma| address < vma.end.address())?;
        Some((vma, *self.homes.get(index)?))
    }

    /// The file of a number that a [`Home`] has.
    pub fn library(&self, number: usize) -> &Library {
        &self.libraries[number]
    }
}

impl Library {
    fn of(group: &[Vma], interpreter: Option<u64>) -> Self {
        let path = group[0].name.as_str();
        let name = path.strip_suffix(DELETED).unwrap_or(path).rsplit('/').next().unwrap_or_default();
        let holds = |address: u64| {
            group.iter().any(|vma| (vma.start.address()..vma.end.address()).contains(&address))
        };
        let named = |prefix| name.strip_prefix(prefix).and_then(version::parse).is_some();
        let interpreter = interpreter.is_some_and(holds) || named("libpython") || named("python");
        Self { name: name.into(), interpreter }
    }
}

fn home(vma: &Vma) -> Home {
    match vma.name.as_str() {
        _ if vma.is_file() || !vma.flags.private => Home::Other,
        "[heap]" => Home::Heap,
        "[stack]" => Home::Stack,
        "" => Home::Anonymous,
        name if name.starts_with("[anon") => Home::Anonymous,
        _ => Home::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::VmaFlags;
    use crate::units::Vpn;

    fn vma(start: u64, end: u64, inode: u64, name: &str) -> Vma {
        let flags = VmaFlags { read: true, write: true, execute: false, private: true };
        Vma { start: Vpn(start), end: Vpn(end), flags, offset: 0, inode, name: name.into() }
    }

    #[test]
    fn areas_are_told_by_their_names_and_neighbours() {
        let mut shared = vma(40, 50, 0, "");
        shared.flags.private = false;
        let vmas = [
            vma(1, 2, 7, "/usr/bin/python3.12"),
            vma(2, 3, 0, ""),
            vma(4, 5, 0, "[heap]"),
            vma(6, 7, 9, "/usr/lib/libz.so.1 (deleted)"),
            vma(7, 8, 9, "/usr/lib/libz.so.1 (deleted)"),
            vma(10, 20, 0, ""),
            vma(20, 30, 0, "[anon: glibc: malloc arena]"),
            shared,
            vma(60, 70, 0, "[stack]"),
            vma(80, 81, 0, "[vdso]"),
        ];
        let areas = Areas::new(&vmas, Some(7 << 12));
        let home = |page: u64| areas.at(page << 12).map(|(_, home)| home);
        assert_eq!((home(1), home(2)), (Some(Home::File(0)), Some(Home::Tail(0))));
        assert_eq!((home(3), home(4)), (None, Some(Home::Heap)));
        assert_eq!((home(6), home(7), home(8)), (Some(Home::File(1)), Some(Home::File(1)), None));
        assert_eq!((home(19), home(20)), (Some(Home::Anonymous), Some(Home::Anonymous)));
        assert_eq!((home(40), home(69), home(80)), (Some(Home::Other), Some(Home::Stack), Some(Home::Other)));
        assert_eq!((home(0), home(81)), (None, None));
        assert_eq!(&*areas.library(1).name, "libz.so.1");
        assert!(areas.library(0).interpreter, "by its name");
        assert!(areas.library(1).interpreter, "by what stands in it");
        assert!(!Areas::new(&vmas, None).library(1).interpreter);
    }
}
