//! Memory of the child alone, which nobody measures.

pub use crate::heap::system::prefetch;
use crate::sys;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::ptr;

const MAP_PRIVATE: c_int = 2;
/// Memory is made present in pieces of so many bytes, one piece ahead of its use.
const PIECE: usize = 1 << 20;

/// New memory, all zero, that is never given back: the child ends soon.
pub fn zeroed(bytes: usize) -> Option<*mut u8> {
    let flags = MAP_PRIVATE | sys::MAP_ANONYMOUS | sys::MAP_NORESERVE;
    let access = sys::PROT_READ | sys::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { sys::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    if at as isize == -1 { None } else { Some(at.cast()) }
}

/// An array that grows up to a limit. Memory that it may come to need is promised by nobody, so that
/// strict accounting (`vm.overcommit_memory=2`) does not refuse it.
pub struct Array<T> {
    at: *mut u8,
    len: usize,
    most: usize,
    present: usize,
    of: PhantomData<T>,
}

impl<T: Copy> Array<T> {
    /// An empty one for at most so many entries.
    pub fn new(most: usize) -> Option<Self> {
        let bytes = (most * size_of::<T>()).next_multiple_of(PIECE);
        // SAFETY: the name ends in NUL.
        let fd = unsafe { sys::memfd_create(c"forkprint-walk".as_ptr(), sys::MFD_SEALABLE) };
        // SAFETY: a descriptor of ours; one that could not be made is refused.
        let at = (fd >= 0 && unsafe { sys::ftruncate(fd, bytes as i64) } == 0)
            .then(|| sys::map_shared(bytes, fd))
            .flatten();
        // SAFETY: a descriptor of ours; the mapping stays.
        unsafe { sys::close(fd) };
        Some(Self { at: at?, len: 0, most, present: 0, of: PhantomData })
    }

    /// Entries so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry; false when there is no room.
    pub fn push(&mut self, entry: T) -> bool {
        if self.len == self.most {
            return false;
        }
        let offset = self.len * size_of::<T>();
        if offset + size_of::<T>() > self.present {
            // SAFETY: the array is a multiple of pieces, and the entry lies within it.
            sys::populate(unsafe { self.at.add(self.present) }, PIECE);
            self.present += PIECE;
        }
        // SAFETY: within the mapping.
        unsafe { self.at.add(offset).cast::<T>().write(entry) };
        self.len += 1;
        true
    }

    /// An entry.
    pub fn get(&self, index: usize) -> Option<T> {
        // SAFETY: entries below `len` were written.
        (index < self.len).then(|| unsafe { self.at.cast::<T>().add(index).read() })
    }

    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: entries below `len` were written.
        unsafe { core::slice::from_raw_parts(self.at.cast(), self.len) }
    }
}
