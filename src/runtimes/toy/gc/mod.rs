//! The object heap and its mark-sweep collector. Objects never move.
//!
//! Everything that a collection or an allocation has to remember stands beside the heap: free cells
//! are zero bits of an allocation bitmap, not links inside the cells. So sweeping writes to no
//! object, and whether marking does is one option ([`GcPolicy`](super::GcPolicy)).

mod blocks;
mod collector;
pub(crate) mod heap;
pub(crate) mod marks;
pub(crate) mod object;

pub(crate) use collector::Census;
