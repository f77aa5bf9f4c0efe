//! The raw ABI: `/proc` page tables, `PAGEMAP_SCAN`, userfaultfd, perf events, remote memory, process creation.
//!
//! Each file wraps one kernel interface in a safe function; policy lives above.
#![allow(unsafe_code)]

pub mod agent;
pub mod caps;
pub mod event;
pub mod files;
pub mod fork_cost;
pub mod pagemap;
pub mod perf;
pub mod remote;
pub mod scan;
pub mod spawn;
pub mod stop;
pub mod uffd;

pub use caps::Caps;
