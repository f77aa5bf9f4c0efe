//! Page faults as `perf_event_open` tells them: exact address, instruction, time and thread.
//!
//! [`RingWitness`] watches a zygote and all that it forks from outside. [`RingView`] and
//! [`read_counter`] look at events that a process opened on itself.

pub mod abi;
mod attach;
pub mod event;
pub mod probe;
pub mod refusal;
pub mod ring;
mod witness;

pub use abi::{pidfd_getfd, read_counter};
pub use ring::RingView;
pub use witness::RingWitness;
