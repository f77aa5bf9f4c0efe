//! The command line: flags become plain structs, one file a verb.
