//! The walk over a heap that makes it ready for a fork: every object that roots lead to is made immortal
//! and its caches are filled, so that reading it later writes nothing.
//!
//! Written with the core library alone and without an allocator, because it has two homes: this crate,
//! for the extension module, and the agent library, for interpreters without the package. It takes its
//! memory from the kernel and gives all of it back. `CPython` is found at run time. The GIL is held from
//! beginning to end, and nothing is called that could run code of the program or the collector.

mod api;
#[allow(dead_code, reason = "the census reads the rest")]
pub(crate) mod dicts;
mod finish;
mod follow;
#[allow(dead_code, reason = "the census reads the rest")]
pub(crate) mod layout;
mod memory;
mod plans;
mod resources;
mod roots;
mod seen;
pub(crate) mod system;
mod walk;
mod warm;

use api::Api;
use layout::{FLAG_TUPLE, LIST_ITEMS, OB_SIZE, OB_TYPE, TP_FLAGS, TUPLE_ITEMS, word};
use memory::Memory;
use plans::Rules;
use walk::Walk;

/// Flag: fill caches.
pub const WARM: u32 = 1;
/// Flag: make objects immortal.
pub const IMMORTALISE: u32 = 2;

/// Flag of the walk at the end: list what immortal objects keep from going.
const COLLECT: u32 = 1 << 31;

/// What to prepare.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The `CPython` that runs here is 3.`minor`.
    pub minor: u32,
    /// A tuple of objects; 0: all modules and types.
    pub roots: u64,
    /// A tuple of objects that are left alone; a type in it stands for its instances.
    pub exclude: u64,
    /// [`WARM`] and [`IMMORTALISE`].
    pub flags: u32,
}

/// What was done, in the order in which Python is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects that were reached and not left alone.
    pub objects: u64,
    /// Their bytes, headers, items of lists and keys of dicts included; other buffers are not.
    pub bytes: u64,
    /// Objects that are immortal since.
    pub immortalised: u64,
    /// Objects that were immortal before.
    pub already_immortal: u64,
    /// Objects that the caller excluded.
    pub excluded: u64,
    /// Objects whose hash is known since.
    pub hashed: u64,
    /// Types that have a version tag since.
    pub tagged_types: u64,
    /// Names that were looked up in types.
    pub looked_up: u64,
    /// Pages of objects that were written.
    pub pages_written: u64,
    /// Memory that this took, at most.
    pub peak_bytes: u64,
    /// Frames, generators and coroutines, left alone.
    pub skipped_running: u64,
    /// Files, sockets, locks and threads, left alone.
    pub skipped_resources: u64,
    /// Objects with finalizers, which were followed only.
    pub skipped_finalizers: u64,
    /// Objects with weak references that have callbacks, which were followed only.
    pub skipped_weakrefs: u64,
}

impl Counts {
    /// How many there are.
    pub const LEN: usize = 14;

    /// All of them.
    pub const fn to_array(self) -> [u64; Self::LEN] {
        [
            self.objects,
            self.bytes,
            self.immortalised,
            self.already_immortal,
            self.excluded,
            self.hashed,
            self.tagged_types,
            self.looked_up,
            self.pages_written,
            self.peak_bytes,
            self.skipped_running,
            self.skipped_resources,
            self.skipped_finalizers,
            self.skipped_weakrefs,
        ]
    }
}

/// Why nothing was done, or not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Layouts of this version are not known.
    Version,
    /// Objects cannot be immortal before 3.12, and later versions than 3.13 mark them otherwise.
    Mortal,
    /// A free-threaded build.
    FreeThreaded,
    /// A debug build, which checks reference counts.
    RefDebug,
    /// Functions of the C API were not found.
    NoApi,
    /// There was no memory for the walk.
    Memory,
}

impl Refused {
    /// Why, as a message.
    pub const fn message(self) -> &'static core::ffi::CStr {
        match self {
            Self::Version => c"the layout of this CPython's objects is not known: 3.9 to 3.13 are",
            Self::Mortal => c"only CPython 3.12 and 3.13 have immortal objects as they are made here",
            Self::FreeThreaded => c"free-threaded builds count references otherwise; use the default build",
            Self::RefDebug => {
                c"this is a debug build (Py_REF_DEBUG), which checks reference counts; use a release build"
            }
            Self::NoApi => c"functions of CPython's C API were not found in this process",
            Self::Memory => c"there was no memory to walk the heap; what was prepared by then stays so",
        }
    }
}

/// Prepares a heap.
///
/// # Safety
///
/// `CPython` 3.`minor` must run in this process, the caller must hold the GIL, and the request's tuples
/// must be live.
pub unsafe fn prepare(request: &Request) -> Result<Counts, Refused> {
    refuse(request)?;
    let api = Api::find().ok_or(Refused::NoApi)?;
    // SAFETY: promised by the caller. The list keeps its types alive; what they and the modules refer to
    // lives as long, since nothing runs that could let it go.
    unsafe {
        let modules = roots::modules();
        let types = if request.roots == 0 { roots::all_types(&api) } else { 0 };
        let rules = Rules {
            api,
            minor: request.minor,
            excluded: tuple_items(request.exclude),
            thread: roots::thread_type(modules, &api, request.minor),
        };
        let done = match Walk::new(Memory::new(), rules, request.flags & (WARM | IMMORTALISE)) {
            None => Err(Refused::Memory),
            Some(mut walk) => {
                if request.roots == 0 {
                    walk.visit(modules);
                    if types != 0 {
                        visit_items(&mut walk, (word(types, LIST_ITEMS), word(types, OB_SIZE)));
                    }
                } else {
                    visit_items(&mut walk, tuple_items(request.roots));
                }
                if walk.run() { Ok(walk.counts) } else { Err(Refused::Memory) }
            }
        };
        if types != 0 {
            api.release(types);
        }
        if request.flags & IMMORTALISE != 0 {
            finish::stand_guard(modules, request);
        }
        done
    }
}

fn refuse(request: &Request) -> Result<(), Refused> {
    // Both are exported by such builds alone.
    if system::symbol(c"_Py_MergeZeroLocalRefcount") != 0 {
        return Err(Refused::FreeThreaded);
    }
    if system::symbol(c"_Py_NegativeRefcount") != 0 || system::symbol(c"_Py_RefTotal") != 0 {
        return Err(Refused::RefDebug);
    }
    if layout::qualified_name(request.minor).is_none() {
        return Err(Refused::Version);
    }
    if request.flags & IMMORTALISE != 0 && !matches!(request.minor, 12 | 13) {
        return Err(Refused::Mortal);
    }
    Ok(())
}

/// # Safety
///
/// `tuple` must be 0 or a live object.
unsafe fn tuple_items(tuple: u64) -> (u64, u64) {
    // SAFETY: promised by the caller; other objects than tuples have no items.
    unsafe {
        if tuple == 0 || word(word(tuple, OB_TYPE), TP_FLAGS) & FLAG_TUPLE == 0 {
            return (0, 0);
        }
        (tuple + TUPLE_ITEMS as u64, word(tuple, OB_SIZE))
    }
}

/// # Safety
///
/// There must be so many live objects.
unsafe fn visit_items(walk: &mut Walk, (items, count): (u64, u64)) {
    for index in 0..count {
        // SAFETY: promised by the caller.
        unsafe { walk.visit(word(items, index as usize * 8)) };
    }
}
