//! Made-up breaks for the broken pages of a made-up recording: one row for each worker and page.

use super::scenes::{self, FUNCTIONS, Scene};
use super::{Random, Shape};
use crate::family::breaks::{Break, Breaks, Flags, Frame, Function, NONE, Owner, Writer};
use crate::family::cause::Cause;
use crate::family::recording::{Content, NO_STEP, PageCell, PageHistory, Reconciliation, WorkerPages};
use std::collections::BTreeMap;

/// Breaks that agree with the pages: a row where a page was ever seen broken, and only there.
pub(super) fn of_pages(pages: &PageHistory, shape: Shape) -> Breaks {
    let mut random = Random(shape.seed << 8 | 1);
    let mut cast = Cast::new(shape);
    let mut rows = Vec::new();
    for worker in &pages.workers {
        rows.extend(worker_rows(pages, worker, &cast, &mut random));
    }
    cast.breaks.rows = rows;
    cast.breaks
}

/// Broken pages of each cause after a step, over all workers.
pub(super) fn causes_at(breaks: &Breaks, pages: &PageHistory, step: u8) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for worker in &pages.workers {
        let states = worker.at_step(step);
        for row in breaks.of_worker(worker.worker) {
            if states[row.page as usize].0.broken() {
                *causes.entry(row.cause.name().to_owned()).or_default() += 1;
            }
        }
    }
    causes
}

/// The equation of the last step, from its causes.
pub(super) fn reconciliation(causes: &BTreeMap<String, u64>) -> Reconciliation {
    let of = |cause: Cause| causes.get(cause.name()).copied().unwrap_or(0);
    let broken = causes.values().sum();
    let (kernel_writes, floor, unexplained) =
        (of(Cause::KernelWrite), of(Cause::Floor), of(Cause::Unexplained));
    Reconciliation {
        broken,
        explained: broken - kernel_writes - floor - unexplained,
        kernel_writes,
        floor,
        unexplained,
        lost_samples: 0,
    }
}

fn worker_rows(pages: &PageHistory, worker: &WorkerPages, cast: &Cast, random: &mut Random) -> Vec<Break> {
    let broken = ever_broken(worker);
    let mut rows = Vec::new();
    let mut at = 0;
    for run in &pages.runs {
        let group = scenes::group(&pages.regions[run.region as usize]);
        let (mut scene, mut content) = (0, None);
        for (page, (&cell, &broken)) in
            worker.cells.iter().zip(&broken).enumerate().skip(at).take(run.len as usize)
        {
            let Some(by_zygote) = broken else {
                content = None;
                continue;
            };
            if content != Some(cell.content) || random.below(14) == 0 {
                (scene, content) = (cast.pick(group, cell.content, random), Some(cell.content));
            }
            rows.push(cast.row((worker.worker, page), cell, by_zygote, (group, scene), random));
        }
        at += run.len as usize;
    }
    rows
}

/// For each page whether it was ever seen broken, and then whether the zygote alone wrote first.
fn ever_broken(worker: &WorkerPages) -> Vec<Option<bool>> {
    let seen = |state: crate::family::PageState| state.broken().then_some(!state.by_worker());
    let mut broken: Vec<Option<bool>> = worker.cells.iter().map(|cell| seen(cell.state)).collect();
    for earlier in worker.earlier.iter().rev() {
        let page = earlier.page as usize;
        broken[page] = seen(earlier.state).or(broken[page]);
    }
    broken
}

/// The names of all scenes, put into tables, and a row for each scene to copy from.
struct Cast {
    breaks: Breaks,
    groups: Vec<Vec<Break>>,
    timer: Break,
}

impl Cast {
    fn new(shape: Shape) -> Self {
        let mut tables = Tables::default();
        let outer = if shape.server { scenes::SERVER } else { scenes::SCRIPT };
        let groups = scenes::ALL
            .iter()
            .map(|group| group.iter().map(|scene| tables.row(scene, outer)).collect())
            .collect();
        let mut timer = tables.row(&scenes::TIMER, &[]);
        timer.flags.0 |= Flags::BY_ZYGOTE;
        Self { groups, timer, breaks: tables.breaks }
    }

    /// A scene of a group whose outcome suits the content of the page.
    fn pick(&self, group: usize, content: Content, random: &mut Random) -> usize {
        let suits = |scene: &Scene| match content {
            Content::Equal => scene.ghost || restores(scene),
            Content::Differs => !scene.ghost,
            Content::NotCompared => true,
        };
        let scenes = scenes::ALL[group];
        let any = !scenes.iter().any(suits);
        let weight = |scene: &Scene| if any || suits(scene) { scene.weight } else { 0 };
        let mut left = random.below(scenes.iter().map(weight).sum());
        let chosen = scenes.iter().position(|scene| {
            let weight = weight(scene);
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        });
        chosen.unwrap_or(0).min(self.groups[group].len() - 1)
    }

