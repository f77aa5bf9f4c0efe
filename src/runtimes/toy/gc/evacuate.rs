//! Packs live objects at the start of the heap, in the zygote and before the first fork.

use super::bits::Bits;
use super::object::Header;
use super::roots::Roots;
use super::trace::{visit_slots, word_of};
use crate::error::Result;
use crate::runtimes::toy::memory::words::Words;

/// The first words of one object: where it was and where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Moves everything that the roots lead to to the start of the heap, in the order in which a
/// breadth-first trace meets it, and gives the rest of the heap's pages back. Both words of every
/// header keep what they held.
///
/// Answers the moves in order of their new places, which have no gaps. Until all of it is done, a copy
/// of the live objects takes memory outside of the heap.
pub(super) fn pack(objects: &mut Words, roots: &mut Roots<'_>) -> Result<Vec<Move>> {
    let bytes = objects.len() as u64 * 8;
    let moves = plan(objects, roots, Bits::new(bytes, "compaction")?);
    // One word for every granule, of which only those of live objects are touched.
    let mut places = Words::map(bytes / 2, "compaction")?;
    let end = moves.last().map_or(0, |last| last.to + Header(objects.get(last.from)).words());
    let mut copy = Words::map(end as u64 * 8 + 8, "compaction")?;
    for Move { from, to } in moves.iter().copied() {
        places.set(from / 2, to as u64);
        copy.write_bytes(to, objects.bytes(from, Header(objects.get(from)).words() * 8));
    }
    objects.write_bytes(0, copy.bytes(0, end * 8));
    objects.discard(end..objects.len());
    let start = objects.start();
    let replaced = |value| word_of(value, start).map_or(value, |word| start + places.get(word / 2) * 8);
    roots.update(replaced);
    for Move { to, .. } in &moves {
        visit_slots(objects, *to, &mut |objects, slot| objects.update(slot, replaced(objects.get(slot))));
    }
    Ok(moves)
}

/// First words of everything that the roots lead to, in the order of [`pack`].
pub(super) fn breadth_first(objects: &mut Words, roots: &Roots<'_>) -> Result<Vec<usize>> {
    let seen = Bits::new(objects.len() as u64 * 8, "census")?;
    Ok(plan(objects, roots, seen).into_iter().map(|Move { from, .. }| from).collect())
}

fn plan(objects: &mut Words, roots: &Roots<'_>, mut seen: Bits) -> Vec<Move> {
    let start = objects.start();
    let (mut moves, mut end) = (Vec::new(), 0);
    let mut meet = |objects: &Words, value: u64, moves: &mut Vec<Move>| {
        if let Some(from) = word_of(value, start)
            && seen.set(from)
        {
            moves.push(Move { from, to: end });
            end += Header(objects.get(from)).words();
        }
    };
    for root in roots.iter() {
        meet(objects, root, &mut moves);
    }
    let mut next = 0;
    while let Some(Move { from, .. }) = moves.get(next).copied() {
        visit_slots(objects, from, &mut |objects, slot| meet(objects, objects.get(slot), &mut moves));
        next += 1;
    }
    moves
}
