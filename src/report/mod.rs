//! What people read: text for the terminal, JSON and flame graphs for programs, one HTML file for everybody.

pub mod advice;
mod charts;
pub mod check;
pub mod folded;
pub mod forecast;
pub mod fork_cost;
pub mod gallery;
pub mod html;
pub mod json;
pub mod matrix;
mod palette;
mod plot;
mod printable;
pub mod ranking;
mod second_method;
pub mod speedscope;
mod stacks;
mod steps;
mod summary;
pub mod text;
mod verdict;
mod wrap;

pub use palette::Role;
pub(crate) use printable::{printable, printable_lines};
pub use summary::{Split, Summary};
pub(crate) use summary::{counted, next_command, shell_word, shown_percent};
pub(crate) use wrap::wrap;
