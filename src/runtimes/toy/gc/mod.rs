//! The object heap: one memory policy behind one trait, one folder for each.
//!
//! A policy is a [`Plan`](plan::Plan). Those that never move objects take room from a
//! [`Space`](space::Space), which decides on the order of objects in memory.

mod barrier;
mod bits;
mod census;
mod cheney;
mod compacting;
mod copying;
mod counting;
mod evacuate;
mod generational;
#[cfg(test)]
mod graph_tests;
pub(crate) mod heap;
mod links;
mod mark_bitmap;
mod mark_header;
mod none;
pub(crate) mod object;
pub(crate) mod plan;
mod recount;
mod refcount;
mod refcount_side;
mod references;
mod room;
mod roots;
mod slide;
mod space;
#[cfg(test)]
mod tests;
mod trace;

pub(crate) use barrier::Barrier;
pub(crate) use census::Census;
pub(crate) use generational::cards::{CARD_SHIFT, CardAddresses};
pub(crate) use roots::Roots;
