//! Live processes read from `/proc` into the pure model of [`crate::family`].

pub mod contents;
pub mod discover;
pub mod elf;
pub mod limit;
pub mod maps;
pub mod parallel;
pub mod process;
pub mod rollup;
pub mod root;
pub mod sections;
pub mod swap;

pub use process::{read_process, read_processes};
pub use root::ProcRoot;
