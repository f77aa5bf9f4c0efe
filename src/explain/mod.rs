//! From a page fault to an explanation: which cause, which object, whose it is, and which line.
//!
//! [`heap`] says what stood at the byte at the fork, [`instruction`] what was done to it, [`symbols`]
//! by which function; [`verdict`] decides, and [`rows`] finds the first write of every broken page.

pub mod allocators;
pub mod code;
pub mod demangle;
pub mod elf;
pub mod explainer;
pub mod heap;
pub mod instruction;
pub mod movers;
pub mod names;
pub mod place;
pub mod reconcile;
pub mod rows;
pub mod stacks;
pub mod symbols;
pub mod toy;
pub mod verdict;

pub use place::Place;
