//! Policies on examples that are counted by hand.

use super::*;
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{Death, Link};

/// A thousand records of 48 bytes, 85 to a page, the first half of them dead at the fork; a step that
/// visits every tenth, stores to the one of ordinal 500, makes 100 records and collects.
fn profile() -> Profile {
    let record = ObjectProfile { bytes: 48, written: 48 };
    let alive: Ordinals = (500..1000).collect();
    Profile {
        objects: vec![record; 1100],
        older: 1000,
        alive: alive.clone(),
        packing: (500..1000).collect(),
        collections: vec![Collection { at: 1100, is_asked: true, live: alive.clone(), links: Vec::new() }],
        steps: vec![StepProfile {
            made: 1000..1100,
            stored: [(500, 2)].into(),
            visited: (500..1000).step_by(10).collect(),
            alive,
            collections: 0..1,
            ..StepProfile::default()
        }],
        ..Profile::default()
    }
}

fn counts(policy: &str) -> Vec<(&'static str, u64)> {
    let spec: PolicySpec = policy.parse().unwrap();
    predict(&profile(), spec).remove(0)
}

#[test]
fn marks_in_headers_write_every_page_with_a_live_object() {
    // Records 500 to 999 are the bytes 24,000 to 47,999, on pages 5 to 11; the new ones end at 52,800,
    // on page 12. Everything is below 512 KiB: one page of the allocation bitmap.
    assert_eq!(counts("mark-header+bump"), [("allocation bitmap", 1), ("object heap", 8)]);
}

#[test]
fn marks_in_a_bitmap_write_one_page_for_512_kib_and_what_is_stored_to() {
    // Record 500 is on page 5, the new ones on pages 11 and 12.
    assert_eq!(
        counts("mark-bitmap+bump"),
        [("allocation bitmap", 1), ("mark bitmap", 1), ("object heap", 3)]
    );
}

#[test]
fn without_a_collector_only_stores_and_new_objects_write() {
    assert_eq!(counts("none+bump"), [("allocation bitmap", 1), ("object heap", 3)]);
}

/// The same where references are counted: the first half is dead before the second is made, and each of
/// the new records before the next one.
fn counted() -> Profile {
    let mut profile = profile();
    let early = (0..500).map(|ordinal| Death { at: 500, ordinal });
    let late = (1000..1100).map(|ordinal| Death { at: ordinal + 1, ordinal });
    profile.deaths = early.chain(late).collect();
    profile.older_deaths = 500;
    profile.steps[0].deaths = 500..600;
    profile
}

#[test]
fn counts_write_the_pages_of_what_is_visited() {
    // The second half takes the room of the first: bytes 0 to 23,999, pages 0 to 5, and every tenth visits
    // all of them. All new ones come and go at byte 24,000, on page 5.
    let counts = |policy: &str| predict(&counted(), policy.parse().unwrap()).remove(0);
    assert_eq!(counts("refcount+bump"), [("allocation bitmap", 1), ("object heap", 6)]);
    // Four bytes for 16: the counts of 24,048 bytes take 6,012, two pages. Stored to: page 0; new: page 5.
    assert_eq!(
        counts("refcount-side+bump"),
        [("allocation bitmap", 1), ("count table", 2), ("object heap", 2)]
    );
    // Frozen, nothing old is counted: the store on page 0, and the one place of all new ones.
    assert_eq!(counts("refcount+bump+freeze"), [("allocation bitmap", 1), ("object heap", 2)]);
}

#[test]
fn what_the_zygote_makes_after_the_fork_has_no_room_in_a_worker() {
    let mut profile = profile();
    profile.steps[0].in_zygote = true;
    assert_eq!(predict(&profile, PolicySpec::default()), [vec![]]);
}

#[test]
fn what_is_frozen_is_written_by_stores_only_and_new_objects_begin_behind_a_bitmap_page() {
    // The new space is at 512 KiB: 4,800 bytes are two pages. Its own bitmap has one page.
    let frozen = [("allocation bitmap", 1), ("object heap", 3)];
    assert_eq!(counts("mark-header+bump+freeze"), frozen);
}

#[test]
fn copies_take_the_pages_of_the_live_and_write_every_original() {
    // Originals: pages 5 to 11, new ones on 11 and 12. Copies: 24,000 bytes, 6 pages.
    assert_eq!(counts("copying"), [("space A", 8), ("space B", 6)]);
    // Compacted first, the originals are the bytes 0 to 23,999 of space B and the copies go to A.
    assert_eq!(counts("copying+compact"), [("space A", 6), ("space B", 8)]);
}

#[test]
fn sliding_writes_from_the_first_gap_to_the_new_end() {
    // The live slide to the bytes 0 to 23,999, pages 0 to 5; stored to before that: page 5, where
    // record 500 was; made before that: pages 11 and 12.
    assert_eq!(counts("compacting"), [("mark bitmap", 1), ("object heap", 8)]);
    // Without a gap nothing moves: page 0 for the store, 5 to 7 for the new ones.
    assert_eq!(counts("compacting+compact"), [("mark bitmap", 1), ("object heap", 4)]);
}

#[test]
fn a_nursery_is_emptied_into_the_old_space() {
    // All 1,100 records are young, 52,800 bytes. The collection moves 24,000 bytes to the old space; its
    // starts take one page, the marks of the nursery one. Written in the nursery: page 5, 11 and 12.
    assert_eq!(
        counts("generational"),
        [("allocation bitmap", 1), ("mark bitmap", 1), ("nursery", 3), ("old space", 6)]
    );
    // Frozen, all that lived is old, and the dead new records stay in an empty nursery: 2 pages. The
    // store is to page 0 of the old space.
    assert_eq!(counts("generational+freeze"), [("mark bitmap", 0), ("nursery", 2), ("old space", 1)]);
}

#[test]
fn a_slot_that_leads_to_what_slides_is_written_where_nothing_else_is() {
    // Compacted at the fork, record 500 is at byte 0. If 600 dies, everything behind byte 4,800 slides, which
    // writes pages 1 to 5; the new records were made on 5 to 7. The third word of 500 is on page 0.
    let mut profile = profile();
    profile.steps[0].stored.clear();
    profile.collections[0].live = (500..600).chain(601..1000).collect();
    let spec: PolicySpec = "compacting+compact".parse().unwrap();
    assert_eq!(predict(&profile, spec)[0], [("mark bitmap", 1), ("object heap", 7)]);
    profile.collections[0].links = vec![Link { holder: 500, word: 2, target: 599 }];
    assert_eq!(predict(&profile, spec)[0], [("mark bitmap", 1), ("object heap", 7)], "both stay");
    profile.collections[0].links = vec![Link { holder: 500, word: 2, target: 999 }];
    assert_eq!(predict(&profile, spec)[0], [("mark bitmap", 1), ("object heap", 8)]);
}
