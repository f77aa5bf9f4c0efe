//! From a page fault to an explanation: which cause, which object, whose it is, and which line.

pub mod place;
pub mod toy;

pub use place::Place;
