//! The memory footprint of `fork()`: which pages pre-forked workers stopped sharing, and what that costs.
//!
//! # Sharing after a fork, from zero
//!
//! A process sees memory as *pages* of 4 KiB. Behind each page stands a *frame* of physical memory, and
//! the kernel's page tables say which. `fork()` copies the page tables, not the frames: parent and
//! child now map the same frames, all of them marked read-only. Whoever writes first to a page takes a
//! fault; the kernel copies the frame, gives the copy to the writer, and lets it go on. That is
//! *copy-on-write*, and it is what makes pre-forking servers cheap: a *zygote* loads the application
//! once, and its *workers* inherit it for the price of page tables.
//!
//! It stays cheap only while nobody writes. A runtime that counts references inside its objects, or
//! marks them while it collects, or patches the code it compiled, writes all the time, also for a
//! program that only reads. Each such write *breaks* a page: one more frame for one more worker. Often
//! the bytes end up as they were (a count goes up and down again), and the copy is a *ghost*: it
//! bought nothing.
//!
//! This crate finds the broken pages of a family of processes and says who broke them, which are
//! ghosts, and who pays for which frame.
//!
//! # Where to begin
//!
//! [`record::run()`] measures a workload, [`record::server`] a real server; both give a
//! [`family::recording::Recording`], which [`capture`] stores and [`report`] draws. The pure model
//! is in [`mod@family`]; what the kernel is asked, in [`kernel`]. `ARCHITECTURE.md` walks one page from a
//! worker to a cell of the report.
#![warn(clippy::pedantic)]
#![allow(clippy::module_name_repetitions, clippy::must_use_candidate, clippy::missing_errors_doc)]

pub mod advise;
pub mod agent;
pub mod capture;
pub mod cli;
pub mod cpython;
pub mod error;
pub mod explain;
pub mod family;
pub mod forecast;
pub mod interrupt;
pub mod kernel;
pub mod lab;
pub mod observe;
pub mod prepare;
mod pyext;
pub mod record;
pub mod report;
pub mod runtimes;
pub mod servers;
pub mod supervisor;
pub mod units;
pub mod variant;
