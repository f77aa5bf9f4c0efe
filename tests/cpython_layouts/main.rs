//! What is read from the memory of live interpreters, against what they say of themselves.

mod blocks;
mod code;
mod frames;
mod hostile;
mod interpreters;
mod objects;
#[path = "../common/skip.rs"]
mod skip;
mod tables;
