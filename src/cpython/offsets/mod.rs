//! Where the fields of `CPython`'s structs stand, one table a version.

pub mod frames;
