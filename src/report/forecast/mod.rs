//! What a family of workers will hold, and how to show it.

mod charts;
pub mod html;
mod plot;
mod words;

pub(super) use words::verdict;
