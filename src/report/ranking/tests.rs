use super::*;
use crate::family::breaks::{Flags, Owner, Writer};
use crate::family::recording::{PageHistory, PageRun, WorkerPages};

/// A break of worker 0 at a page: cause, type, field, owner, frame.
fn row(page: u32, cause: Cause, [ty, field, owner, frame]: [u32; 4]) -> Break {
    Break {
        worker: 0,
        page,
        cause,
        step: u8::from(page > 7),
        offset: 0,
        flags: Flags(Flags::SEEN),
        ty,
        field,
        owner,
        writer: if frame == NONE { NONE } else { 0 },
        frame,
        thread: 1,
        nanos: 0,
        instruction: 1,
    }
}

/// Ten broken pages, eight of them by reference counts; the even ones are ghosts.
pub(super) fn example() -> Recording {
    use Cause::{Floor, ObjectBody, Refcount, Unexplained};
    let rows = vec![
        row(0, Refcount, [0, 0, 2, 1]),
        row(1, Refcount, [0, 0, 2, 1]),
        row(2, Refcount, [0, 0, 2, 1]),
        row(3, Refcount, [1, 0, 3, 1]),
        row(4, Refcount, [1, 0, 3, 1]),
        row(5, Refcount, [1, 0, 3, 2]),
        row(6, Refcount, [2, 0, 1, 1]),
        row(7, ObjectBody, [1, 1, 4, 2]),
        row(8, Unexplained, [NONE; 4]),
        row(9, Floor, [NONE; 4]),
    ];
    let owner = |parent, label: &str| Owner { parent, label: label.into() };
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let content = |page: u16| if page.is_multiple_of(2) { Content::Equal } else { Content::Differs };
    let cells = (0..12).map(|page| PageCell { content: content(page), ..PageCell::default() }).collect();
    Recording {
        pages: PageHistory {
            regions: named(&["heap"]),
            runs: vec![PageRun { first: 16, len: 12, region: 0 }],
            workers: vec![WorkerPages { worker: 0, cells, ..WorkerPages::default() }],
        },
        breaks: Breaks {
            rows,
            types: named(&["shop.Product", "str", "dict"]),
            fields: named(&["ob_refcnt", ".price"]),
            owners: vec![
                owner(NONE, "shop"),
                owner(0, ".CATALOG"),
                owner(1, "[*]"),
                owner(2, ".name"),
                owner(NONE, "os"),
            ],
            writers: vec![Writer { symbol: "list_iter_next".into(), library: "libpython".into() }],
            functions: vec![
                Function { name: "<module>".into(), file: "/srv/app.py".into(), line: 1 },
                Function { name: "search".into(), file: "/srv/shop.py".into(), line: 9 },
            ],
            frames: vec![
                Frame { parent: NONE, function: 0, line: 3 },
                Frame { parent: 0, function: 1, line: 14 },
                Frame { parent: 0, function: 1, line: 0 },
            ],
        },
        ..Recording::default()
    }
}

fn shown(rows: &[Ranked]) -> Vec<(&str, u64, u64)> {
    rows.iter().map(|row| (row.name.as_str(), row.pages, row.ghosts)).collect()
}

#[test]
fn pages_are_counted_by_every_name_and_none_is_left_out() {
    let recording = example();
    let all = Ranking::of(&recording, Selection::default());
    assert_eq!((all.pages(), all.ghosts()), (10, 5));
    let lines = all.by_line();
    assert_eq!(shown(&lines), [("shop.py:14 search", 6, 4), (NO_LINE, 2, 1), ("shop.py:? search", 2, 0)]);
    assert_eq!(lines[0].place.as_ref().map(|place| (place.line, &*place.file)), Some((14, "/srv/shop.py")));
    assert!((lines[0].share - 60.0).abs() < 1e-9);
    assert_eq!(shown(&all.by_function()), [("search (shop.py:9)", 8, 4), (NO_LINE, 2, 1)]);
    assert_eq!(
        shown(&all.by_type()),
        [("str", 4, 1), ("shop.Product", 3, 2), (NO_TYPE, 2, 1), ("dict", 1, 1)]
    );
    assert_eq!(
        shown(&all.by_field())[..2],
        [("shop.Product.ob_refcnt", 3, 2), ("str.ob_refcnt", 3, 1)],
        "equal ones stand by name"
    );
    assert!(shown(&all.by_field()).contains(&("str.price", 1, 0)));
    assert_eq!(shown(&all.by_writer()), [("list_iter_next (libpython)", 8, 4), (NO_WRITER, 2, 1)]);
    assert_eq!(all.by_cause()[0].cause, Cause::Refcount);
    for rows in
        [all.by_line(), all.by_type(), all.by_field(), all.by_module(), all.by_cause(), all.by_writer()]
    {
        assert_eq!(rows.iter().map(|row| row.pages).sum::<u64>(), 10);
    }
}

