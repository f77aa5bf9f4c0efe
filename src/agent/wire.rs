//! What agent and supervisor agree on: messages over a socket, and the layout of the shared area.
//!
//! This file stands alone: it is compiled into the freestanding library too.
//!
//! An area is one memfd, mapped shared by the process that writes and by the supervisor that reads:
//!
//! | part | entries |
//! | --- | --- |
//! | [`Header`] | one, in the first page |
//! | rings | where the process mapped its rings; one page, of no use to others |
//! | signal stack | [`SIGNAL_STACK_BYTES`], on which the handler runs |
//! | stacks | [`STACK_SLOTS`] of [`StackSlot`], a hash table |
//! | faults | [`FAULTS`] of [`Fault`], as the kernel's rings told them |
//! | traps | [`TRAPS`] of [`Trap`], as the handler saw them |
//! | frames | [`FRAMES`] of [`FrameWord`] |
//!
//! Logs only grow. An entry is valid once its last word, `ready`, is not zero.

/// Environment variable that holds what `LD_PRELOAD` was before the agent was added to it; the agent
/// puts that back, and removes this, before the program begins.
pub const RESTORE: &str = "FORKPRINT_LD_PRELOAD";

/// Environment variable that names the abstract socket of a recording, to which preloaded processes report.
pub const RECORD: &str = "FORKPRINT_RECORD";

/// First word of an area: changes with the layout.
pub const MAGIC: u64 = 0x666f_726b_7072_0001;

/// `perf_event_attr.sig_data` of the agent's events: tells its traps from those of others.
pub const SIGNAL_DATA: u64 = 0x666f_726b_7072_696e;

/// Slots of the table of stacks.
pub const STACK_SLOTS: usize = 1 << 15;
/// Room for page faults. The memory is only touched as it is used.
pub const FAULTS: usize = 1 << 23;
/// Room for traps.
pub const TRAPS: usize = 1 << 22;
/// Room for frames of distinct stacks.
pub const FRAMES: usize = 1 << 20;
/// Frames kept of one stack.
pub const MOST_FRAMES: usize = 64;
/// Rings of one process: one a processor.
pub const MOST_RINGS: usize = 250;

/// Bytes of the stack on which the handler runs: enough for the largest frame of a signal (AVX-512, AMX).
pub const SIGNAL_STACK_BYTES: usize = 128 << 10;
/// Memory of a log is made present in pieces of so many bytes, two pieces ahead of its use.
pub const PIECE: usize = 1 << 18;

const PAGE: usize = 4096;
/// Offset of the addresses of the rings.
pub const RINGS_AT: usize = PAGE;
/// Offset of the signal stack.
pub const SIGNAL_STACK_AT: usize = 2 * PAGE;
/// Offset of the table of stacks.
pub const STACKS_AT: usize = SIGNAL_STACK_AT + SIGNAL_STACK_BYTES;
/// Offset of the log of faults.
pub const FAULTS_AT: usize = STACKS_AT + STACK_SLOTS * size_of::<StackSlot>();
/// Offset of the log of traps.
pub const TRAPS_AT: usize = FAULTS_AT + FAULTS * size_of::<Fault>();
/// Offset of the frames.
pub const FRAMES_AT: usize = TRAPS_AT + TRAPS * size_of::<Trap>();
/// Bytes of an area, most of them never touched.
pub const AREA_BYTES: usize = FRAMES_AT + FRAMES * size_of::<FrameWord>();

/// The first page of an area.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// Process.
    pub pid: u32,
    /// Rings, and descriptors of events sent with the area.
    pub rings: u32,
    /// Pages of data of each ring.
    pub ring_pages: u32,
    /// Whether faults of the kernel are events too.
    pub kernel_included: u32,
    /// Which `CPython` the frames are of: minor version, or 0.
    pub python_minor: u32,
    /// Not used.
    pub pad: u32,
    /// `CLOCK_MONOTONIC` when the events were switched on, in nanoseconds.
    pub armed_nanos: u64,
    /// Faults logged, or dropped for lack of room.
    pub faults: u64,
    /// Traps logged, or dropped for lack of room.
    pub traps: u64,
    /// Frame words used.
    pub frames: u64,
    /// Stacks for which there was no room.
    pub stacks_dropped: u64,
    /// Locks of the rings, one a ring.
    pub ring_locks: [u32; MOST_RINGS],
}

/// One page fault, as a ring told it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Fault {
    /// The byte that was touched.
    pub address: u64,
    /// The instruction that touched it.
    pub instruction: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub nanos: u64,
    /// Thread.
    pub thread: u32,
    /// Not zero once the entry is whole.
    pub ready: u32,
}

