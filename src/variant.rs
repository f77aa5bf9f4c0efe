//! A program as an experiment changes it: another text under the same name, and another environment.

use serde::{Deserialize, Serialize};

/// What is changed for one experiment. The user's own files stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Variant {
    /// Text to run instead of what the file holds. It is compiled under the file's own name, so that
    /// tracebacks, `__file__` and lines are those of the user.
    pub text: Option<String>,
    /// Variables to set for the zygote before it starts.
    pub environment: Vec<(String, String)>,
}

impl Variant {
    /// Whether nothing is changed.
    pub fn is_unchanged(&self) -> bool {
        *self == Self::default()
    }
}
