//! How a policy is written: `mark-bitmap`, `refcount+indirect`, `copying+freeze+off`.
//!
//! A policy is a list of words joined by `+`. Each word belongs to one axis, whatever its place: memory
//! (`refcount` … `none`), allocation order (`bump` …), what is done at the fork (`freeze` …), compiler
//! (`patch` …). What is not said is as by default. It is printed with the memory policy first and
//! without the other defaults.

use crate::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions};
use std::fmt;
use std::str::FromStr;

/// A choice on every axis of the toy runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PolicySpec {
    /// How memory is given back.
    pub gc: GcPolicy,
    /// Where new objects are put.
    pub alloc: AllocOrder,
    /// What is done to the heap right before the fork.
    pub at_fork: AtFork,
    /// What is done with hot functions.
    pub jit: JitMode,
}

/// What `forkprint lab` compares unless told otherwise: every memory policy, every compiler mode, and
/// what allocation order and the fork add to them.
const DEFAULTS: [&str; 20] = [
    "refcount",
    "refcount-side",
    "mark-header",
    "mark-bitmap",
    "copying",
    "compacting",
    "generational",
    "none",
    "refcount+freeze",
    "mark-header+freeze",
    "mark-header+compact-freeze",
    "generational+freeze",
    "copying+freeze",
    "mark-bitmap+bump",
    "mark-bitmap+scattered",
    "mark-bitmap+compact",
    "mark-bitmap+side-counters",
    "mark-bitmap+indirect",
    "mark-bitmap+warm",
    "mark-bitmap+off",
];

impl PolicySpec {
    /// The policies that are compared unless others are named.
    pub fn defaults() -> Vec<Self> {
        DEFAULTS.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Every combination that differs from all others.
    pub fn all() -> Vec<Self> {
        Self::product(GcPolicy::ALL, AllocOrder::ALL, AtFork::ALL, JitMode::ALL)
    }

    /// Every combination of these words. Policies that decide on the order of objects themselves are
    /// taken once, whatever orders there are.
    pub fn product(gc: &[GcPolicy], alloc: &[AllocOrder], at_fork: &[AtFork], jit: &[JitMode]) -> Vec<Self> {
        let mut specs = Vec::new();
        for &gc in gc {
            let orders = if orders_by_itself(gc) { &[AllocOrder::SizeClass][..] } else { alloc };
            for &alloc in orders {
                for &at_fork in at_fork {
                    specs.extend(jit.iter().map(|&jit| Self { gc, alloc, at_fork, jit }));
                }
            }
        }
        specs
    }

    /// The options of a runtime that behaves so.
    pub fn options(self) -> ToyOptions {
        let Self { gc, alloc, at_fork, jit } = self;
        ToyOptions { gc, alloc, at_fork, jit, ..ToyOptions::default() }
    }

    /// The flags of `forkprint run` that choose it.
    pub fn flags(self) -> String {
        let Self { gc, alloc, at_fork, jit } = self;
        let mut flags = format!("--gc {gc}");
        let mut add = |flag: &str, word: &str, is_default: bool| {
            if !is_default {
                flags = format!("{flags} --{flag} {word}");
            }
        };
        add("alloc", alloc.word(), alloc == AllocOrder::default());
        add("at-fork", at_fork.word(), at_fork == AtFork::default());
        add("jit", jit.word(), jit == JitMode::default());
        flags
    }

    /// What it does, in one sentence.
    pub fn description(self) -> String {
        let mut parts = vec![memory(self.gc).to_owned()];
        if self.alloc != AllocOrder::default() {
            parts.push(order(self.alloc).to_owned());
        }
        if self.at_fork != AtFork::default() {
            parts.push(fork(self.at_fork).to_owned());
        }
        parts.push(compiler(self.jit).to_owned());
        parts.join("; ")
    }
}

/// Whether a memory policy puts objects where it wants, so that an allocation order says nothing.
fn orders_by_itself(gc: GcPolicy) -> bool {
    matches!(gc, GcPolicy::Copying | GcPolicy::Compacting | GcPolicy::Generational)
}

const fn memory(gc: GcPolicy) -> &'static str {
    match gc {
        GcPolicy::Refcount => "counts references in object headers",
        GcPolicy::RefcountSide => "counts references in a table beside the heap",
        GcPolicy::MarkHeader => "marks in object headers",
        GcPolicy::MarkBitmap => "marks in a bitmap beside the heap",
        GcPolicy::Copying => "copies live objects to the other half of the heap",
        GcPolicy::Compacting => "slides live objects together",
        GcPolicy::Generational => "moves survivors of a nursery to an old space",
        GcPolicy::None => "never gives memory back",
    }
}