/// One page fault, as the handler saw it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Trap {
    /// The byte that was touched.
    pub address: u64,
    /// The instruction to which the handler returns: that of the fault, unless [`Self::LATE`] or the
    /// kernel touched the byte.
    pub instruction: u64,
    /// The 16 bytes at `address` rounded down to 8, if [`Self::OLD`]; not beyond the end of the page.
    pub old: [u8; 16],
    /// rax rcx rdx rbx rsp rbp rsi rdi r8 … r15.
    pub registers: [u64; 16],
    /// Thread.
    pub thread: u32,
    /// Slot of the stack plus one; 0 for none.
    pub stack: u32,
    /// [`Self::LATE`], [`Self::OLD`], [`Self::GIL_RELEASED`].
    pub flags: u32,
    /// Not zero once the entry is whole.
    pub ready: u32,
}

impl Trap {
    /// The signal was blocked and came later: instruction and registers are not those of the fault.
    pub const LATE: u32 = 1;
    /// `old` was read.
    pub const OLD: u32 = 1 << 1;
    /// The thread did not hold the GIL.
    pub const GIL_RELEASED: u32 = 1 << 2;
}

/// One distinct stack.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StackSlot {
    /// Hash of its frames; 0 while the slot is free.
    pub hash: u64,
    /// Index of its first, innermost frame word.
    pub first: u32,
    /// Frames; bit 31 when there were more. 0 until the frames are whole.
    pub count: u32,
}

impl StackSlot {
    /// Set in `count` when outer frames are missing.
    pub const CUT: u32 = 1 << 31;
}

/// One Python frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FrameWord {
    /// Address of the code object.
    pub code: u64,
    /// `f_lasti` before 3.11, else the address of the instruction under way.
    pub instruction: u64,
}

/// What a process says over the agent's socket, with descriptors beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Message {
    /// [`Self::ARMED`], [`Self::REFUSED`] or [`Self::CENSUS`].
    pub kind: u32,
    /// Process.
    pub pid: u32,
    /// `errno` of what was refused.
    pub errno: i32,
    /// What was refused: one of the `STAGE_` numbers.
    pub stage: u32,
}

impl Message {
    /// Beside it: the area, then the events.
    pub const ARMED: u32 = 1;
    /// The process is not watched.
    pub const REFUSED: u32 = 2;
    /// Beside it: the census, which a process of this id writes.
    pub const CENSUS: u32 = 3;

    /// Record mode: the process forks for the first time; `stage` is the minor version of its `CPython`,
    /// or 0. Waits for an [`Answer`].
    pub const ABOUT_TO_FORK: u32 = 4;
    /// Record mode: a sibling of this id was frozen; `errno` is 1 if Python's frames can be read. Waits.
    pub const SIBLING: u32 = 5;
    /// Record mode: the process was forked into the family `stage`. Waits.
    pub const FORKED: u32 = 6;
    /// Record mode: the process of family `stage` is about to exit with status `errno`. Waits.
    pub const ENDING: u32 = 7;
    /// Record mode: the process is about to send signal `errno` to process or group `stage`. Waits.
    pub const KILLING: u32 = 8;

    /// The area could not be made.
    pub const STAGE_AREA: u32 = 1;
    /// `perf_event_open` was refused.
    pub const STAGE_EVENT: u32 = 2;
    /// A ring could not be mapped.
    pub const STAGE_RING: u32 = 3;
    /// The handler could not be installed.
    pub const STAGE_HANDLER: u32 = 4;
    /// The census could not be taken.
    pub const STAGE_CENSUS: u32 = 5;
    /// There are more than [`MOST_RINGS`] processors.
    pub const STAGE_PROCESSORS: u32 = 7;

    /// The sibling could not be cloned.
    pub const STAGE_SIBLING: u32 = 6;

    /// Bytes on the wire.
    pub const BYTES: usize = size_of::<Self>();
}

/// What a process in record mode is told: one of these bytes, then the number of its family.
#[derive(Debug, Clone, Copy)]
pub struct Answer;

impl Answer {
    /// Go on.
    pub const GO: u8 = b'g';
    /// You may be the zygote: list the objects and freeze a sibling.
    pub const FREEZE: u8 = b'f';
    /// Watch yourself and all that you fork, and go on.
    pub const WATCH: u8 = b'w';

    /// Bytes on the wire.
    pub const BYTES: usize = 2;
}

/// First word of a census: changes with the layout.
pub const CENSUS_MAGIC: u64 = 0x666f_726b_6365_0002;

/// Most types, names, nodes, bytes of text and objects of a census. Only what is used is ever touched.
pub const MOST_TYPES: usize = 1 << 16;
/// See [`MOST_TYPES`].
pub const MOST_NAMES: usize = 1 << 20;
/// See [`MOST_TYPES`].
pub const MOST_NODES: usize = 1 << 20;
/// See [`MOST_TYPES`].
pub const MOST_TEXT: usize = 1 << 26;
/// See [`MOST_TYPES`].
pub const MOST_OBJECTS: usize = 1 << 27;