    fn row(
        &self,
        (worker, page): (u32, usize),
        cell: PageCell,
        by_zygote: bool,
        (group, scene): (usize, usize),
        random: &mut Random,
    ) -> Break {
        let page = u32::try_from(page).unwrap_or(u32::MAX);
        let unseen = |cause| Break { worker, page, cause, step: cell.step, ..NOTHING };
        if cell.step == 0 && !by_zygote {
            return unseen(Cause::Floor);
        }
        if random.below(140) == 0 {
            return unseen(Cause::Unexplained);
        }
        let model = if by_zygote { self.timer } else { self.groups[group][scene] };
        let before = u64::from(cell.step.min(NO_STEP - 1).saturating_sub(1));
        Break {
            worker,
            page,
            step: cell.step,
            offset: u16::try_from(random.below(256) * 16).unwrap_or(0),
            thread: if by_zygote { 4100 } else { 4101 + worker },
            nanos: before * 125_000_000 + random.below(125_000_000),
            ..model
        }
    }
}

/// Scenes that change bytes end as ghosts now and then: a value is set and put back.
fn restores(scene: &Scene) -> bool {
    scene.weight <= 4
}

const NOTHING: Break = Break {
    worker: 0,
    page: 0,
    cause: Cause::Unexplained,
    step: 0,
    offset: 0,
    flags: Flags(0),
    ty: NONE,
    field: NONE,
    owner: NONE,
    writer: NONE,
    frame: NONE,
    thread: 0,
    nanos: 0,
    instruction: 0,
};

#[derive(Default)]
struct Tables {
    breaks: Breaks,
}

impl Tables {
    fn row(&mut self, scene: &Scene, outer: &[usize]) -> Break {
        let [ty, field] = scene.object;
        let [symbol, library] = scene.writer;
        let writer = Writer { symbol: symbol.into(), library: library.into() };
        let writer = entry(&mut self.breaks.writers, writer);
        let mut flags = Flags(Flags::SEEN);
        if scene.native {
            flags.0 |= Flags::GIL_RELEASED;
        }
        if scene.cause == Cause::KernelWrite {
            flags.0 |= Flags::BY_KERNEL;
        }
        Break {
            cause: scene.cause,
            flags,
            ty: named(&mut self.breaks.types, ty),
            field: named(&mut self.breaks.fields, field),
            owner: self.owner(scene.owner),
            writer,
            frame: self.frame(outer.iter().chain(scene.calls)),
            instruction: 0x7f12_3400_1040 + u64::from(writer) * 0x1000,
            ..NOTHING
        }
    }

    fn owner(&mut self, path: &[&str]) -> u32 {
        path.iter().fold(NONE, |parent, label| {
            entry(&mut self.breaks.owners, Owner { parent, label: (*label).to_owned() })
        })
    }

    fn frame<'a>(&mut self, calls: impl Iterator<Item = &'a usize>) -> u32 {
        calls.fold(NONE, |parent, &call| {
            let (name, file, first, line) = FUNCTIONS[call];
            let function = Function { name: name.into(), file: file.into(), line: first };
            let function = entry(&mut self.breaks.functions, function);
            entry(&mut self.breaks.frames, Frame { parent, function, line })
        })
    }
}

fn named(names: &mut Vec<String>, name: &str) -> u32 {
    if name.is_empty() { NONE } else { entry(names, name.to_owned()) }
}

/// The index of a value in a table, to which it is added if it is new.
fn entry<T: PartialEq>(table: &mut Vec<T>, value: T) -> u32 {
    let at = table.iter().position(|known| *known == value).unwrap_or_else(|| {
        table.push(value);
        table.len() - 1
    });
    u32::try_from(at).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::synthetic::recording;

    #[test]
    fn there_is_one_row_for_each_broken_page_and_steps_and_equation_agree_with_the_rows() {
        let made_up = recording(Shape { pages: 6000, workers: 3, steps: 5, server: true, seed: 3 });
        let breaks = &made_up.breaks;
        assert!(breaks.rows.is_sorted_by_key(|row| (row.worker, row.page)));
        for step in &made_up.steps {
            let broken: u64 = step.workers.iter().map(|worker| worker.broken).sum();
            assert_eq!(step.causes.values().sum::<u64>(), broken, "{}", step.name);
        }
        let sums = &made_up.reconciliation;
        assert_eq!(sums.broken, sums.explained + sums.kernel_writes + sums.floor + sums.unexplained);
        assert!(sums.explained > sums.broken * 9 / 10 && sums.floor > 0 && sums.kernel_writes > 0);
        assert!(
            breaks
                .owners
                .iter()
                .enumerate()
                .all(|(at, owner)| owner.parent == NONE || (owner.parent as usize) < at)
        );
        assert!(
            breaks
                .frames
                .iter()
                .enumerate()
                .all(|(at, frame)| frame.parent == NONE || (frame.parent as usize) < at)
        );
    }
}