#[test]
fn owners_are_a_tree_with_own_and_inclusive_counts() {
    let recording = example();
    let all = Ranking::of(&recording, Selection::default());
    let tree = all.owner_tree();
    let shown_tree: Vec<_> =
        tree.iter().map(|row| (row.depth, row.path.as_str(), row.pages, row.own)).collect();
    assert_eq!(
        shown_tree,
        [
            (0, "shop", 7, 0),
            (1, "shop.CATALOG", 7, 1),
            (2, "shop.CATALOG[*]", 6, 3),
            (3, "shop.CATALOG[*].name", 3, 3),
            (0, NO_OWNER, 2, 2),
            (0, "os", 1, 1),
        ]
    );
    for row in &tree {
        if let Some(parent) = row.parent {
            assert_eq!(tree[parent].path.clone() + &row.label, row.path);
        }
    }
    let owners = all.by_owner();
    assert_eq!(
        shown(&owners).iter().map(|row| row.0).collect::<Vec<_>>(),
        ["shop.CATALOG[*]", "shop.CATALOG[*].name", NO_OWNER, "os"],
        "shop and shop.CATALOG are little more than what they own"
    );
    assert_eq!(shown(&all.by_module()), [("shop", 7, 4), (NO_OWNER, 2, 1), ("os", 1, 0)]);
}

#[test]
fn a_selection_narrows_what_is_ranked() {
    let recording = example();
    let later = Ranking::of(&recording, Selection { step: Some(1), ..Selection::default() });
    assert_eq!(shown(&later.by_cause()), [("floor", 1, 0), ("unexplained", 1, 1)]);
    assert!(
        Ranking::of(&recording, Selection { worker: Some(1), ..Selection::default() }).by_owner().is_empty()
    );
}

#[test]
fn the_headline_names_cause_line_types_and_owner() {
    let said = |recording: &Recording| headline(recording).unwrap_or_default().replace('\u{a0}', " ");
    let mut recording = example();
    assert_eq!(
        said(&recording),
        "70 % reference counts, first written by shop.py:14 search (86 % of them), \
         in shop.Product, str and dict objects owned by shop.CATALOG[*]; 10 % unexplained"
    );
    recording.breaks.rows.retain(|row| ![5, 8, 9].contains(&row.page));
    assert!(said(&recording).starts_with("86 % reference counts, first written by shop.py:14 search, in"));
    recording.breaks.rows.iter_mut().for_each(|row| row.cause = Cause::Unexplained);
    assert_eq!(headline(&recording), None);
}

#[test]
fn indices_that_lead_nowhere_are_rows_of_unknown_names() {
    let mut recording = example();
    let breaks = &mut recording.breaks;
    (breaks.types, breaks.fields, breaks.functions, breaks.writers) = Default::default();
    breaks.owners.iter_mut().for_each(|owner| owner.parent = 3);
    recording.pages.workers.clear();
    let all = Ranking::of(&recording, Selection::default());
    assert_eq!(all.ghosts(), 0);
    assert!(all.by_line().iter().all(|row| row.name == NO_LINE));
    assert_eq!(all.by_module().iter().map(|row| row.pages).sum::<u64>(), 10);
    assert!(headline(&recording).is_some());
}

#[test]
fn a_chain_of_a_hundred_thousand_owners_is_ranked_in_little_memory() {
    let mut recording = example();
    let breaks = &mut recording.breaks;
    breaks.owners = (0..100_000_u32)
        .map(|index| Owner { parent: index.checked_sub(1).unwrap_or(NONE), label: ".next".into() })
        .collect();
    breaks.rows = (0..100_000).map(|page| row(page, Cause::Refcount, [0, 0, page, 1])).collect();
    let tree = Ranking::of(&recording, Selection::default()).owner_tree();
    assert_eq!((tree.len(), tree[0].pages, tree[99_999].pages), (100_000, 100_000, 1));
    assert!(tree.iter().map(|row| row.path.len()).max().unwrap() < 1100);
}
