//! Recordings that no measurement would give.

use forkprint::family::PageState;
use forkprint::family::breaks::{Break, Breaks, Flags, Frame, Function, NONE, Owner, Writer};
use forkprint::family::cause::Cause;
use forkprint::family::recording::{
    Content, NO_STEP, PageCell, PageHistory, PageRun, Transition, WorkerPages,
};
use proptest::prelude::*;

fn any_cell() -> impl Strategy<Value = PageCell> {
    let content = prop::sample::select(vec![Content::NotCompared, Content::Equal, Content::Differs]);
    (prop::sample::select(PageState::ALL.to_vec()), 0..=NO_STEP, content, any::<u16>())
        .prop_map(|(state, step, content, bytes_changed)| PageCell { state, step, content, bytes_changed })
}

fn any_transitions(pages: usize) -> impl Strategy<Value = Vec<Transition>> {
    let key = (0..u32::try_from(pages.max(1)).unwrap(), 0..NO_STEP);
    let most = if pages == 0 { 0 } else { 9 };
    prop::collection::btree_map(key, any_cell(), 0..=most).prop_map(|transitions| {
        transitions
            .into_iter()
            .map(|((page, until), PageCell { state, content, .. })| Transition {
                page,
                until,
                state,
                content,
            })
            .collect()
    })
}

fn any_history() -> impl Strategy<Value = PageHistory> {
    let runs = prop::collection::vec((0_u64..5, 1_u32..20, 0_u32..3), 0..8);
    (runs, prop::collection::btree_set(any::<u32>(), 0..4)).prop_flat_map(|(runs, workers)| {
        let mut next = 0x7f00_0000;
        let runs: Vec<PageRun> = runs
            .into_iter()
            .map(|(gap, len, region)| {
                let first = next + gap;
                next = first + u64::from(len);
                PageRun { first, len, region }
            })
            .collect();
        let pages = runs.iter().map(|run| run.len as usize).sum::<usize>();
        let each = (
            prop::collection::vec(any_cell(), pages),
            any_transitions(pages),
            prop::collection::vec((0_u64..1 << 40, 1_u32..99), 0..4),
        );
        let count = workers.len();
        prop::collection::vec(each, count).prop_map(move |each| PageHistory {
            regions: vec!["heap".into(), "</script>".into(), String::new()],
            runs: runs.clone(),
            workers: workers
                .iter()
                .zip(each)
                .map(|(&worker, (cells, earlier, fresh))| WorkerPages { worker, cells, earlier, fresh })
                .collect(),
        })
    })
}

/// An index in a table of `len` entries, or none.
fn any_index(len: usize) -> impl Strategy<Value = u32> + Clone {
    let len = u32::try_from(len).unwrap();
    (0..=len).prop_map(move |index| if index == len { NONE } else { index })
}

/// Parents of a forest of `len` entries.
fn any_forest(len: usize) -> impl Strategy<Value = Vec<u32>> {
    (0..len).map(any_index).collect::<Vec<_>>()
}

fn any_texts(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(".{0,5}", 0..=most)
}

fn any_owners() -> impl Strategy<Value = Vec<Owner>> {
    any_texts(5).prop_flat_map(|labels| {
        let owner = |(label, parent)| Owner { parent, label };
        any_forest(labels.len())
            .prop_map(move |parents| labels.clone().into_iter().zip(parents).map(owner).collect())
    })
}

fn any_functions() -> impl Strategy<Value = Vec<Function>> {
    let function = (".{0,5}", ".{0,5}", any::<u32>());
    prop::collection::vec(function.prop_map(|(name, file, line)| Function { name, file, line }), 0..4)
}

fn any_frames(functions: usize) -> impl Strategy<Value = Vec<Frame>> {
    prop::collection::vec((any_index(functions), any::<u32>()), 0..6).prop_flat_map(|calls| {
        let frame = |((function, line), parent)| Frame { parent, function, line };
        any_forest(calls.len())
            .prop_map(move |parents| calls.clone().into_iter().zip(parents).map(frame).collect())
    })
}

/// Tables that rows may refer to, without rows.
fn any_names() -> impl Strategy<Value = Breaks> {
    let writer = (".{0,5}", ".{0,5}").prop_map(|(symbol, library)| Writer { symbol, library });
    let calls = any_functions().prop_flat_map(|functions| {
        any_frames(functions.len()).prop_map(move |frames| (functions.clone(), frames))
    });
    let writers = prop::collection::vec(writer, 0..3);
    (any_texts(3), any_texts(3), any_owners(), writers, calls).prop_map(
        |(types, fields, owners, writers, (functions, frames))| Breaks {
            types,
            fields,
            owners,
            writers,
            functions,
            frames,
            rows: Vec::new(),
        },
    )
}

/// A row of the first page of the first worker that refers to the tables of `breaks`.
fn any_row(breaks: &Breaks) -> impl Strategy<Value = Break> + use<> {
    let object =
        (any_index(breaks.types.len()), any_index(breaks.fields.len()), any_index(breaks.owners.len()));
    let code = (any_index(breaks.writers.len()), any_index(breaks.frames.len()), any::<u32>());
    let write = (prop::sample::select(Cause::ALL.to_vec()), 0_u16..4096, any::<u8>(), any::<u8>());
    (object, code, write, any::<[u64; 2]>()).prop_map(
        |(
            (ty, field, owner),
            (writer, frame, thread),
            (cause, offset, step, flags),
            [nanos, instruction],
        )| Break {
            worker: 0,
            page: 0,
            cause,
            step,
            offset,
            flags: Flags(flags),
            ty,
            field,
            owner,
            writer,
            frame,
            thread,
            nanos,
            instruction,
        },
    )
}

fn any_breaks(pages: usize) -> impl Strategy<Value = Breaks> {
    any_names().prop_flat_map(move |names| {
        let page = 0..u32::try_from(pages.max(1)).unwrap();
        prop::collection::btree_map((any::<u32>(), page), any_row(&names), 0..20).prop_map(move |rows| {
            let rows = rows.into_iter().map(|((worker, page), row)| Break { worker, page, ..row }).collect();
            Breaks { rows, ..names.clone() }
        })
    })
}

/// The pages and breaks of any recording.
pub fn any_history_with_breaks() -> impl Strategy<Value = (PageHistory, Breaks)> {
    any_history().prop_flat_map(|pages| {
        let len = pages.len();
        any_breaks(len).prop_map(move |breaks| (pages.clone(), breaks))
    })
}
