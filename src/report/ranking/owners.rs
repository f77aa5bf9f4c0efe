//! Broken pages by whose object they held, like a tree of folders.

use super::{NO_OWNER, Ranked, Ranking, Tally};
use crate::family::breaks::{NONE, Owner};
use crate::family::cause::Cause;
use crate::units::percent;
use std::cmp::Reverse;

/// A child that holds so much of its parent, in percent, stands for it.
pub(super) const STANDS_FOR_ALL: u64 = 80;

/// Bytes of a path after which its beginning is left out.
const LONGEST_PATH: usize = 1024;

/// One owner of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnerRow {
    /// Index in [`crate::family::Breaks::owners`]; [`NONE`] for pages whose owner is not known.
    pub owner: u32,
    /// Index of the parent's row in the same list.
    pub parent: Option<usize>,
    /// Owners above it.
    pub depth: u32,
    /// As it is appended to the parent's path: `shop`, `.CATALOG`, `[*]`.
    pub label: String,
    /// Its path: `shop.CATALOG[*]`; beyond 1024 bytes, its end.
    pub path: String,
    /// Broken pages of it and of all it owns.
    pub pages: u64,
    /// Broken pages of it alone.
    pub own: u64,
    /// Of `pages`, ghosts.
    pub ghosts: u64,
    /// Share of `pages` in all broken pages of the selection, in percent.
    pub share: f64,
    /// The cause of most of `pages`.
    pub cause: Cause,
}

/// Own and inclusive counts of every owner.
struct Counts {
    /// One for each owner.
    own: Vec<u64>,
    /// One for each owner, with all it owns.
    inclusive: Vec<Tally>,
    /// Pages whose owner is not known.
    unknown: Tally,
}

impl Ranking<'_> {
    /// Every owner that has or owns a broken page: parents before their children, siblings by pages.
    ///
    /// The rows without a parent add up to all pages.
    pub fn owner_tree(&self) -> Vec<OwnerRow> {
        let counts = self.counts();
        let owners = &self.breaks.owners;
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); owners.len()];
        let mut roots = Vec::new();
        for (index, _) in counts.inclusive.iter().enumerate().filter(|(_, tally)| tally.pages > 0) {
            match parent_of(owners, index) {
                Some(parent) => children[parent].push(index),
                None => roots.push(index),
            }
        }
        let by_pages = |owner: &usize| (counts.inclusive[*owner].pages, Reverse(*owner));
        roots.sort_by_key(by_pages);
        for siblings in &mut children {
            siblings.sort_by_key(by_pages);
        }

        let mut rows: Vec<OwnerRow> = Vec::new();
        let mut pending: Vec<(usize, Option<usize>)> = roots.into_iter().map(|root| (root, None)).collect();
        while let Some((owner, parent)) = pending.pop() {
            let above = parent.map(|parent| &rows[parent]);
            let label = owners[owner].label.clone();
            let path = joined(above.map_or("", |above| &above.path), &label);
            let depth = above.map_or(0, |above| above.depth + 1);
            let tally = &counts.inclusive[owner];
            let index = u32::try_from(owner).unwrap_or(NONE);
            rows.push(OwnerRow {
                parent,
                depth,
                own: counts.own[owner],
                ..self.row(index, label, path, tally)
            });
            pending.extend(children[owner].iter().map(|&child| (child, Some(rows.len() - 1))));
        }
        if counts.unknown.pages > 0 {
            let row = self.row(NONE, NO_OWNER.into(), NO_OWNER.into(), &counts.unknown);
            let place = rows.iter().position(|other| other.parent.is_none() && other.pages < row.pages);
            insert(&mut rows, place, row);
        }
        rows
    }

    /// Owners with all they own, most pages first. Left out is who owns little beside one child.
    ///
    /// A row's pages are in the rows of those that own it, too; `own` pages are in no other row.
    pub fn by_owner(&self) -> Vec<Ranked> {
        let tree = self.owner_tree();
        let mut most: Vec<u64> = vec![0; tree.len()];
        for row in &tree {
            if let Some(parent) = row.parent {
                most[parent] = most[parent].max(row.pages);
            }
        }
        let telling = tree.iter().zip(most).filter(|(row, child)| child * 100 < row.pages * STANDS_FOR_ALL);
        let mut rows: Vec<&OwnerRow> = telling.map(|(row, _)| row).collect();
        rows.sort_by_key(|row| Reverse(row.pages));
        rows.into_iter().map(OwnerRow::ranked).collect()
    }

    /// The modules and types that own everything, most pages first.
    pub fn by_module(&self) -> Vec<Ranked> {
        let tree = self.owner_tree();
        tree.iter().filter(|row| row.parent.is_none()).map(OwnerRow::ranked).collect()
    }

    /// The deepest owner that, with all it owns, holds at least 80 % of the pages whose owner is known.
    pub(super) fn common_owner(&self) -> Option<OwnerRow> {
        let tree = self.owner_tree();
        let known: u64 =
            tree.iter().filter(|row| row.parent.is_none() && row.owner != NONE).map(|row| row.pages).sum();
        let holds_most = |row: &&OwnerRow| row.owner != NONE && row.pages * 100 >= known * STANDS_FOR_ALL;
        tree.iter().filter(holds_most).max_by_key(|row| row.depth).cloned()
    }

    fn counts(&self) -> Counts {
        let owners = &self.breaks.owners;
        let mut inclusive = vec![Tally::default(); owners.len()];
        let mut unknown = Tally::default();
        for seen in &self.seen {
            inclusive.get_mut(seen.row.owner as usize).unwrap_or(&mut unknown).add(seen);
        }
        let own = inclusive.iter().map(|tally| tally.pages).collect();
        for index in (0..owners.len()).rev() {
            if let Some(parent) = parent_of(owners, index) {
                let tally = inclusive[index];
                inclusive[parent].merge(&tally);
            }
        }
        Counts { own, inclusive, unknown }
    }

    fn row(&self, owner: u32, label: String, path: String, tally: &Tally) -> OwnerRow {
        OwnerRow {
            owner,
            parent: None,
            depth: 0,
            label,
            path,
            pages: tally.pages,
            own: tally.pages,
            ghosts: tally.ghosts,
            share: percent(tally.pages, self.whole),
            cause: tally.dominant(),
        }
    }
}

impl OwnerRow {
    fn ranked(&self) -> Ranked {
        Ranked {
            name: self.path.clone(),
            pages: self.pages,
            ghosts: self.ghosts,
            share: self.share,
            cause: self.cause,
            own: Some(self.own),
            place: None,
        }
    }
}

/// A path and its next label. Chains may be very long: then only the end of the path is kept.
fn joined(path: &str, label: &str) -> String {
    if path.len() > LONGEST_PATH { format!("…{label}") } else { format!("{path}{label}") }
}

/// The parent of an owner, which stands before it.
fn parent_of(owners: &[Owner], index: usize) -> Option<usize> {
    let parent = owners[index].parent as usize;
    (parent < index).then_some(parent)
}

/// Inserts a row at the top level, before `place`, and keeps parents where rows refer to them.
fn insert(rows: &mut Vec<OwnerRow>, place: Option<usize>, row: OwnerRow) {
    let place = place.unwrap_or(rows.len());
    for parent in rows[place..].iter_mut().filter_map(|later| later.parent.as_mut()) {
        *parent += 1;
    }
    rows.insert(place, row);
}
