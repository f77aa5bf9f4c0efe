//! The C library, as far as it may be called here. Constants are those of Linux on x86-64.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

pub const PROT_READ: c_int = 1;
pub const PROT_WRITE: c_int = 2;
pub const MAP_SHARED: c_int = 1;
pub const MAP_ANONYMOUS: c_int = 0x20;
pub const MAP_NORESERVE: c_int = 0x4000;
pub const MADV_POPULATE_WRITE: c_int = 23;
/// `MFD_CLOEXEC` and `MFD_ALLOW_SEALING`: the supervisor lets nobody make the memory smaller.
pub const MFD_SEALABLE: c_uint = 3;
pub const F_DUPFD_CLOEXEC: c_int = 1030;
pub const CLOCK_MONOTONIC: c_int = 1;
pub const SIGTRAP: c_int = 5;
pub const SA_SIGINFO: c_int = 4;
pub const SA_ONSTACK: c_int = 0x0800_0000;
pub const SA_RESTART: c_int = 0x1000_0000;
pub const SA_NODEFER: c_int = 0x4000_0000;
pub const SA_RESETHAND: c_int = 0x8000_0000_u32 as c_int;
pub const SOL_SOCKET: c_int = 1;
pub const SCM_RIGHTS: c_int = 1;
pub const MSG_NOSIGNAL: c_int = 0x4000;
pub const MSG_DONTWAIT: c_int = 0x40;
pub const SC_NPROCESSORS_CONF: c_int = 83;
pub const EINTR: c_int = 4;
pub const ENOMEM: c_int = 12;
pub const ENODEV: c_int = 19;
pub const EINVAL: c_int = 22;
pub const EFBIG: c_int = 27;
pub const RLIMIT_FSIZE: c_int = 1;
pub const RLIMIT_AS: c_int = 9;
pub const AF_UNIX: c_int = 1;
pub const SOCK_SEQPACKET: c_int = 5;
pub const SOCK_CLOEXEC: c_int = 0o2_000_000;
pub const SYS_POLL: c_long = 7;
pub const SYS_KILL: c_long = 62;
pub const SYS_EXIT_GROUP: c_long = 231;
pub const SYS_CLOSE_RANGE: c_long = 436;
const SYS_FSTAT: c_long = 5;
const SYS_CLONE: c_long = 56;
/// `waitpid` for children that end without a signal too.
pub const WALL: c_int = 0x4000_0000;
const SIG_SETMASK: c_int = 2;
const SYS_RT_SIGPROCMASK: c_long = 14;
const SYS_MADVISE: c_long = 28;
const SYS_GETTID: c_long = 186;
const SYS_PERF_EVENT_OPEN: c_long = 298;
const RTLD_DEFAULT: *mut c_void = core::ptr::null_mut();

#[repr(C)]
pub struct TimeSpec {
    pub seconds: i64,
    pub nanos: i64,
}

#[repr(C)]
pub struct IoVec {
    pub base: *const c_void,
    pub len: usize,
}

/// `struct msghdr` of glibc.
#[repr(C)]
pub struct MessageHeader {
    pub name: *mut c_void,
    pub name_len: u32,
    pub vectors: *const IoVec,
    pub vector_count: usize,
    pub control: *mut c_void,
    pub control_len: usize,
    pub flags: c_int,
}

/// `struct sigaction` of glibc.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SigAction {
    pub handler: usize,
    pub mask: [u64; 16],
    pub flags: c_int,
    pub restorer: usize,
}

impl SigAction {
    pub const DEFAULT: Self = Self { handler: 0, mask: [0; 16], flags: 0, restorer: 0 };
}

/// `stack_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SignalStack {
    pub base: *mut c_void,
    pub flags: c_int,
    pub size: usize,
}

impl SignalStack {
    const SS_DISABLE: c_int = 2;

    pub const NONE: Self = Self { base: core::ptr::null_mut(), flags: Self::SS_DISABLE, size: 0 };
}

