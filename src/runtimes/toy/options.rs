//! What can be chosen about a toy runtime before it loads a program.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An enum whose variants are written as words: printed, parsed, listed, and read from TOML.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let known = Self::ALL.iter().copied().find(|known| known.word() == text);
                known.ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|known| known.word()).collect();
                    format!("'{text}' is no {}; choose {}", $what, words.join(", "))
                })
            }
        }
    };
}

choices! {
    /// How memory is given back, and what that writes to objects.
    GcPolicy, "memory policy" {
        /// Counts references in the object's header: reading an object writes to it.
        Refcount = "refcount",
        /// Counts references in a table beside the heap.
        RefcountSide = "refcount-side",
        /// Marks in the object's header: a collection writes to the page of every live object.
        MarkHeader = "mark-header",
        /// Marks in a bitmap beside the heap, one bit for 16 bytes: a collection writes to no object.
        #[default]
        MarkBitmap = "mark-bitmap",
        /// Copies live objects into the other half of the heap.
        Copying = "copying",
        /// Slides live objects together.
        Compacting = "compacting",
        /// Makes objects in a nursery and moves the survivors to an old space.
        Generational = "generational",
        /// Never gives memory back.
        None = "none",
    }
}

choices! {
    /// Where new objects are put, for policies that do not move them.
    AllocOrder, "allocation order" {
        /// One after the other, whatever their size.
        Bump = "bump",
        /// With others of their size.
        #[default]
        SizeClass = "size-class",
        /// Anywhere, as in the heap of a process that has run for long.
        Scattered = "scattered",
    }
}

choices! {
    /// What is done to the heap right before the first fork.
    AtFork, "thing to do at the fork" {
        /// Nothing.
        #[default]
        Nothing = "nothing",
        /// Everything older than the fork is never marked, counted or moved again.
        Freeze = "freeze",
        /// Live objects are put together, without gaps.
        Compact = "compact",
        /// Both: put together, then frozen.
        CompactFreeze = "compact-freeze",
    }
}

impl AtFork {
    /// Whether live objects are put together.
    pub const fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactFreeze)
    }

    /// Whether what exists is left alone from then on.
    pub const fn freezes(self) -> bool {
        matches!(self, Self::Freeze | Self::CompactFreeze)
    }
}

choices! {
    /// What the compiler does, and where compiled code keeps what changes.
    JitMode, "compiler mode" {
        /// Call targets, inline caches and their counters are operands inside the code.
        #[default]
        Patch = "patch",
        /// Call targets and inline caches inside the code, counters in a table beside it.
        SideCounters = "side-counters",
        /// All of it in a table beside the code, which is never written after it is made.
        Indirect = "indirect",
        /// Everything is compiled and linked before the fork, and nothing changes after it.
        Warm = "warm",
        /// Interprets everything.
        Off = "off",
    }
}

/// How one toy runtime behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToyOptions {
    /// How memory is given back.
    pub gc: GcPolicy,
    /// Where new objects are put.
    pub alloc: AllocOrder,
    /// What is done to the heap right before the first fork.
    pub at_fork: AtFork,
    /// Whether and how hot functions are compiled.
    pub jit: JitMode,
    /// Most bytes that the object heap may take; more is an error of the program.
    pub heap_limit: u64,
    /// Calls after which a function is compiled; 1 compiles everything at its first call.
    pub hot_calls: u32,
    /// Collects after so many allocations, to find collector bugs; 0 collects when the heap grew.
    pub collect_every: u32,
    /// Leaves compiled code after about so many guards that hold, to find compiler bugs; 0 never.
    pub deopt_every: u32,
}

impl Default for ToyOptions {
    fn default() -> Self {
        Self {
            gc: GcPolicy::default(),
            alloc: AllocOrder::default(),
            at_fork: AtFork::default(),
            jit: JitMode::default(),
            heap_limit: 1 << 30,
            hot_calls: 100,
            collect_every: 0,
            deopt_every: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_what_they_print() {
        for policy in GcPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(*policy));
        }
        for mode in JitMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(*mode));
        }
        for order in AllocOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(*order));
        }
        for at_fork in AtFork::ALL {
            assert_eq!(at_fork.to_string().parse(), Ok(*at_fork));
        }
        assert_eq!(
            "on".parse::<JitMode>(),
            Err("'on' is no compiler mode; choose patch, side-counters, indirect, warm, off".to_owned())
        );
    }

    #[test]
    fn options_read_from_toml_fill_in_defaults() {
        let options: ToyOptions = toml::from_str("gc = 'mark-header'\njit = 'off'").unwrap();
        assert_eq!((options.gc, options.jit), (GcPolicy::MarkHeader, JitMode::Off));
        assert_eq!(options.heap_limit, 1 << 30);
    }
}
