//! The flame graph of broken bytes: calling contexts as a tree, and its widest stacks as a table.

use super::super::palette::Role;
use super::super::stacks::{Key, Level, label};
use super::super::summary::{grouped, shown_percent};
use super::map::deflated;
use crate::family::breaks::Breaks;
use crate::family::cause::Cause;
use crate::family::recording::Recording;
use crate::units::Bytes;
use minijinja::{Value, context};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Stacks in the table.
const STACKS: usize = 12;
/// A call is drawn from one in so many pages on: less is thinner than a pixel at any zoom that helps.
const THINNEST: u64 = 20_000;

/// What the script draws.
#[derive(Serialize)]
struct Flame {
    page_size: u64,
    /// CSS name and name.
    causes: Vec<[String; 2]>,
    /// `search (shop.py:14)`, and the same with the whole path of the file.
    names: Vec<[String; 2]>,
    /// Parents before children, the widest first: number of the parent (0 for none, then from 1),
    /// name, pages, pages of its own, cause of most of them.
    nodes: Vec<[u64; 5]>,
    /// All broken pages.
    pages: u64,
}

/// The flame graph of a recording in which some calling context is known.
pub(super) struct Graph<'a> {
    recording: &'a Recording,
    stacks: Vec<(Key, Causes)>,
}

impl<'a> Graph<'a> {
    pub fn of(recording: &'a Recording) -> Option<Self> {
        let breaks = &recording.breaks;
        let known = |frame: u32| breaks.frames.get(frame as usize).is_some();
        if !breaks.rows.iter().any(|row| known(row.frame)) {
            return None;
        }
        let mut stacks: HashMap<Key, Causes> = HashMap::new();
        for row in &breaks.rows {
            stacks.entry(Key::of(breaks, row)).or_default().0[row.cause as usize] += 1;
        }
        let mut stacks: Vec<(Key, Causes)> = stacks.into_iter().collect();
        stacks.sort_unstable_by_key(|&(key, causes)| (Reverse(causes.pages()), key));
        Some(Self { recording, stacks })
    }

    /// What the template shows.
    pub fn context(&self) -> Value {
        let breaks = &self.recording.breaks;
        let row = |&(key, causes): &(Key, Causes)| {
            let calls = key.levels(breaks).into_iter().rev();
            let stack: Vec<String> = calls.map(|level| label(breaks, level, false).into_owned()).collect();
            context! {
                stack,
                pages => grouped(causes.pages()),
                size => Bytes::of_pages(causes.pages()).to_string(),
                share => shown_percent(causes.pages(), breaks.rows.len() as u64),
            }
        };
        context! { stacks => self.stacks.iter().take(STACKS).map(row).collect::<Vec<_>>() }
    }

    /// The data of the script: deflated JSON.
    pub fn packed(&self) -> String {
        let Recording { breaks, about, .. } = self.recording;
        let tree = Tree::of(breaks, &self.stacks);
        let mut names = Names::default();
        let flame = Flame {
            page_size: about.page_size,
            causes: Cause::ALL
                .map(|cause| [Role::cause(cause.name()).css_name(), cause.name().to_owned()])
                .into(),
            nodes: tree.drawn(|level| names.number(breaks, level)),
            names: names.names,
            pages: breaks.rows.len() as u64,
        };
        deflated(&serde_json::to_vec(&flame).unwrap_or_default())
    }
}

/// Stacks laid upon each other.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    outermost: BTreeMap<Level, usize>,
}

#[derive(Default)]
struct Node {
    /// With this call on the stack.
    causes: Causes,
    /// With this call the innermost.
    own: u64,
    children: BTreeMap<Level, usize>,
}

impl Tree {
    fn of(breaks: &Breaks, stacks: &[(Key, Causes)]) -> Self {
        let mut tree = Self::default();
        for (key, causes) in stacks {
            let mut above = None;
            for level in key.levels(breaks) {
                let node = tree.node(above, level);
                tree.nodes[node].causes.add(causes);
                above = Some(node);
            }
            if let Some(innermost) = above {
                tree.nodes[innermost].own += causes.pages();
            }
        }
        tree
    }

    fn node(&mut self, above: Option<usize>, level: Level) -> usize {
        let next = self.nodes.len();
        let siblings = above.map_or(&mut self.outermost, |above| &mut self.nodes[above].children);
        let node = *siblings.entry(level).or_insert(next);
        if node == next {
            self.nodes.push(Node::default());
        }
        node
    }

    /// The nodes wide enough to be seen, as [`Flame::nodes`] has them.
    fn drawn(&self, mut name: impl FnMut(Level) -> u64) -> Vec<[u64; 5]> {
        let mut drawn: Vec<[u64; 5]> = Vec::new();
        let all: u64 = self.outermost.values().map(|&node| self.nodes[node].causes.pages()).sum();
        let mut pending: Vec<(Level, usize, u64)> = self.narrowest_first(&self.outermost, 0);
        while let Some((level, at, parent)) = pending.pop() {
            let node = &self.nodes[at];
            if node.causes.pages() * THINNEST >= all {
                let dominant = node.causes.dominant() as u64;
                drawn.push([parent, name(level), node.causes.pages(), node.own, dominant]);
                pending.extend(self.narrowest_first(&node.children, drawn.len() as u64));
            }
        }
        drawn
    }

    fn narrowest_first(&self, nodes: &BTreeMap<Level, usize>, parent: u64) -> Vec<(Level, usize, u64)> {
        let mut sorted: Vec<_> = nodes.iter().map(|(&level, &at)| (level, at, parent)).collect();
        sorted.sort_by_key(|&(_, at, _)| self.nodes[at].causes.pages());
        sorted
    }
}

/// Names of levels, each listed once.
#[derive(Default)]
struct Names {
    names: Vec<[String; 2]>,
    numbers: HashMap<Level, u64>,
}

impl Names {
    fn number(&mut self, breaks: &Breaks, level: Level) -> u64 {
        *self.numbers.entry(level).or_insert_with(|| {
            self.names.push([false, true].map(|whole_path| label(breaks, level, whole_path).into_owned()));
            self.names.len() as u64 - 1
        })
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
        let most = Cause::ALL.into_iter().min_by_key(|&cause| Reverse(self.0[cause as usize]));
        most.unwrap_or(Cause::Unexplained)
    }
}
