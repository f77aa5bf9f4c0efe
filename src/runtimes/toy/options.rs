//! What can be chosen about a toy runtime before it loads a program.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where the collector keeps the mark bit of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GcPolicy {
    /// In the object's header: marking writes to the page of every live object.
    MarkHeader,
    /// In a bitmap beside the heap, one bit for 16 bytes: marking writes to no object.
    #[default]
    MarkBitmap,
}

/// What the runtime does with functions that are called often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JitMode {
    /// Compiles them, and patches call sites and inline caches inside the compiled code.
    #[default]
    Patch,
    /// Interprets everything.
    Off,
}

/// How one toy runtime behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToyOptions {
    /// Where mark bits stand.
    pub gc: GcPolicy,
    /// Whether hot functions are compiled.
    pub jit: JitMode,
    /// Most bytes that the object heap may take; more is an error of the program.
    pub heap_limit: u64,
    /// Calls after which a function is compiled; 1 compiles everything at its first call.
    pub hot_calls: u32,
    /// Collects after so many allocations, to find collector bugs; 0 collects when the heap grew.
    pub collect_every: u32,
}

impl Default for ToyOptions {
    fn default() -> Self {
        Self {
            gc: GcPolicy::default(),
            jit: JitMode::default(),
            heap_limit: 1 << 30,
            hot_calls: 100,
            collect_every: 0,
        }
    }
}

impl fmt::Display for GcPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MarkHeader => "mark-header",
            Self::MarkBitmap => "mark-bitmap",
        })
    }
}

impl FromStr for GcPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mark-header" => Ok(Self::MarkHeader),
            "mark-bitmap" => Ok(Self::MarkBitmap),
            _ => Err(format!("'{text}' is no collector policy; choose mark-header or mark-bitmap")),
        }
    }
}

impl fmt::Display for JitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Patch => "patch",
            Self::Off => "off",
        })
    }
}

impl FromStr for JitMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "patch" => Ok(Self::Patch),
            "off" => Ok(Self::Off),
            _ => Err(format!("'{text}' is no compiler mode; choose patch or off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_what_they_print() {
        for policy in [GcPolicy::MarkHeader, GcPolicy::MarkBitmap] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for mode in [JitMode::Patch, JitMode::Off] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("bitmap".parse::<GcPolicy>().is_err());
        assert!("on".parse::<JitMode>().is_err());
    }

    #[test]
    fn options_read_from_toml_fill_in_defaults() {
        let options: ToyOptions = toml::from_str("gc = 'mark-header'\njit = 'off'").unwrap();
        assert_eq!((options.gc, options.jit), (GcPolicy::MarkHeader, JitMode::Off));
        assert_eq!(options.heap_limit, 1 << 30);
    }
}
