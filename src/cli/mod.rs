//! The command line: flags become plain structs, one file a verb.

pub mod output;
pub mod report;
