//! The pre-forking supervisor: re-executes itself as a zygote, and commands it and its workers.
//!
//! The supervisor never shares a heap with what it measures. [`family`] is its side of the sockets;
//! [`zygote`] and [`worker`] are the measured processes' side; [`protocol`] is what they say.

pub mod family;
pub mod protocol;
pub mod worker;
pub mod zygote;

pub use family::Family;
