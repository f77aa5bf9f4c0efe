//! Explained breaks as tables: `breaks`, and the names they refer to by index.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::tables;