/// `struct pollfd`.
#[repr(C)]
pub struct PollFd {
    pub fd: c_int,
    pub events: i16,
    pub revents: i16,
}

unsafe extern "C" {
    pub fn getenv(name: *const c_char) -> *const c_char;
    pub fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    pub fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    pub fn connect(socket: c_int, address: *const c_void, length: u32) -> c_int;
    pub fn recv(socket: c_int, buffer: *mut c_void, length: usize, flags: c_int) -> isize;
    pub fn clone(
        function: extern "C" fn(*mut c_void) -> c_int,
        stack: *mut c_void,
        flags: c_int,
        argument: *mut c_void,
        ...
    ) -> c_int;
    pub fn _exit(code: c_int) -> !;
    pub fn syscall(number: c_long, ...) -> c_long;
    pub fn mmap(
        at: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub fn munmap(at: *mut c_void, len: usize) -> c_int;
    pub fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    #[link_name = "ftruncate"]
    fn set_length(fd: c_int, len: i64) -> c_int;
    fn getrlimit(resource: c_int, limits: *mut [u64; 2]) -> c_int;
    pub fn close(fd: c_int) -> c_int;
    pub fn ioctl(fd: c_int, request: u64, ...) -> c_int;
    pub fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    pub fn sendmsg(fd: c_int, message: *const MessageHeader, flags: c_int) -> isize;
    pub fn getpid() -> c_int;
    pub fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    pub fn raise(signal: c_int) -> c_int;
    pub fn prctl(option: c_int, ...) -> c_int;
    pub fn sysconf(name: c_int) -> c_long;
    pub fn clock_gettime(clock: c_int, time: *mut TimeSpec) -> c_int;
    pub fn sigaltstack(new: *const SignalStack, old: *mut SignalStack) -> c_int;
    pub fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    pub fn __errno_location() -> *mut c_int;
    pub fn __register_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
        dso: *mut c_void,
    ) -> c_int;
}

pub fn errno() -> c_int {
    // SAFETY: points at the calling thread's own errno, always.
    unsafe { *__errno_location() }
}

pub fn set_errno(errno: c_int) {
    // SAFETY: as above.
    unsafe { *__errno_location() = errno }
}

/// The address of a function or variable of any library of this process; null when there is none.
pub fn symbol(name: &core::ffi::CStr) -> *mut c_void {
    // SAFETY: `name` ends in NUL.
    unsafe { dlsym(RTLD_DEFAULT, name.as_ptr()) }
}

pub fn monotonic_nanos() -> u64 {
    let mut now = TimeSpec { seconds: 0, nanos: 0 };
    // SAFETY: `now` is writable and has the layout of struct timespec.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut now) };
    now.seconds as u64 * 1_000_000_000 + now.nanos as u64
}

