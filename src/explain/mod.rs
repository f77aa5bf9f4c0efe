//! From a page fault to an explanation: which cause, which object, whose it is, and which line.

pub mod allocators;
pub mod demangle;
pub mod elf;
pub mod heap;
pub mod instruction;
pub mod place;
pub mod symbols;
pub mod toy;
pub mod verdict;

pub use place::Place;
