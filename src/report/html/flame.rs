//! The flame graph of broken bytes: calling contexts as a tree, and its widest stacks as a table.

use super::super::palette::Role;
use super::super::summary::{grouped, shown_percent};
use super::map::deflated;
use crate::family::breaks::{Breaks, Frame};
use crate::family::cause::Cause;
use crate::family::recording::Recording;
use crate::units::Bytes;
use minijinja::{Value, context};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Stacks in the table.
const STACKS: usize = 12;
/// Calls of a stack in the table.
const DEEPEST: usize = 64;
/// A call is drawn from one in so many pages on: less is thinner than a pixel at any zoom that helps.
const THINNEST: u64 = 20_000;

/// What the script draws.
#[derive(Serialize)]
struct Flame<'a> {
    page_size: u64,
    /// CSS name and name.
    causes: Vec<[String; 2]>,
    /// `search (shop.py)`
    names: Vec<String>,
    /// Source files of the names.
    files: Vec<&'a str>,
    /// Parents before children, the widest first: number of the parent plus one, name, line, pages,
    /// pages of its own, cause of most of them.
    nodes: Vec<[u64; 6]>,
    /// All broken pages, and those whose calling context is not known.
    pages: u64,
    unknown: u64,
}

/// What the template shows; nothing without calling contexts.
pub(super) fn context(recording: &Recording) -> Option<Value> {
    let breaks = &recording.breaks;
    let counts = Counts::of(breaks);
    (counts.unknown < breaks.rows.len() as u64).then(|| {
        context! {
            stacks => stacks(breaks, &counts),
            unknown => (counts.unknown > 0).then(|| Bytes::of_pages(counts.unknown).to_string()),
            all => Bytes::of_pages(breaks.rows.len() as u64).to_string(),
        }
    })
}

/// The data of the script: deflated JSON; nothing without calling contexts.
pub(super) fn packed(recording: &Recording) -> Option<String> {
    let breaks = &recording.breaks;
    let counts = Counts::of(breaks);
    let pages = breaks.rows.len() as u64;
    if counts.unknown == pages {
        return None;
    }
    let mut names = Vec::new();
    let mut files = Vec::new();
    let mut numbers: HashMap<u32, u64> = HashMap::new();
    let mut nodes: Vec<[u64; 6]> = Vec::new();
    let mut pending: Vec<(usize, u64)> = counts.children_of(None).map(|root| (root, 0)).collect();
    pending.reverse();
    while let Some((at, parent)) = pending.pop() {
        let tally = &counts.inclusive[at];
        if tally.pages() * THINNEST < pages {
            continue;
        }
        let Frame { function, line, .. } = breaks.frames[at];
        let name = *numbers.entry(function).or_insert_with(|| {
            let known = breaks.functions.get(function as usize);
            names.push(known.map_or_else(String::new, |function| function.name.clone()));
            files.push(known.map_or("", |function| function.file.as_str()));
            names.len() as u64 - 1
        });
        nodes.push([parent, name, line.into(), tally.pages(), counts.own[at], tally.dominant() as u64]);
        let number = nodes.len() as u64;
        let first = pending.len();
        pending.extend(counts.children_of(Some(at)).map(|child| (child, number)));
        pending[first..].reverse();
    }
    let causes =
        Cause::ALL.map(|cause| [Role::cause(cause.name()).css_name(), cause.name().replace('_', " ")]);
    let flame = Flame {
        page_size: recording.about.page_size,
        causes: causes.into(),
        names,
        files,
        nodes,
        pages,
        unknown: counts.unknown,
    };
    Some(deflated(&serde_json::to_vec(&flame).unwrap_or_default()))
}

fn stacks(breaks: &Breaks, counts: &Counts) -> Vec<Value> {
    let mut frames: Vec<usize> = (0..breaks.frames.len()).filter(|&at| counts.own[at] > 0).collect();
    frames.sort_by_key(|&at| Reverse(counts.own[at]));
    frames
        .into_iter()
        .take(STACKS)
        .map(|at| {
            let frame = u32::try_from(at).unwrap_or(u32::MAX);
            let stack: Vec<String> =
                breaks.stack(frame).take(DEEPEST).map(|frame| breaks.place(frame)).collect();
            context! {
                stack,
                pages => grouped(counts.own[at]),
                size => Bytes::of_pages(counts.own[at]).to_string(),
                share => shown_percent(counts.own[at], breaks.rows.len() as u64),
            }
        })
        .collect()
}

/// Broken pages of each calling context.
struct Counts {
    /// With this frame the innermost.
    own: Vec<u64>,
    /// With this frame on the stack.
    inclusive: Vec<Causes>,
    /// Children of each frame, the widest first; those without a parent last.
    children: Vec<Vec<usize>>,
    /// Pages without a frame.
    unknown: u64,
}

impl Counts {
    fn of(breaks: &Breaks) -> Self {
        let frames = &breaks.frames;
        let mut inclusive = vec![Causes::default(); frames.len()];
        let mut unknown = 0;
        for row in &breaks.rows {
            match inclusive.get_mut(row.frame as usize) {
                Some(causes) => causes.0[row.cause as usize] += 1,
                None => unknown += 1,
            }
        }
        let own = inclusive.iter().map(Causes::pages).collect();
        let mut children = vec![Vec::new(); frames.len() + 1];
        for at in (0..frames.len()).rev() {
            let parent = frames[at].parent as usize;
            let tally = inclusive[at];
            if parent < at {
                inclusive[parent].add(&tally);
            }
            if tally.pages() > 0 {
                children[if parent < at { parent } else { frames.len() }].push(at);
            }
        }
        for siblings in &mut children {
            siblings.sort_by_key(|&at| (Reverse(inclusive[at].pages()), at));
        }
        Self { own, inclusive, children, unknown }
    }

    fn children_of(&self, frame: Option<usize>) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let siblings = frame.map_or_else(|| self.children.last(), |frame| self.children.get(frame));
        siblings.into_iter().flatten().copied()
    }
}

/// Pages by cause.
#[derive(Clone, Copy, Default)]
struct Causes([u32; Cause::ALL.len()]);

impl Causes {
    fn pages(&self) -> u64 {
        self.0.iter().map(|&pages| u64::from(pages)).sum()
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    /// The cause of most pages; of several, the first.
    fn dominant(&self) -> Cause {
        Cause::ALL
            .into_iter()
            .min_by_key(|&cause| Reverse(self.0[cause as usize]))
            .unwrap_or(Cause::Unexplained)
    }
}
