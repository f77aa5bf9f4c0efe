//! The toy runtime: a small language that writes to shared pages in all the ways large ones do.
//!
//! Its collector can put mark bits into object headers or beside the heap, and its compiler patches
//! its own code. Both are what real runtimes do to shared pages, made small enough to be exact.
//! `docs/toy.md` describes the language and the memory layout.

mod gc;
mod jit;
mod lang;
mod library;
mod memory;
mod options;
mod profile;
mod runtime;
mod session;
mod source;
mod vm;

pub use jit::{CodeStats, Emitted};
pub use options::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions};
pub use profile::{
    CodeProfile, Collection, Death, FunctionProfile, Heat, Link, ObjectProfile, Ordinals, Profile,
    StepProfile,
};
pub use runtime::ToyRuntime;
pub use session::ToySession;
pub use source::{disassemble_file, format_source, read_source};
