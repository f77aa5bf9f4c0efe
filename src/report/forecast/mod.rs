//! What a family of workers will hold, and how to show it.

mod charts;
pub mod html;
pub mod text;
mod words;

pub(super) use words::verdict;
