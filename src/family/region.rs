//! Named stretches of memory.

use serde::{Deserialize, Serialize};

/// A stretch of memory that somebody owns and can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// First address, in bytes.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// The name people read: `object heap`, `mark bitmap`, `hot code`.
    pub name: String,
}
