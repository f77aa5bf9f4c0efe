//! Paths: a tree of labels, in which all items of a container share one node.

use super::table::{Census, Slots, mix};
use super::text::Text;
use crate::wire::CensusNode;

/// Keys of dicts that get a node each; others share `[*]`.
const MOST_KEYS: u32 = 64;
/// Attributes of one node that get a node each.
const MOST_ATTRIBUTES: u32 = 4096;
/// Paths are not longer; what is deeper belongs to the last node.
const MOST_DEPTH: u16 = 16;
/// Labels longer than this are not names.
const MOST_LABEL: usize = 80;
const NO_PARENT: u32 = u32::MAX;

/// Set in [`Recent::below`] for values of keys: no parent has so high an index.
const VALUE: u32 = 1 << 31;
/// Nodes found of late, by their name's place.
const RECENT: usize = 1 << 10;

/// The nodes so far.
pub struct Paths {
    census: Census,
    slots: Slots,
    recent: [Recent; RECENT],
}

/// A node found of late: what names it, and below which parent, as attribute or as value.
#[derive(Clone, Copy)]
struct Recent {
    identity: u64,
    below: u32,
    node: u32,
}

impl Paths {
    pub fn new(census: Census) -> Option<Self> {
        let recent = [Recent { identity: 0, below: 0, node: 0 }; RECENT];
        Some(Self { census, slots: Slots::new(1 << 14)?, recent })
    }

    /// The first node of a path.
    pub fn root(&mut self, name: &[u8]) -> u32 {
        self.node(NO_PARENT, &[name]).unwrap_or(0)
    }

    /// An attribute, `.name`.
    pub fn attribute(&mut self, parent: u32, name: &Text) -> u32 {
        self.recent(parent, 0, name, Self::find_attribute)
    }

    /// The value of a key, `['name']`, while there are few; `[*]` else.
    pub fn value(&mut self, parent: u32, key: &Text) -> u32 {
        self.recent(parent, VALUE, key, Self::find_value)
    }

    /// The place of a name tells it apart from others.
    fn recent(
        &mut self,
        parent: u32,
        value: u32,
        name: &Text,
        find: fn(&mut Self, u32, &[u8]) -> u32,
    ) -> u32 {
        let (identity, below) = (name.identity(), parent | value);
        let index = (mix(identity ^ u64::from(below) << 32) >> 32) as usize % RECENT;
        let known = self.recent[index];
        if identity != 0 && (known.identity, known.below) == (identity, below) {
            return known.node;
        }
        let node = find(self, parent, name.bytes());
        self.recent[index] = Recent { identity, below, node };
        node
    }

    fn find_attribute(&mut self, parent: u32, name: &[u8]) -> u32 {
        if name.len() > MOST_LABEL || self.children(parent) >= MOST_ATTRIBUTES {
            return self.shared(parent, b".*");
        }
        self.below(parent, &[b".", name])
    }

    fn find_value(&mut self, parent: u32, key: &[u8]) -> u32 {
        if key.len() > MOST_LABEL {
            return self.shared(parent, b"[*]");
        }
        let label: [&[u8]; 3] = [b"['", key, b"']"];
        if self.children(parent) < MOST_KEYS {
            return self.below(parent, &label);
        }
        self.find(parent, &label).unwrap_or_else(|| self.shared(parent, b"[*]"))
    }

    /// A node that many objects share: `[*]`, `.keys()`.
    pub fn shared(&mut self, parent: u32, label: &[u8]) -> u32 {
        self.below(parent, &[label])
    }

    /// What a native type refers to, by the type of what is referred to: `.<str>`.
    pub fn native(&mut self, parent: u32, type_name: &[u8]) -> u32 {
        self.below(parent, &[b".<", &type_name[..type_name.len().min(MOST_LABEL)], b">"])
    }

    fn below(&mut self, parent: u32, label: &[&[u8]]) -> u32 {
        if self.census.nodes().get(parent as usize).is_some_and(|node| node.depth >= MOST_DEPTH) {
            return parent;
        }
        self.node(parent, label).unwrap_or(parent)
    }

    fn children(&self, parent: u32) -> u32 {
        self.census.nodes().get(parent as usize).map_or(0, |node| node.children)
    }

    fn find(&self, parent: u32, label: &[&[u8]]) -> Option<u32> {
        let mut found = self.slots.probe(hash(parent, label)).map_while(|slot| self.slots.get(slot));
        found.find(|&found| self.is(found, parent, label))
    }

    fn node(&mut self, parent: u32, label: &[&[u8]]) -> Option<u32> {
        for slot in self.slots.probe(hash(parent, label)) {
            let Some(found) = self.slots.get(slot) else {
                let added = self.add(parent, label)?;
                self.slots.set(slot, added);
                if self.census.nodes().len() * 2 > self.slots.count() {
                    self.grow();
                }
                return Some(added);
            };
            if self.is(found, parent, label) {
                return Some(found);
            }
        }
        None
    }

    /// Doubles the table, if there is memory for it.
    fn grow(&mut self) {
        let Some(mut larger) = Slots::new(self.slots.count() * 2) else { return };
        for (index, node) in (0..).zip(self.census.nodes().iter()) {
            let label = self.census.text(node.at, usize::from(node.len));
            let mut slots = larger.probe(hash(node.parent, &[label]));
            if let Some(slot) = slots.find(|&slot| larger.get(slot).is_none()) {
                larger.set(slot, index);
            }
        }
        self.slots = larger;
    }

    fn add(&mut self, parent: u32, label: &[&[u8]]) -> Option<u32> {
        let len: usize = label.iter().map(|part| part.len()).sum();
        let above = self.census.nodes().get_mut(parent as usize);
        let depth = above.map_or(0, |above| {
            above.children += 1;
            above.depth + 1
        });
        let at = self.census.push_text(label)?;
        let len = u16::try_from(len).ok()?;
        self.census.push_node(CensusNode { parent, at, len, depth, children: 0 })
    }

    fn is(&self, node: u32, parent: u32, label: &[&[u8]]) -> bool {
        let node = &self.census.nodes()[node as usize];
        let mut text = self.census.text(node.at, usize::from(node.len));
        node.parent == parent
            && label.iter().all(|part| {
                let rest = text.strip_prefix(*part);
                text = rest.unwrap_or_default();
                rest.is_some()
            })
            && text.is_empty()
    }
}

fn hash(parent: u32, label: &[&[u8]]) -> u64 {
    let bytes = label.iter().flat_map(|part| part.iter());
    let hash = bytes.fold(u64::from(parent) ^ 0x9e37_79b9_7f4a_7c15, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash)
}
