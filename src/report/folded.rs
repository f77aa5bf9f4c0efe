//! Flame graphs of broken bytes as folded stacks, Brendan Gregg's format: a line a stack,
//! `outer;inner bytes`, for `flamegraph.pl`, inferno and speedscope.

use super::stacks::{Key, label};
use crate::family::Breaks;
use crate::family::recording::Recording;
use crate::units::PAGE_SIZE;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// The stacks of all breaks, in alphabetical order, with the bytes of the pages they wrote first.
///
/// The bytes add up to all broken pages: pages without a known line stand below `no Python line`.
pub fn render(recording: &Recording) -> String {
    let breaks = &recording.breaks;
    let mut pages: HashMap<Key, u64> = HashMap::new();
    for row in &breaks.rows {
        *pages.entry(Key::of(breaks, row)).or_default() += 1;
    }
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for (key, pages) in pages {
        *stacks.entry(folded(breaks, key)).or_default() += pages * PAGE_SIZE;
    }
    let mut text = String::new();
    for (stack, bytes) in stacks {
        let _ = writeln!(text, "{stack} {bytes}");
    }
    text
}

fn folded(breaks: &Breaks, key: Key) -> String {
    let levels = key.levels(breaks);
    levels.into_iter().map(|level| frame(&label(breaks, level, true))).collect::<Vec<_>>().join(";")
}

/// A name that ends neither its frame nor its line.
fn frame(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}