/// Offset of the types of a census.
pub const TYPES_AT: usize = PAGE;
/// Offset of the names of slots and attributes.
pub const NAMES_AT: usize = TYPES_AT + MOST_TYPES * size_of::<CensusType>();
/// Offset of the nodes.
pub const NODES_AT: usize = NAMES_AT + MOST_NAMES * size_of::<CensusName>();
/// Offset of the text.
pub const TEXT_AT: usize = NODES_AT + MOST_NODES * size_of::<CensusNode>();
/// Offset of the objects.
pub const OBJECTS_AT: usize = TEXT_AT + MOST_TEXT;
/// Bytes of a census, most of them never touched.
pub const CENSUS_BYTES: usize = OBJECTS_AT + MOST_OBJECTS * size_of::<CensusObject>();

/// The first page of a census: how many entries each part has.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CensusHeader {
    /// [`CENSUS_MAGIC`].
    pub magic: u64,
    /// Entries of the types.
    pub types: u64,
    /// Entries of the names.
    pub names: u64,
    /// Entries of the nodes.
    pub nodes: u64,
    /// Bytes of the text.
    pub text: u64,
    /// Entries of the objects, ascending by address.
    pub objects: u64,
    /// Objects that no module leads to.
    pub unreachable: u64,
    /// Objects for which there was no room.
    pub dropped: u64,
    /// Nanoseconds it took.
    pub nanos: u64,
    /// Not zero once the census is whole.
    pub done: u64,
}

/// A stretch of memory: an object with what stands in front of it, or a buffer that one owns. Packed:
/// there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CensusObject {
    /// Address of the first byte (48 bits), then the index of the type (16 bits). Sorts by address.
    place: u64,
    /// From the lowest bit: bytes (32 bits), index of the node (20 bits), kind (3 bits).
    about: u64,
}

impl CensusObject {
    /// The object itself.
    pub const OBJECT: u32 = 0;
    /// `ob_item` of a list, or a block of a deque.
    pub const ITEMS: u32 = 1;
    /// `ma_keys` of a dict.
    pub const KEYS: u32 = 2;
    /// `ma_values` of a dict, or the values of an instance's attributes.
    pub const VALUES: u32 = 3;
    /// `table` of a set.
    pub const TABLE: u32 = 4;
    /// The bytes of a bytearray, an `array.array` or a `numpy.ndarray`.
    pub const BYTES: u32 = 5;

    /// Type and node are indices below [`MOST_TYPES`] and [`MOST_NODES`].
    pub const fn new(start: u64, size: u32, ty: u32, node: u32, kind: u32) -> Self {
        Self {
            place: start << 16 | ty as u64,
            about: size as u64 | (node as u64) << 32 | (kind as u64) << 52,
        }
    }

    /// First byte: of an object that of what stands in front of it, like the collector's header.
    pub const fn start(&self) -> u64 {
        self.place >> 16
    }

    /// Bytes, at most 4 GiB.
    pub const fn size(&self) -> u32 {
        (self.about & 0xffff_ffff) as u32
    }

    /// Index of the type of the object, or of the buffer's owner.
    pub const fn ty(&self) -> u32 {
        (self.place & 0xffff) as u32
    }

    /// Index of the node that tells whose it is.
    pub const fn node(&self) -> u32 {
        (self.about >> 32 & 0xf_ffff) as u32
    }

    /// [`Self::OBJECT`], or which buffer.
    pub const fn kind(&self) -> u32 {
        (self.about >> 52 & 7) as u32
    }
}

/// A type.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CensusType {
    /// Its address.
    pub address: u64,
    /// `tp_flags`.
    pub flags: u64,
    /// Place and length of its name in the text: `module.QualName`, or `str`.
    pub name: CensusName,
    /// Bytes in front of each of its objects: collector's header, pre-header.
    pub prefix: u32,
    /// First and number of its slots among the names.
    pub slots: [u32; 2],
    /// First and number of the attributes of its inline values, in the order of the values.
    pub attributes: [u32; 2],
    /// `tp_basicsize`.
    pub basic_size: u32,
    /// `tp_itemsize`.
    pub item_size: u32,
    /// Not used.
    pub pad: u32,
}

/// A name, and for slots where the slot stands.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CensusName {
    /// Where it begins in the text.
    pub at: u32,
    /// Bytes of UTF-8.
    pub len: u32,
    /// Offset of the slot from the object's start.
    pub offset: u32,
}

/// One step of a path: `shop` → `.CATALOG` → `[*]`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CensusNode {
    /// The node it belongs to; [`u32::MAX`] for the first of a path. Parents stand before children.
    pub parent: u32,
    /// Where its label begins in the text.
    pub at: u32,
    /// Bytes of the label.
    pub len: u16,
    /// Nodes above it.
    pub depth: u16,
    /// Nodes below it with a name of their own.
    pub children: u32,
}