const fn order(alloc: AllocOrder) -> &'static str {
    match alloc {
        AllocOrder::Bump => "objects in the order they are made",
        AllocOrder::SizeClass => "objects with others of their size",
        AllocOrder::Scattered => "objects anywhere",
    }
}

const fn fork(at_fork: AtFork) -> &'static str {
    match at_fork {
        AtFork::Nothing => "nothing is done at the fork",
        AtFork::Freeze => "what is older than the fork is left alone",
        AtFork::Compact => "live objects are put together before the fork",
        AtFork::CompactFreeze => "live objects are put together before the fork, then left alone",
    }
}

const fn compiler(jit: JitMode) -> &'static str {
    match jit {
        JitMode::Patch => "compiled code is patched",
        JitMode::SideCounters => "compiled code is patched, counters stand beside it",
        JitMode::Indirect => "compiled code is never written again",
        JitMode::Warm => "everything is compiled before the fork",
        JitMode::Off => "everything is interpreted",
    }
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.gc)?;
        if self.alloc != AllocOrder::default() {
            write!(f, "+{}", self.alloc)?;
        }
        if self.at_fork != AtFork::default() {
            write!(f, "+{}", self.at_fork)?;
        }
        if self.jit != JitMode::default() {
            write!(f, "+{}", self.jit)?;
        }
        Ok(())
    }
}

impl FromStr for PolicySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut gc, mut alloc, mut at_fork, mut jit) = (None, None, None, None);
        for word in text.split('+').map(str::trim) {
            let known = take(word, &mut gc)?
                || take(word, &mut alloc)?
                || take(word, &mut at_fork)?
                || take(word, &mut jit)?;
            if !known {
                return Err(unknown(word));
            }
        }
        Ok(Self {
            gc: gc.unwrap_or_default(),
            alloc: alloc.unwrap_or_default(),
            at_fork: at_fork.unwrap_or_default(),
            jit: jit.unwrap_or_default(),
        })
    }
}

/// Takes the word if it belongs to the axis; fails if the axis has one already.
fn take<T: FromStr + fmt::Display>(word: &str, axis: &mut Option<T>) -> Result<bool, String> {
    let Ok(choice) = word.parse::<T>() else { return Ok(false) };
    match axis.replace(choice) {
        None => Ok(true),
        Some(earlier) => Err(format!("'{earlier}' and '{word}' exclude each other")),
    }
}

fn unknown(word: &str) -> String {
    let words = |all: &[&str]| all.join(", ");
    format!(
        "'{word}' is no part of a policy; join words with +, of memory ({}), order ({}), fork ({}) and compiler ({})",
        words(&GcPolicy::ALL.iter().map(|one| one.word()).collect::<Vec<_>>()),
        words(&AllocOrder::ALL.iter().map(|one| one.word()).collect::<Vec<_>>()),
        words(&AtFork::ALL.iter().map(|one| one.word()).collect::<Vec<_>>()),
        words(&JitMode::ALL.iter().map(|one| one.word()).collect::<Vec<_>>()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn policies_read_back_what_they_print() {
        let all = PolicySpec::all();
        assert_eq!(all.len(), (5 * 3 + 3) * 4 * 5);
        for spec in &all {
            assert_eq!(spec.to_string().parse(), Ok(*spec));
        }
        let names: HashSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(PolicySpec::defaults().len(), DEFAULTS.len());
        for (spec, text) in PolicySpec::defaults().iter().zip(DEFAULTS) {
            assert_eq!(spec.to_string(), text, "the defaults are written as they are printed");
        }
    }

    #[test]
    fn words_may_stand_in_any_order_and_only_once_an_axis() {
        let spec: PolicySpec = "off+freeze+bump+copying".parse().unwrap();
        assert_eq!(spec.to_string(), "copying+bump+freeze+off");
        assert_eq!(spec.flags(), "--gc copying --alloc bump --at-fork freeze --jit off");
        assert_eq!("patch+off".parse::<PolicySpec>(), Err("'patch' and 'off' exclude each other".to_owned()));
        let refused = "mark-bitmap+fast".parse::<PolicySpec>().unwrap_err();
        assert!(refused.starts_with("'fast' is no part of a policy"), "{refused}");
    }
}
