//! A recording on disk: a folder with a JSON manifest and Parquet tables that anyone can open.
//!
//! `NAME.forkprint/manifest.json` holds everything but the pages. The tables beside it repeat what
//! people query (`processes`, `regions`, `steps`) and hold what is too much for JSON (`pages`,
//! `transitions`, `fresh`, `breaks` and the tables it refers to). See [`tables`] for the columns.

mod breaks;
mod decode;
mod file;
mod manifest;
mod reader;
pub mod tables;
mod writer;

pub use reader::read;
pub use writer::{check_destination, write};

/// Ending of a capture's folder.
pub const EXTENSION: &str = "forkprint";