/// A system call, without the C library: it gives `-errno`, and leaves `errno` alone. That variable
/// stands on a page of its thread, which writing to it would break.
///
/// # Safety
///
/// As for the system call.
unsafe fn call(number: c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result;
    // SAFETY: the kernel clobbers rcx and r11 only; what it does to memory is promised by the caller.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

pub fn thread_id() -> u32 {
    // SAFETY: a system call without arguments.
    unsafe { call(SYS_GETTID, [0; 5]) as u32 }
}

/// Opens a performance event on the calling process, for one processor. Gives `-errno` when refused.
pub fn perf_event_open(attributes: *const c_void, processor: c_int, flags: u64) -> c_int {
    const NO_GROUP: usize = usize::MAX;
    let arguments = [attributes as usize, 0, processor as usize, NO_GROUP, flags as usize];
    // SAFETY: `attributes` is a perf_event_attr of the size that it names.
    unsafe { call(SYS_PERF_EVENT_OPEN, arguments) as c_int }
}

/// Forks without the fork handlers of the program, and of ours: for a child that only reads. Also works
/// within such a handler. The child ends without a signal, and only a [`WALL`] waits for it: the program
/// never learns of it.
pub fn fork_plainly() -> c_int {
    // SAFETY: as fork; the caller keeps the child from returning into the program.
    let child = unsafe { call(SYS_CLONE, [0; 5]) };
    if child < 0 {
        set_errno(-child as c_int);
    }
    child as c_int
}

/// Blocks the signals of a set, and only those. Returns the set before.
pub fn block_signals(set: u64) -> u64 {
    let mut before = 0_u64;
    let (set, old) = ((&raw const set) as usize, (&raw mut before) as usize);
    // SAFETY: two sets of eight bytes, as the kernel has them.
    unsafe { call(SYS_RT_SIGPROCMASK, [SIG_SETMASK as usize, set, old, 8, 0]) };
    before
}

/// Whether eight bytes at an aligned address may be read, without the risk of a fault.
///
/// The kernel copies the set before it refuses the operation: EFAULT tells that it could not.
pub fn readable(aligned: u64) -> bool {
    const NO_OPERATION: usize = usize::MAX;
    // SAFETY: the kernel only reads eight bytes at the address, or says that it cannot.
    let refused = unsafe { call(SYS_RT_SIGPROCMASK, [NO_OPERATION, aligned as usize, 0, 8, 0]) };
    refused == -(EINVAL as isize)
}

/// Changes the signal mask of the calling thread.
pub fn signal_mask(how: c_int, set: *const u64, old: *mut u64) {
    // SAFETY: the kernel reads and writes eight bytes each.
    unsafe { syscall(SYS_RT_SIGPROCMASK, how, set, old, 8_usize) };
}

/// A shared anonymous mapping: memory that a fork does not copy, and that is no private page.
pub fn map_shared(bytes: usize, fd: c_int) -> Option<*mut u8> {
    let flags = if fd < 0 { MAP_SHARED | MAP_ANONYMOUS } else { MAP_SHARED } | MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { mmap(core::ptr::null_mut(), bytes, PROT_READ | PROT_WRITE, flags, fd, 0) };
    if at as isize == -1 { None } else { Some(at.cast()) }
}

/// The soft limit of a resource; `u64::MAX` where there is none.
pub fn limit(resource: c_int) -> u64 {
    let mut limits = [u64::MAX; 2];
    // SAFETY: `limits` has the layout of struct rlimit.
    unsafe { getrlimit(resource, &raw mut limits) };
    limits[0]
}

/// Sets the length of a file. Where a limit forbids it, this fails without the signal (SIGXFSZ) that
/// the kernel would send to the program.
///
/// # Safety
///
/// The descriptor must be one of ours.
pub unsafe fn ftruncate(fd: c_int, len: i64) -> c_int {
    if limit(RLIMIT_FSIZE) < len as u64 {
        set_errno(EFBIG);
        return -1;
    }
    // SAFETY: promised by the caller.
    unsafe { set_length(fd, len) }
}

/// Device and inode of an open file: which file it is. None where the descriptor is closed.
pub fn identity(fd: c_int) -> Option<(u64, u64)> {
    // `struct stat` of x86-64 has 144 bytes and begins with these two.
    let mut told = [0_u64; 18];
    // SAFETY: `told` is as long as the kernel's struct.
    let failed = unsafe { syscall(SYS_FSTAT, fd as c_long, told.as_mut_ptr()) } != 0;
    if failed { None } else { Some((told[0], told[1])) }
}

/// Makes pages of a writable mapping present, so that touching them later takes no fault. Kernels
/// before 5.14 refuse; then the first touch takes one.
pub fn populate(at: *mut u8, bytes: usize) {
    // SAFETY: changes no contents; the range is ours.
    unsafe { call(SYS_MADVISE, [at as usize, bytes, MADV_POPULATE_WRITE as usize, 0, 0]) };
}
