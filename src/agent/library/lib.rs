//! The freestanding agent library; see `src/agent/mod.rs`.
//!
//! Built by `build.rs` as a shared object of its own, without the standard library. Two doors lead
//! in: it is preloaded (`LD_PRELOAD`), and Python may import it as `_forkprint_agent`.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod area;
mod arm;
mod census;
mod environment;
#[allow(dead_code, reason = "the supervisor reads the rest")]
#[path = "../../cpython/offsets/frames.rs"]
mod frame_layout;
mod handler;
#[allow(dead_code, reason = "the extension module uses the rest")]
#[path = "../../prepare/heap/mod.rs"]
mod heap;
mod output;
mod perf;
mod python;
mod recorded;
mod signal_names;
mod signals;
mod stacks;
mod state;
mod sys;
mod version;
mod walk;
#[allow(dead_code, reason = "the supervisor reads the rest")]
#[path = "../wire.rs"]
mod wire;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process; nothing in this library is meant to get here.
    unsafe { sys::_exit(70) }
}
