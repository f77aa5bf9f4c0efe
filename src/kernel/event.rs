//! One break as a witness saw it: a page fault, before anything is made of it.

/// A page fault of a watched process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakEvent {
    /// The byte that was touched (`PERF_SAMPLE_ADDR`, `si_addr`).
    pub address: u64,
    /// The instruction that touched it (`PERF_SAMPLE_IP`); a kernel address when the kernel did.
    pub instruction: u64,
    /// `CLOCK_MONOTONIC` at the fault, in nanoseconds.
    pub nanos: u64,
    /// Process of the thread.
    pub pid: u32,
    /// Thread.
    pub thread: u32,
    /// Index of its stack in the table of the witness; `None` where no Python frame was seen.
    pub stack: Option<u32>,
    /// The thread ran native code without holding the GIL.
    pub gil_released: bool,
    /// The 16 bytes at `address` rounded down to 8, before the store.
    pub old: Option<[u8; 16]>,
    /// The general registers, in the order of their x86-64 encoding: rax rcx rdx rbx rsp rbp rsi rdi r8…r15.
    pub registers: Option<[u64; 16]>,
}

impl BreakEvent {
    /// Whether the kernel touched the byte, on behalf of a system call.
    pub const fn by_kernel(&self) -> bool {
        self.instruction >> 63 != 0
    }
}
